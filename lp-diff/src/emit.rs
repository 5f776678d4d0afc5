//! Writes what was selected as a relocatable object that links into a patch module.
//!
//! Functions keep their names as local symbols, so that a stack trace reads as before; each changed one and each
//! callback has a global alias besides, by which the module's tables refer to it. Sections that were pools stay pools of what is kept of
//! them. Everything is written in the order of the patched object: same inputs, same bytes. The tempting wrong way is
//! to copy sections whole and to strip later: that carries references to things that nobody has.

mod boot;
mod lay_out;
mod off_key;
mod pool;
mod unwind;

use crate::arch::Arch;
use crate::bundle::{BundleId, Kind};
use crate::compare::Comparison;
use crate::compare::Status;
use crate::include::Selection;
use crate::object::{Place, SectionId, Symbol};
use crate::process::unwind::Record;
use crate::process::{Flavour, is_thread_local};
use crate::reference::{Ref, Target, View};
use crate::refusal::{Refusal, RefusalCode};
use crate::reloc::{Reach, Resolver};
use crate::special::{Entry, refs_of};
use crate::stub::Stubs;
use lp_klp::name::{KlpSymName, ObjName};
use object::build::elf::{Builder, Relocation, SectionId as OutSection, SymbolId as OutSymbol};
use object::elf;
use pool::{LARGEST, Pool, add_section, add_tables, clear, fill_section};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// What the writing found out besides the bytes.
#[derive(Debug, Default)]
pub struct Emitted {
    /// The object.
    pub bytes: Vec<u8>,
    /// Symbols that another object must define.
    pub undefined: BTreeSet<String>,
    /// Namespaces of the exports used.
    pub namespaces: BTreeSet<String>,
    /// The objects whose symbols the livepatch core must find.
    pub objects: BTreeSet<ObjName>,
}

/// What the output is made from.
pub struct Source<'s, 'd> {
    /// The patched object.
    pub view: &'s View<'d>,
    /// What goes in.
    pub selection: &'s Selection,
    /// Which of it is changed.
    pub comparison: &'s Comparison,
    /// How to reach the rest.
    pub resolver: &'s Resolver<'s, 'd>,
    /// Relocation kinds.
    pub arch: &'s dyn Arch,
    /// What runs the code.
    pub flavour: &'s Flavour,
    /// The alias of each changed function.
    pub aliases: &'s BTreeMap<BundleId, String>,
    /// The alias of what else the module's tables refer to: callbacks and the operations of states.
    pub roots: &'s BTreeMap<BundleId, String>,
}

/// Writes the object, or says what cannot be resolved.
pub fn emit(source: &Source<'_, '_>) -> Result<Emitted, Vec<Refusal>> {
    let mut emitter = Emitter::new(source);
    emitter.lay_out_bundles();
    emitter.lay_out_entries();
    emitter.lay_out_off_key();
    emitter.lay_out_unwinding();
    emitter.define_symbols();
    emitter.relocate();
    emitter.finish()
}

/// Where a piece of the input went.
#[derive(Clone, Copy)]
struct Spot {
    pool: usize,
    offset: u64,
}

struct Emitter<'s, 'd> {
    source: &'s Source<'s, 'd>,
    out: Builder<'static>,
    pools: Vec<Pool>,
    pool_of: HashMap<(SectionId, Option<BundleId>), usize>,
    spots: BTreeMap<BundleId, Spot>,
    entry_spots: Vec<(Entry, Spot, Option<Spot>)>,
    /// Where the entries of the unwind table went that have relocations.
    unwinding: Vec<(Record, Spot)>,
    /// Where each entry went, with its size, by its place in the input.
    by_place: BTreeMap<(SectionId, u64), (Spot, u64)>,
    /// The static key that is off for good, if an entry needs one.
    off_key: Option<Spot>,
    section_symbols: Vec<OutSymbol>,
    owners: BTreeMap<BundleId, OutSymbol>,
    stubs: BTreeMap<BundleId, Stubs>,
    outer: BTreeMap<String, OutSymbol>,
    found: Emitted,
    refusals: Vec<Refusal>,
    /// Those of references: many refer to one thing.
    refused: BTreeSet<Refusal>,
    /// Bytes of all pools.
    written: u64,
}

impl<'s, 'd> Emitter<'s, 'd> {
    fn new(source: &'s Source<'s, 'd>) -> Self {
        let object = &source.view.object;
        let mut out = Builder::new(object.endian, true);
        out.header.e_type = elf::ET_REL;
        out.header.e_machine = elf::Machine(object.machine);
        out.header.e_flags = elf::FileFlags(object.flags);
        Self {
            source,
            out,
            pools: Vec::new(),
            pool_of: HashMap::new(),
            spots: BTreeMap::new(),
            entry_spots: Vec::new(),
            unwinding: Vec::new(),
            by_place: BTreeMap::new(),
            off_key: None,
            section_symbols: Vec::new(),
            owners: BTreeMap::new(),
            stubs: BTreeMap::new(),
            outer: BTreeMap::new(),
            found: Emitted::default(),
            refusals: Vec::new(),
            refused: BTreeSet::new(),
            written: 0,
        }
    }

    /// Local symbols first, as ELF wants them.
    fn define_symbols(&mut self) {
        let sections: Vec<OutSection> = self
            .pools
            .iter()
            .map(|pool| add_section(&mut self.out, pool))
            .collect();
        for (pool, section) in self.pools.iter().zip(&sections) {
            let link = pool.link.and_then(|pool| sections.get(pool));
            self.out.sections.get_mut(*section).sh_link_section = link.copied();
        }
        for section in &sections {
            let symbol = self.out.symbols.add();
            symbol.set_st_info(elf::STB_LOCAL, elf::STT_SECTION);
            symbol.section = Some(*section);
            self.section_symbols.push(symbol.id());
        }
        for global in [false, true] {
            self.define_bundle_symbols(&sections, global);
        }
        self.define_aliases(&sections);
    }

    fn define_bundle_symbols(&mut self, sections: &[OutSection], global: bool) {
        let view = self.source.view;
        for (id, spot) in &self.spots {
            let bundle = view.bundles.get(*id);
            // A second global definition of what the target has would be another function to every other object.
            let is_new = *self.source.comparison.status(*id) == Status::New;
            for symbol_id in view.bundles.symbols(*id) {
                let symbol = view.object.symbol(*symbol_id);
                if (is_new && !symbol.is_local()) != global {
                    continue;
                }
                let size = self.size_with_stubs(*id, symbol);
                let out = self.out.symbols.add();
                out.name = symbol.name().as_bytes().to_vec().into();
                out.set_st_info(
                    if global {
                        elf::SymbolBind(symbol.bind)
                    } else {
                        elf::STB_LOCAL
                    },
                    elf::SymbolType(symbol.kind),
                );
                out.st_other = elf::SymbolOther(symbol.other);
                out.section = Some(sections[spot.pool]);
                out.st_value = spot.offset + (symbol.value - bundle.start.min(symbol.value));
                out.st_size = size;
                if bundle.owner == Some(*symbol_id) {
                    self.owners.insert(*id, out.id());
                }
            }
        }
    }

    /// A symbol that reaches to the end of its function reaches to the end of its stubs.
    fn size_with_stubs(&self, id: BundleId, symbol: Symbol<'_>) -> u64 {
        let to_end =
            symbol.value.checked_add(symbol.size) == Some(self.source.view.bundles.get(id).end());
        match self.stubs.get(&id).filter(|_| to_end && symbol.size > 0) {
            Some(stubs) => symbol.size + stubs.bytes(self.source.arch).len() as u64,
            None => symbol.size,
        }
    }

    fn define_aliases(&mut self, sections: &[OutSection]) {
        let view = self.source.view;
        for (id, alias) in self.source.aliases.iter().chain(self.source.roots) {
            let (Some(spot), bundle) = (self.spots.get(id), view.bundles.get(*id)) else {
                continue;
            };
            let Some(owner) = bundle.owner.map(|owner| view.object.symbol(owner)) else {
                continue;
            };
            let size = self.size_with_stubs(*id, owner);
            let out = self.out.symbols.add();
            out.name = alias.as_bytes().to_vec().into();
            out.set_st_info(elf::STB_GLOBAL, elf::SymbolType(owner.kind));
            out.st_other = elf::SymbolOther(elf::STV_HIDDEN.0);
            out.section = Some(sections[spot.pool]);
            out.st_value = spot.offset + owner.value - bundle.start;
            out.st_size = size;
        }
    }

    fn relocate(&mut self) {
        let view = self.source.view;
        let spots: Vec<(BundleId, Spot)> =
            self.spots.iter().map(|(id, spot)| (*id, *spot)).collect();
        for (id, spot) in spots {
            let start = view.bundles.get(id).start;
            for reference in view.refs_of(id) {
                if !reference.is_short(self.source.arch) {
                    self.relocate_one(&reference, spot, start, Some(id));
                }
            }
            self.relocate_stubs(id, spot, start);
        }
        for (entry, spot, parallel) in self.entry_spots.clone() {
            let mut refs = refs_of(view, &entry);
            let own_key = self.is_off(&entry).then(|| refs.pop()).flatten();
            for reference in &refs {
                self.relocate_one(reference, spot, entry.start, None);
            }
            if let Some(own_key) = own_key {
                self.relocate_to_off_key(&own_key, spot, entry.start);
            }
            if let (Some((section, start, len)), Some(spot)) = (entry.parallel, parallel) {
                for reference in view.refs_in(section, start, start + len) {
                    self.relocate_one(&reference, spot, start, None);
                }
            }
        }
        self.relocate_unwinding();
        self.write_loads();
    }

    /// Sends the short branches of a function to its stubs, and those on.
    fn relocate_stubs(&mut self, id: BundleId, spot: Spot, start: u64) {
        let Some(stubs) = self.stubs.remove(&id) else {
            return;
        };
        let (jump, field) = self.source.arch.jump();
        for stub in &stubs.list {
            for branch in &stub.fields {
                let distance = (stub.offset - branch - 1) as u8;
                let at = (spot.offset + branch) as usize;
                if let Some(byte) = self.pools[spot.pool].data.get_mut(at) {
                    *byte = distance;
                }
            }
            let reference = Ref {
                offset: start + stub.offset + u64::from(field),
                kind: self.source.arch.branch_kind(),
                bias: jump.len() as u8 - field,
                resolved: false,
                by_section: false,
                named: None,
                target: stub.target,
            };
            self.relocate_one(&reference, spot, start, Some(id));
        }
    }

    fn relocate_one(&mut self, reference: &Ref, spot: Spot, start: u64, inside: Option<BundleId>) {
        if reference.resolved
            && matches!(reference.target, Target::Bundle { id, .. } if Some(id) == inside)
        {
            return;
        }
        let at = spot.offset + (reference.offset - start);
        let in_entry = inside.is_none();
        let found = self
            .check_kind(reference)
            .and_then(|()| self.symbol_for(reference, in_entry))
            .and_then(|found| self.check_read_early(spot.pool, in_entry, found));
        match found {
            Ok((symbol, addend)) => {
                let pool = &mut self.pools[spot.pool];
                if reference.resolved {
                    clear(&mut pool.data, at, reference.width(self.source.arch));
                }
                pool.relocs.push(Relocation {
                    r_offset: at,
                    symbol: Some(symbol),
                    r_type: elf::RelocationType(reference.kind),
                    r_addend: addend.wrapping_sub(i64::from(reference.bias)),
                });
            }
            Err(refusal) => {
                if self.refused.insert(refusal.clone()) {
                    self.refusals.push(refusal);
                }
            }
        }
    }

    /// The kernel's loader refuses kinds that it does not know by itself; that of a process is ours.
    fn check_kind(&self, reference: &Ref) -> Result<(), Refusal> {
        let kind = reference.kind;
        if !self.source.flavour.is_process() || self.source.arch.is_for_process(kind) {
            return Ok(());
        }
        let target = match reference.target {
            Target::Bundle { id, .. } => self.source.view.name(id),
            Target::Symbol { id, .. } => self.source.view.object.symbol(id).name(),
            Target::Section { id, .. } => self.source.view.object.section_name(id),
        };
        Err(Refusal::new(
            RefusalCode::RelocationKind,
            target,
            format!(
                "the patch refers to it by a relocation of type {kind}, which cannot be made in a running process: compile without -mcmodel=large, -mcmodel=medium and -mtls-dialect=gnu2"
            ),
        ))
    }

    /// What the kernel reads as it loads the patch must be complete by then. The symbols of a module are filled in
    /// when that module is there, which may be later (`klp_apply_section_relocs`, kernel/livepatch/core.c).
    fn check_read_early(
        &self,
        pool: usize,
        in_entry: bool,
        (symbol, addend): (OutSymbol, i64),
    ) -> Result<(OutSymbol, i64), Refusal> {
        let pool = &self.pools[pool].name;
        if !in_entry && pool != ".altinstr_replacement" {
            return Ok((symbol, addend));
        }
        let name = String::from_utf8_lossy(&self.out.symbols.get(symbol).name);
        let of_module = name.parse::<KlpSymName>().ok();
        let Some(klp) = of_module.filter(|klp| !klp.object.is_vmlinux()) else {
            return Ok((symbol, addend));
        };
        Err(Refusal::new(
            RefusalCode::SpecialSection,
            pool.as_str(),
            format!(
                "it refers to {} of module {}, but the kernel reads this section as the patch is loaded, when that module may not be there: call it through a function of the patch that is no part of an alternative",
                klp.symbol, klp.object
            ),
        ))
    }

    /// The output's symbol for a reference and the distance from it, bias not yet taken off. A special entry is about
    /// the code that is carried, never about the target's.
    fn symbol_for(&mut self, reference: &Ref, in_entry: bool) -> Result<(OutSymbol, i64), Refusal> {
        let view = self.source.view;
        match reference.target {
            Target::Bundle { id, offset } if self.source.resolver.is_open_alias(id, reference) => {
                self.outside(id, offset, reference)
            }
            Target::Bundle { id, offset } => match self.spots.get(&id) {
                // A changed function is reached through the target: whatever patch is on top of it there then
                // answers, and an address that outlives the patch stays valid. Its own labels are in here.
                Some(_) if !in_entry && self.is_entry_of_changed(id, offset) => {
                    self.outside(id, offset, reference)
                }
                Some(spot) if reference.by_section && self.is_in_the_middle(id, offset) => Ok((
                    self.section_symbols[spot.pool],
                    offset.wrapping_add_unsigned(spot.offset),
                )),
                Some(spot) => Ok(self.inside(id, *spot, offset)),
                None => self.outside(id, offset, reference),
            },
            Target::Symbol { id, offset } => {
                let symbol = view.object.symbol(id);
                let in_target = self.source.flavour.is_process()
                    && symbol.place == Place::Reserved(elf::SHN_COMMON.0)
                    && self.source.resolver.target_has(symbol.name());
                let is_outer = symbol.place == Place::Undefined || in_target;
                if !is_outer && !symbol.name().is_empty() {
                    return Err(Refusal::new(
                        RefusalCode::Unresolved,
                        symbol.name(),
                        "an absolute or common symbol cannot be carried into a patch",
                    ));
                }
                if symbol.name().is_empty() {
                    return Ok((self.absolute(), offset));
                }
                let reach = self.source.resolver.undefined(id)?;
                let is_tls = symbol.kind == elf::STT_TLS.0;
                Ok((self.outer(reach, is_tls), offset))
            }
            Target::Section { id, offset } => {
                if let Some(found) = self.inside_entry(id, offset) {
                    return Ok(found);
                }
                let name = view.object.section(id).name();
                Err(Refusal::new(
                    RefusalCode::Unresolved,
                    name,
                    "the patch refers to a place in this section, which is not carried",
                ))
            }
        }
    }

    /// Code that refers to an entry about itself.
    fn inside_entry(&self, section: SectionId, offset: i64) -> Option<(OutSymbol, i64)> {
        let offset = u64::try_from(offset).ok()?;
        let after = self
            .by_place
            .range(..=(section, offset))
            .next_back()
            .filter(|((known, _), _)| *known == section)?;
        let ((_, start), (spot, len)) = after;
        (offset - start < *len).then(|| {
            let addend = spot.offset + (offset - start);
            (self.section_symbols[spot.pool], addend as i64)
        })
    }

    /// A jump to a label goes by the section, as the assembler has it: by the symbol of a function objtool would take it
    /// for a call (`add_jump_destinations`, tools/objtool/check.c), and would not look at what comes after.
    fn is_in_the_middle(&self, id: BundleId, offset: i64) -> bool {
        let bundle = self.source.view.bundles.get(id);
        let owner = bundle
            .owner
            .map(|owner| self.source.view.object.symbol(owner));
        bundle.kind == Kind::Function
            && owner.is_some_and(|owner| owner.value.wrapping_sub(bundle.start) as i64 != offset)
    }

    fn is_entry_of_changed(&self, id: BundleId, offset: i64) -> bool {
        let bundle = self.source.view.bundles.get(id);
        let entry = bundle.owner.map_or(0, |owner| {
            self.source
                .view
                .object
                .symbol(owner)
                .value
                .wrapping_sub(bundle.start)
        });
        self.source.aliases.contains_key(&id) && offset == entry as i64
    }

    fn inside(&self, id: BundleId, spot: Spot, offset: i64) -> (OutSymbol, i64) {
        let view = self.source.view;
        match (self.owners.get(&id), view.bundles.get(id).owner) {
            (Some(symbol), Some(owner)) => (
                *symbol,
                offset
                    .wrapping_sub_unsigned(view.object.symbol(owner).value)
                    .wrapping_add_unsigned(view.bundles.get(id).start),
            ),
            _ => (
                self.section_symbols[spot.pool],
                offset.wrapping_add_unsigned(spot.offset),
            ),
        }
    }

    fn outside(
        &mut self,
        id: BundleId,
        offset: i64,
        reference: &Ref,
    ) -> Result<(OutSymbol, i64), Refusal> {
        let (reach, value) = self.source.resolver.bundle_by(id, reference)?;
        let section = self.source.view.bundles.get(id).section;
        let is_tls = is_thread_local(self.source.view.object.section(section));
        Ok((self.outer(reach, is_tls), offset.wrapping_sub(value)))
    }

    fn outer(&mut self, reach: Reach, is_tls: bool) -> OutSymbol {
        let (name, bind) = match reach {
            Reach::Export {
                name,
                namespace,
                weak,
            } => {
                if !namespace.is_empty() {
                    self.found.namespaces.insert(namespace);
                }
                (name, if weak { elf::STB_WEAK } else { elf::STB_GLOBAL })
            }
            Reach::Klp(symbol) => {
                self.found.objects.insert(symbol.object.clone());
                (symbol.to_string(), elf::STB_GLOBAL)
            }
            Reach::Elsewhere(name) => {
                self.found.undefined.insert(name.clone());
                (name, elf::STB_GLOBAL)
            }
        };
        if let Some(known) = self.outer.get(&name) {
            return *known;
        }
        let symbol = self.out.symbols.add();
        symbol.name = name.clone().into_bytes().into();
        let kind = if is_tls {
            elf::STT_TLS
        } else {
            elf::STT_NOTYPE
        };
        symbol.set_st_info(bind, kind);
        let id = symbol.id();
        self.outer.insert(name, id);
        id
    }

    /// A relocation without a symbol counts from address zero.
    fn absolute(&mut self) -> OutSymbol {
        if let Some(known) = self.outer.get("") {
            return *known;
        }
        let symbol = self.out.symbols.add();
        symbol.set_st_info(elf::STB_LOCAL, elf::STT_NOTYPE);
        symbol.st_shndx = elf::SHN_ABS;
        let id = symbol.id();
        self.outer.insert(String::new(), id);
        id
    }

    fn finish(mut self) -> Result<Emitted, Vec<Refusal>> {
        let paddings = self.pools.iter().map(|pool| pool.align);
        if self.written.saturating_add(paddings.sum()) > LARGEST {
            self.refusals.push(Refusal::new(
                RefusalCode::Unresolved,
                "output",
                format!("what changed takes more than {LARGEST} bytes, which no module can hold"),
            ));
        }
        if !self.refusals.is_empty() {
            return Err(self.refusals);
        }
        let sections: Vec<OutSection> = self
            .out
            .sections
            .iter()
            .map(|section| section.id())
            .collect();
        let symtab = add_tables(&mut self.out);
        for (pool, section) in std::mem::take(&mut self.pools).into_iter().zip(sections) {
            fill_section(&mut self.out, section, symtab, pool);
        }
        self.out.set_section_sizes();
        let mut bytes = Vec::new();
        match self.out.write(&mut bytes) {
            Ok(()) => Ok(Emitted {
                bytes,
                ..self.found
            }),
            Err(error) => Err(vec![Refusal::new(
                RefusalCode::Unresolved,
                "output",
                format!("the object cannot be written: {error}"),
            )]),
        }
    }
}

//! What each relocation means: which bundle it refers to and where in it, whatever way it is spelt.
//!
//! An assembler writes a reference to a local symbol as section + offset, and a PC-relative field counts from the end
//! of its instruction, so one reference can be spelt in many ways. The tempting wrong way is to compare symbol and
//! addend as they stand, and to read `.data + 4` as the object at 4 where it is the one at 8.

use crate::arch::Arch;
use crate::bundle::{BundleId, Bundles, Kind};
use crate::name;
use crate::object::{Object, Place, Reloc, Section, SectionId, SymbolId};
use crate::special::table::{Class, classify};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// What a reference refers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// A place in, before or behind a bundle.
    Bundle {
        /// The bundle.
        id: BundleId,
        /// Bytes from its start.
        offset: i64,
    },
    /// A place in a section that is not cut into bundles.
    Section {
        /// The section.
        id: SectionId,
        /// Bytes from its start.
        offset: i64,
    },
    /// A symbol that is not defined here, or is no place at all.
    Symbol {
        /// The symbol.
        id: SymbolId,
        /// Bytes from it.
        offset: i64,
    },
}

/// A relocation that has been understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ref {
    /// Offset of the field in its section.
    pub offset: u64,
    /// Relocation type.
    pub kind: u32,
    /// Distance from the field to where a PC-relative value counts from, already part of the target's offset.
    pub bias: u8,
    /// Whether the object has no relocation for it: a branch that the assembler resolved, whose bytes mean nothing.
    pub resolved: bool,
    /// Whether it is spelt as section + offset, so that the end of one thing and the start of the next look alike.
    pub by_section: bool,
    /// The symbol that it is spelt with, where that is defined here: one of several names, perhaps.
    pub named: Option<SymbolId>,
    /// What it refers to.
    pub target: Target,
}

impl Ref {
    /// Bytes of its field.
    pub fn width(&self, arch: &dyn Arch) -> u64 {
        if self.is_short(arch) {
            1
        } else {
            arch.width(self.kind)
        }
    }

    /// Whether it is a short branch, for which there is no kind of relocation.
    pub fn is_short(&self, arch: &dyn Arch) -> bool {
        self.resolved && self.kind == arch.none_kind()
    }
}

/// The references of an object, understood where they are looked at: an object has several for each function, and a
/// table of them would be the largest thing in memory. Those of debug information are not among them.
#[derive(Debug)]
struct Refs {
    biases: Biases,
    /// All of a section's, by offset, where branches are among them for which the object has no relocation.
    listed: BTreeMap<SectionId, Vec<Ref>>,
}

/// Some references of a section, by offset.
#[derive(Clone)]
pub struct RefsIn<'v> {
    source: Source<'v>,
    /// Their indices there.
    range: Range<usize>,
}

#[derive(Clone)]
enum Source<'v> {
    Listed(&'v [Ref]),
    /// Those of the section's relocations, and what their fields count from.
    Relocs(&'v Object<'v>, &'v Bundles, Section<'v>, &'v [u8]),
}

impl RefsIn<'_> {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.range.is_empty()
    }
}

impl Iterator for RefsIn<'_> {
    type Item = Ref;

    fn next(&mut self) -> Option<Ref> {
        let index = self.range.next()?;
        match &self.source {
            Source::Listed(refs) => refs.get(index).copied(),
            Source::Relocs(object, bundles, field, biases) => {
                let bias = biases.get(index).copied().unwrap_or(0);
                let reloc = field.relocs.get(index)?;
                Some(resolve(object, bundles, *field, &reloc, bias))
            }
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.range.size_hint()
    }
}

impl ExactSizeIterator for RefsIn<'_> {}

/// One of the two objects with all that can be said of it alone.
pub struct View<'d> {
    /// The object.
    pub object: Object<'d>,
    /// Its pieces.
    pub bundles: Bundles,
    refs: Refs,
}

impl<'d> View<'d> {
    /// Cuts the object and resolves its references.
    pub fn new(object: Object<'d>, arch: &dyn Arch) -> Self {
        let biases = Biases::read(&object, arch);
        let bundles = Bundles::cut(&object, &targets(&object, arch, &biases));
        let refs = Refs::new(&object, &bundles, biases, arch);
        Self {
            object,
            bundles,
            refs,
        }
    }

    /// The references of a bundle.
    pub fn refs_of(&self, id: BundleId) -> RefsIn<'_> {
        let bundle = self.bundles.get(id);
        self.refs_in(bundle.section, bundle.start, bundle.end())
    }

    /// The references with a field in `start..end` of a section, by offset.
    pub fn refs_in(&self, section: SectionId, start: u64, end: u64) -> RefsIn<'_> {
        let field = self.object.section(section);
        let (source, range) = match self.refs.listed.get(&section) {
            Some(listed) => {
                let first = listed.partition_point(|reference| reference.offset < start);
                let last = listed.partition_point(|reference| reference.offset < end);
                (Source::Listed(listed), first..last.max(first))
            }
            None if refers(field) => {
                let biases = self.refs.biases.of(section);
                let source = Source::Relocs(&self.object, &self.bundles, field, biases);
                (source, field.relocs_in(start, end))
            }
            None => (Source::Listed(&[]), 0..0),
        };
        RefsIn { source, range }
    }

    /// The bytes of a bundle; none where it is all zeros (`.bss`).
    pub fn bytes_of(&self, id: BundleId) -> &[u8] {
        let bundle = self.bundles.get(id);
        self.object
            .section(bundle.section)
            .bytes(bundle.start, bundle.end())
    }

    /// Whether an offset of a bundle is a label within a function, not its entry.
    pub fn is_inside(&self, id: BundleId, offset: i64) -> bool {
        let bundle = self.bundles.get(id);
        let entry = bundle.owner.map_or(0, |owner| {
            self.object.symbol(owner).value.wrapping_sub(bundle.start) as i64
        });
        bundle.kind == Kind::Function && offset != entry
    }

    /// What the reference at an offset of a bundle refers to, for people.
    pub fn describe_target(&self, id: BundleId, offset: u64) -> Option<String> {
        let start = self.bundles.get(id).start;
        let reference = self
            .refs_of(id)
            .find(|reference| reference.offset - start == offset)?;
        let (name, offset) = match reference.target {
            Target::Bundle { id, offset } if self.bundles.get(id).kind == Kind::String => {
                let text = self.bytes_of(id).get(usize::try_from(offset).ok()?..)?;
                let shown = String::from_utf8_lossy(text.strip_suffix(b"\0").unwrap_or(text));
                return Some(format!("\"{}\"", in_c(shown.chars().take(60))));
            }
            Target::Bundle { id, offset } => (self.name(id), offset),
            Target::Section { id, offset } => (self.object.section(id).name(), offset),
            Target::Symbol { id, offset } => (self.object.symbol(id).name(), offset),
        };
        Some(if offset == 0 {
            name.to_owned()
        } else {
            format!("{name}{offset:+#x}")
        })
    }

    /// The name of a bundle's symbol, or of its section.
    pub fn name(&self, id: BundleId) -> &'d str {
        self.bundles.name(&self.object, id)
    }

    /// The name of the section that a bundle is in.
    pub fn section_name(&self, id: BundleId) -> &'d str {
        self.object.section_name(self.bundles.get(id).section)
    }
}

/// Characters as a string of C has them.
fn in_c(text: impl Iterator<Item = char>) -> String {
    let mut escaped = String::new();
    for c in text {
        match u8::try_from(c).ok().filter(u8::is_ascii) {
            Some(b'\'') => escaped.push(c),
            Some(byte) => escaped.extend(byte.escape_ascii().map(char::from)),
            None => escaped.extend(c.escape_debug()),
        }
    }
    escaped
}

/// For each relocation of a code section: what its field's value counts from.
#[derive(Debug)]
struct Biases {
    list: Vec<u8>,
    /// Where each section's begin; one more at the end.
    first: Vec<u32>,
}

impl Biases {
    fn read(object: &Object<'_>, arch: &dyn Arch) -> Self {
        let functions = object.symbols().filter(|(_, symbol)| symbol.is_function());
        let mut starts: Vec<(SectionId, u64)> = functions
            .filter_map(|(_, symbol)| Some((symbol.section()?, symbol.value)))
            .collect();
        starts.sort_unstable();
        starts.dedup();
        let mut starts = starts.into_iter().peekable();
        let mut biases = Self {
            list: Vec::new(),
            first: Vec::with_capacity(object.section_count() + 1),
        };
        biases.first.extend([0, 0]);
        for (id, section) in object.sections() {
            let own = std::iter::from_fn(|| starts.next_if(|(section, _)| *section == id));
            let own: Vec<u64> = own.map(|(_, start)| start).collect();
            if is_decoded(section) && !section.relocs.is_empty() {
                let distances = arch.field_to_end(section, &own).into_iter();
                let pairs = distances.zip(section.relocs.iter());
                let bias = |(distance, reloc): (u8, Reloc)| match arch.is_pc_relative(reloc.kind) {
                    true => distance,
                    false => 0,
                };
                biases.list.extend(pairs.map(bias));
            }
            biases.first.push(biases.list.len() as u32);
        }
        biases
    }

    /// Those of a section, by index of the relocation; none where all are 0.
    fn of(&self, id: SectionId) -> &[u8] {
        let id = id.0 as usize;
        &self.list[self.first[id] as usize..self.first[id + 1] as usize]
    }

    /// The relocations of a section, each with what its field counts from.
    fn with_relocs<'s>(
        &'s self,
        id: SectionId,
        section: Section<'s>,
    ) -> impl Iterator<Item = (Reloc, u8)> + 's {
        let biases = self.of(id).iter().copied();
        let relocs = section.relocs.iter();
        relocs.zip(biases.chain(std::iter::repeat(0)))
    }
}

fn is_decoded(section: Section<'_>) -> bool {
    section.is_alloc() && section.is_exec()
}

/// The places in code without function symbols that are referred to, and in other code those where the room for
/// patching before a function begins; in order.
fn targets(object: &Object<'_>, arch: &dyn Arch, biases: &Biases) -> Vec<(SectionId, u64)> {
    let mut has_function = vec![false; object.section_count()];
    for (_, symbol) in object.symbols() {
        if let (Some(section), true, None) = (
            symbol.section(),
            symbol.is_function(),
            name::prefixed_function(symbol.name()),
        ) {
            has_function[section.0 as usize] = true;
        }
    }
    let mut targets = Vec::new();
    for (id, section) in object.sections() {
        let tells_room = section.name() == "__patchable_function_entries";
        if !cuts_fragments(section) && !tells_room {
            continue;
        }
        for (reloc, bias) in biases.with_relocs(id, section) {
            let symbol = object.symbol(reloc.symbol);
            let offset = plain(section, place(symbol.value, &reloc, bias));
            let offset = u64::try_from(offset).ok();
            if let (Some(id), Some(offset)) = (symbol.section(), offset)
                && object.section(id).is_exec()
                && has_function[id.0 as usize] == tells_room
            {
                targets.push((id, offset));
            }
        }
    }
    targets.sort_unstable();
    targets.dedup();
    // Code that runs on into what follows is one piece with it. Replacements are not run where they are.
    let mut ends: BTreeMap<SectionId, BTreeSet<u64>> = BTreeMap::new();
    targets.retain(|(id, offset)| {
        let section = object.section(*id);
        has_function[id.0 as usize]
            || section.name() == ".altinstr_replacement"
            || ends
                .entry(*id)
                .or_insert_with(|| arch.ends_of_flow(section))
                .contains(offset)
    });
    targets
}

/// Where an address in an exception table is. Until Linux 4.5 a distance that is too large by so much marked an entry of
/// its own kind (`_ASM_EXTABLE_EX`, asm/asm.h).
fn plain(section: Section<'_>, offset: i64) -> i64 {
    const MARK: i64 = 0x7fff_fff0;
    const LARGEST: i64 = 0x1000_0000;
    let marked = offset > MARK - LARGEST && section.name() == "__ex_table";
    if marked { offset - MARK } else { offset }
}

/// Whether what this section refers to begins a fragment: code that jumps there, the tables that name it as
/// replacement or fixup. Tables about single instructions refer into the middle of fragments.
fn cuts_fragments(section: Section<'_>) -> bool {
    section.is_alloc()
        && (matches!(classify(section), Class::Body)
            || matches!(section.name(), ".altinstructions" | "__ex_table"))
}

fn place(value: u64, reloc: &Reloc, bias: u8) -> i64 {
    (value as i64)
        .wrapping_add(reloc.addend)
        .wrapping_add(i64::from(bias))
}

fn resolve(
    object: &Object<'_>,
    bundles: &Bundles,
    field: Section<'_>,
    reloc: &Reloc,
    bias: u8,
) -> Ref {
    let symbol = object.symbol(reloc.symbol);
    let target = match symbol.place {
        Place::Section(section) => {
            let offset = place(symbol.value, reloc, bias);
            let anchor = if symbol.is_section() {
                plain(field, offset)
            } else {
                symbol.value as i64
            };
            match bundles.at(section, anchor.max(0) as u64) {
                Some(id) => Target::Bundle {
                    id,
                    offset: offset.wrapping_sub(bundles.get(id).start as i64),
                },
                None => Target::Section {
                    id: section,
                    offset,
                },
            }
        }
        _ => Target::Symbol {
            id: reloc.symbol,
            offset: place(0, reloc, bias),
        },
    };
    Ref {
        offset: reloc.offset,
        kind: reloc.kind,
        bias,
        resolved: false,
        by_section: symbol.is_section(),
        named: (!symbol.is_section()).then_some(reloc.symbol),
        target,
    }
}

/// Whether what a section refers to is of interest: it is in memory, or says something about what is.
fn refers(section: Section<'_>) -> bool {
    section.is_alloc() || matches!(classify(section), Class::Special(_))
}

impl Refs {
    fn new(object: &Object<'_>, bundles: &Bundles, biases: Biases, arch: &dyn Arch) -> Self {
        let mut listed = BTreeMap::new();
        for (id, section) in object.sections().filter(|(_, section)| refers(*section)) {
            let branches = local_branches((id, section), bundles, arch);
            if branches.is_empty() {
                continue;
            }
            let relocs = biases.with_relocs(id, section);
            let refs = relocs.map(|(reloc, bias)| resolve(object, bundles, section, &reloc, bias));
            let mut list: Vec<Ref> = refs.chain(branches).collect();
            list.sort_by_key(|reference| reference.offset);
            listed.insert(id, list);
        }
        Self { biases, listed }
    }
}

/// Functions that share a section call each other, and position-independent code takes their addresses, without
/// relocations.
fn local_branches(
    (id, section): (SectionId, Section<'_>),
    bundles: &Bundles,
    arch: &dyn Arch,
) -> Vec<Ref> {
    let mut refs = Vec::new();
    if !section.is_exec() || bundles.of_section(id).count() < 2 {
        return refs;
    }
    let functions = bundles
        .of_section(id)
        .filter(|(_, bundle)| bundle.kind == Kind::Function);
    for (_, bundle) in functions {
        for branch in arch.local_branches(section, bundle.start, bundle.end()) {
            let Some(target) = bundles.at(id, branch.target) else {
                continue;
            };
            let offset = branch.target as i64 - bundles.get(target).start as i64;
            refs.push(Ref {
                offset: branch.field,
                kind: match branch.width {
                    4 => arch.branch_kind(),
                    _ => arch.none_kind(),
                },
                bias: branch.to_end,
                resolved: true,
                by_section: false,
                named: None,
                target: Target::Bundle { id: target, offset },
            });
        }
    }
    refs
}

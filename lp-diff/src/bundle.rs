//! Cuts the sections of an object into bundles: the smallest pieces that are compared, kept or left out as a whole.
//!
//! With `-ffunction-sections -fdata-sections` most sections hold one function or one datum and are one bundle. Not
//! all do: functions with a section attribute (`__sched`, `__init`) and data of one kind (`__read_mostly`) still share
//! a section, strings and constants are pooled, and code that alternatives or exceptions jump to has no symbol at all.
//! The tempting wrong way is to treat a section as the unit, and to refuse what shares one.

use crate::name;
use crate::object::{Object, Section, SectionId, Symbol, SymbolId};
use crate::source_file::SourceFiles;
use crate::special::table::{Class, classify};
use object::elf;
use std::cell::OnceCell;
use std::collections::{HashMap, HashSet};
use std::ops::Range;

/// Index of a bundle among those of its object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BundleId(pub u32);

/// What a bundle is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A function with a symbol.
    Function,
    /// Code without a symbol that others jump to (`.altinstr_replacement`, `.altinstr_aux`, `.fixup`).
    Fragment,
    /// A named datum.
    Data,
    /// A named datum that a macro or the compiler makes for each use, see [`name::is_per_use`].
    PerUse,
    /// One string of a pool.
    String,
    /// A constant or table without a name.
    Anonymous,
}

impl Kind {
    /// Whether it is known by what it holds rather than by a name.
    pub fn is_by_content(self) -> bool {
        !matches!(self, Kind::Function | Kind::Data)
    }
}

/// A piece of a section.
#[derive(Debug, Clone, Copy)]
pub struct Bundle {
    /// The section it is cut from.
    pub section: SectionId,
    /// Offset of its first byte in the section.
    pub start: u64,
    /// Size in bytes.
    pub len: u64,
    /// What it is.
    pub kind: Kind,
    /// The symbol it is known by.
    pub owner: Option<SymbolId>,
    /// For a function's `.cold` part: the function.
    pub parent: Option<BundleId>,
}

impl Bundle {
    /// Offset after its last byte in the section.
    pub fn end(&self) -> u64 {
        self.start + self.len
    }
}

/// What is remembered of a bundle; no section is as large as 4 GiB.
#[derive(Debug)]
struct Piece {
    section: SectionId,
    start: u32,
    len: u32,
    /// Index of the symbol it is known by; 0 for none.
    owner: u32,
    /// All symbols that it defines: the first of them among [`Bundles::symbols`], and how many.
    symbols: (u32, u32),
    kind: Kind,
    /// Whether it has a parent.
    is_part: bool,
}

/// All bundles of an object, by section and offset.
#[derive(Debug, Default)]
pub struct Bundles {
    list: Vec<Piece>,
    /// The functions that cold parts belong to.
    parents: HashMap<BundleId, BundleId>,
    /// Where each section's begin; one more at the end.
    first: Vec<u32>,
    /// Named symbols by section and value.
    symbols: Vec<SymbolId>,
}

impl Bundles {
    /// Cuts all sections of code and data. `targets` are the (section, offset) pairs that relocations refer to, in
    /// order; code without symbols is cut at them.
    pub fn cut(object: &Object<'_>, targets: &[(SectionId, u64)]) -> Self {
        let mut bundles = Bundles {
            list: Vec::with_capacity(object.section_count()),
            first: Vec::with_capacity(object.section_count() + 1),
            symbols: named_symbols(object),
            ..Bundles::default()
        };
        bundles.first.extend([0, 0]);
        let mut next = 0;
        for (id, section) in object.sections() {
            let is_inside = |symbol: &&SymbolId| object.symbol(**symbol).section() == Some(id);
            let own = bundles.symbols[next..].iter().take_while(is_inside).count();
            if matches!(classify(section), Class::Body) && holds_bytes(section) {
                let cutter = Cutter {
                    object,
                    id,
                    section,
                    symbols: &bundles.symbols[next..next + own],
                    first_symbol: next as u32,
                    names: OnceCell::new(),
                    targets,
                };
                let cut = cutter.cut();
                bundles.list.extend(cut);
            }
            next += own;
            bundles.first.push(bundles.list.len() as u32);
        }
        bundles.list.shrink_to_fit();
        bundles.adopt_cold_parts(object);
        bundles
    }

    /// The bundle with this id.
    pub fn get(&self, id: BundleId) -> Bundle {
        let piece = &self.list[id.0 as usize];
        let parent = || self.parents.get(&id).copied();
        Bundle {
            section: piece.section,
            start: piece.start.into(),
            len: piece.len.into(),
            kind: piece.kind,
            owner: (piece.owner != 0).then_some(SymbolId(piece.owner)),
            parent: piece.is_part.then(parent).flatten(),
        }
    }

    /// All symbols that a bundle defines, by value.
    pub fn symbols(&self, id: BundleId) -> &[SymbolId] {
        let (first, count) = self.list[id.0 as usize].symbols;
        &self.symbols[first as usize..][..count as usize]
    }

    /// All bundles with their ids.
    pub fn iter(&self) -> impl Iterator<Item = (BundleId, Bundle)> {
        let ids = (0..self.list.len() as u32).map(BundleId);
        ids.map(|id| (id, self.get(id)))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The bundles of a section, by offset.
    pub fn of_section(&self, section: SectionId) -> impl Iterator<Item = (BundleId, Bundle)> {
        let ids = self.range(section).map(BundleId);
        ids.map(|id| (id, self.get(id)))
    }

    fn range(&self, section: SectionId) -> Range<u32> {
        let at = section.0 as usize;
        self.first[at]..self.first[at + 1]
    }

    /// The bundle that holds the byte at this offset. The end of a section belongs to its last bundle, and what lies
    /// before the first one to that: code counts from before a table or to the end of one.
    pub fn at(&self, section: SectionId, offset: u64) -> Option<BundleId> {
        let range = self.range(section);
        let bundles = &self.list[range.start as usize..range.end as usize];
        let after = bundles.partition_point(|bundle| u64::from(bundle.start) <= offset);
        (!bundles.is_empty()).then(|| BundleId(range.start + after.saturating_sub(1) as u32))
    }

    /// The name a bundle is known by, or its section's.
    pub fn name<'d>(&self, object: &Object<'d>, id: BundleId) -> &'d str {
        let bundle = self.get(id);
        match bundle.owner {
            Some(owner) => object.symbol(owner).name(),
            None => object.section_name(bundle.section),
        }
    }

    fn adopt_cold_parts(&mut self, object: &Object<'_>) {
        let parent = |(id, bundle): (BundleId, Bundle)| {
            let owner = bundle.owner?;
            Some((id, owner, name::cold_parent(object.symbol(owner).name())?))
        };
        let parts: Vec<(BundleId, SymbolId, &str)> = self.iter().filter_map(parent).collect();
        if parts.is_empty() {
            return;
        }
        let mut functions: HashMap<&str, Vec<(BundleId, SymbolId)>> = parts
            .iter()
            .map(|(.., parent)| (*parent, Vec::new()))
            .collect();
        for (id, bundle) in self.iter().filter(|(_, one)| one.kind == Kind::Function) {
            let Some(owner) = bundle.owner else { continue };
            if let Some(known) = functions.get_mut(object.symbol(owner).name()) {
                known.push((id, owner));
            }
        }
        let files = OnceCell::new();
        for (id, owner, parent) in parts {
            let known = functions.get(parent).map_or(&[][..], Vec::as_slice);
            let found = match known {
                [] => None,
                [(only, _)] => Some(*only),
                several => {
                    let files = files.get_or_init(|| SourceFiles::read(object));
                    of_same_file(object, files, owner, several)
                }
            };
            if let Some(parent) = found {
                self.list[id.0 as usize].is_part = true;
                self.parents.insert(id, parent);
            }
        }
    }
}

/// Of several functions of a name the one that the part of a source file is of: the static one of that file, or else the
/// one that is not static.
fn of_same_file(
    object: &Object<'_>,
    files: &SourceFiles<'_>,
    part: SymbolId,
    functions: &[(BundleId, SymbolId)],
) -> Option<BundleId> {
    let is_local = |owner: &SymbolId| object.symbol(*owner).is_local();
    let of_file =
        |(_, owner): &&(BundleId, SymbolId)| is_local(owner) && files.of(*owner) == files.of(part);
    let mut functions_of_all = functions.iter().filter(|(_, owner)| !is_local(owner));
    let found = functions.iter().find(of_file).or(functions_of_all.next());
    found.map(|(id, _)| *id)
}

/// The symbols that name a place in a section, by section, value and index.
fn named_symbols(object: &Object<'_>) -> Vec<SymbolId> {
    let named = object.symbols().filter_map(|(id, symbol)| {
        let section = symbol.section()?;
        (!symbol.is_section() && !symbol.name().is_empty()).then_some((section, symbol.value, id))
    });
    let mut named: Vec<(SectionId, u64, SymbolId)> = named.collect();
    named.sort_unstable();
    let mut ids = Vec::with_capacity(named.len());
    ids.extend(named.into_iter().map(|(.., id)| id));
    ids
}

fn holds_bytes(section: Section<'_>) -> bool {
    section.kind == elf::SHT_PROGBITS.0 || section.is_nobits() || section.kind >= elf::SHT_LOOS
}

struct Cutter<'o, 'd> {
    object: &'o Object<'d>,
    id: SectionId,
    section: Section<'o>,
    /// Those of the section, by value.
    symbols: &'o [SymbolId],
    /// Index of the first of them among all.
    first_symbol: u32,
    /// Their names, once asked for.
    names: OnceCell<HashSet<&'d str>>,
    targets: &'o [(SectionId, u64)],
}

impl Cutter<'_, '_> {
    fn cut(&self) -> Vec<Piece> {
        let section = self.section;
        let cuts = if section.is_strings() {
            self.string_cuts()
        } else if section.is_mergeable()
            && section.entsize > 0
            && section.size / section.entsize <= section.data.len() as u64
        {
            (0..section.size)
                .step_by(section.entsize as usize)
                .map(|start| (start, None))
                .collect()
        } else if section.is_exec() {
            self.code_cuts()
        } else {
            self.data_cuts()
        };
        self.pieces(&cuts)
    }

    /// A string ends with a zero of its character's width.
    fn string_cuts(&self) -> Vec<(u64, Option<SymbolId>)> {
        let width = self.section.entsize.clamp(1, 4) as usize;
        let mut cuts = Vec::new();
        let mut start = 0;
        for (index, character) in self.section.data.chunks(width).enumerate() {
            if character.iter().all(|byte| *byte == 0) {
                cuts.push((start, None));
                start = ((index + 1) * width) as u64;
            }
        }
        if start < self.section.size {
            cuts.push((start, None));
        }
        cuts
    }

    fn code_cuts(&self) -> Vec<(u64, Option<SymbolId>)> {
        let mut cuts = self.owner_cuts(|symbol| symbol.is_function());
        if cuts.is_empty() {
            let last = (self.id, self.section.size.max(1));
            let first = self.targets.partition_point(|at| *at <= (self.id, 0));
            let inside = self.targets[first..].iter().take_while(|at| **at < last);
            let starts = std::iter::once(0).chain(inside.map(|(_, offset)| *offset));
            return starts.map(|start| (start, None)).collect();
        }
        // What stands before the first function is its padding.
        cuts[0].0 = 0;
        self.take_room_before(&mut cuts);
        cuts
    }

    /// Room for patching before a function (-fpatchable-function-entry=N,N) has no symbol and is the function's: the
    /// kernel writes there (CONFIG_CALL_PADDING, since Linux 6.2).
    fn take_room_before(&self, cuts: &mut [(u64, Option<SymbolId>)]) {
        const MOST: u64 = 64;
        let end = |(start, owner): (u64, Option<SymbolId>)| {
            let owner = owner.map(|owner| self.object.symbol(owner));
            owner.map_or(start, |owner| owner.value.saturating_add(owner.size))
        };
        for index in 1..cuts.len() {
            let (before, start) = (end(cuts[index - 1]), cuts[index].0);
            let earliest = before.max(start.saturating_sub(MOST));
            let first = self.targets.partition_point(|at| *at < (self.id, earliest));
            if let Some((id, room)) = self.targets.get(first)
                && *id == self.id
                && *room < start
            {
                cuts[index].0 = *room;
            }
        }
    }

    fn data_cuts(&self) -> Vec<(u64, Option<SymbolId>)> {
        let mut cuts = self.owner_cuts(|symbol| matches!(symbol.kind, kind if kind == elf::STT_OBJECT.0 || kind == elf::STT_TLS.0 || (kind == elf::STT_NOTYPE.0 && !symbol.is_local())));
        if cuts.first().is_none_or(|(start, _)| *start > 0) {
            cuts.insert(0, (0, None));
        }
        cuts
    }

    /// One cut for each symbol that begins where no other one reaches. A prefix symbol begins its function's bundle.
    fn owner_cuts(&self, wanted: impl Fn(&Symbol<'_>) -> bool) -> Vec<(u64, Option<SymbolId>)> {
        let mut cuts: Vec<(u64, Option<SymbolId>)> = Vec::new();
        let mut reach = 0;
        let mut prefix: Option<u64> = None;
        for id in self.symbols {
            let symbol = self.object.symbol(*id);
            if !wanted(&symbol) {
                continue;
            }
            if name::prefixed_function(symbol.name()).is_some_and(|function| self.defines(function))
            {
                prefix = prefix.or(Some(symbol.value));
                continue;
            }
            let start = prefix.take().unwrap_or(symbol.value);
            let begins = cuts.last().is_none_or(|(last, _)| start > *last) && start >= reach;
            if begins {
                cuts.push((start, Some(*id)));
            } else if let Some((_, Some(owner))) = cuts.last_mut() {
                // Of several names for one place a global one is the one that others know.
                if self.object.symbol(*owner).is_local()
                    && !symbol.is_local()
                    && self.object.symbol(*owner).value == symbol.value
                {
                    *owner = *id;
                }
            }
            reach = reach.max(symbol.value.saturating_add(symbol.size));
        }
        cuts
    }

    fn defines(&self, name: &str) -> bool {
        let all = || self.symbols.iter().map(|id| self.object.symbol(*id).name());
        self.names.get_or_init(|| all().collect()).contains(name)
    }

    fn pieces(&self, cuts: &[(u64, Option<SymbolId>)]) -> Vec<Piece> {
        let ends = cuts
            .iter()
            .skip(1)
            .map(|(start, _)| *start)
            .chain(std::iter::once(self.section.size));
        let mut symbols = 0;
        let mut pieces = Vec::with_capacity(cuts.len());
        for ((start, owner), end) in cuts.iter().zip(ends) {
            let last = pieces.len() + 1 == cuts.len();
            let is_own = |id: &&SymbolId| last || self.object.symbol(**id).value < end;
            let first = symbols;
            symbols += self.symbols[first..].iter().take_while(is_own).count();
            let covered = self.trimmed(*start, end, *owner, &self.symbols[first..symbols]);
            pieces.push(Piece {
                section: self.id,
                start: *start as u32,
                len: (covered - *start) as u32,
                owner: owner.map_or(0, |owner| owner.0),
                symbols: (self.first_symbol + first as u32, (symbols - first) as u32),
                kind: self.kind(*owner),
                is_part: false,
            });
        }
        pieces
    }

    /// The end of what the symbols of a bundle cover: what comes after is padding, which is there or not by what follows.
    fn trimmed(&self, start: u64, end: u64, owner: Option<SymbolId>, symbols: &[SymbolId]) -> u64 {
        let end = end.max(start);
        let reach = |id: &SymbolId| {
            let symbol = self.object.symbol(*id);
            symbol.value.saturating_add(symbol.size)
        };
        let sized = owner.is_some_and(|owner| self.object.symbol(owner).size > 0);
        let covered = symbols
            .iter()
            .map(reach)
            .max()
            .unwrap_or(end)
            .clamp(start, end);
        let is_padding = self.section.relocs_in(covered, end).is_empty();
        if sized && is_padding { covered } else { end }
    }

    fn kind(&self, owner: Option<SymbolId>) -> Kind {
        match owner.map(|id| self.object.symbol(id)) {
            Some(symbol) if symbol.is_function() => Kind::Function,
            Some(symbol)
                if name::is_per_use(symbol.name(), self.section.name(), self.object.compiler) =>
            {
                Kind::PerUse
            }
            Some(_) => Kind::Data,
            None if self.section.is_strings() => Kind::String,
            None if self.section.is_exec() => Kind::Fragment,
            None if name::is_per_use_section(self.section.name()) => Kind::PerUse,
            None => Kind::Anonymous,
        }
    }
}

//! The running binary's symbols: by name, by place, and by the source file they came from.
//!
//! A table of a kernel has more than a hundred thousand of them, so nothing is allocated per symbol: names stay in
//! the string table, and both indices are sorted vectors. The tempting wrong way is to trust a name alone: a
//! kernel has dozens of static functions called `show`.

use object::elf;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

/// A place in the running binary: an address of vmlinux (section 0), or an offset in a module's section.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Place {
    /// The module's section, 0 in vmlinux.
    pub(super) section: u32,
    /// The offset in it, or the address.
    pub(super) offset: u64,
}

impl Place {
    /// The place this many bytes before.
    pub(super) fn minus(self, bytes: i64) -> Self {
        Self {
            offset: self.offset.wrapping_sub(bytes as u64),
            ..self
        }
    }

    /// The place this many bytes behind.
    pub(super) fn plus(self, bytes: u64) -> Self {
        Self {
            offset: self.offset.wrapping_add(bytes),
            ..self
        }
    }
}

/// One symbol.
#[derive(Debug, Clone, Copy)]
pub(super) struct Symbol {
    /// Where its name starts in the string table.
    pub(super) name: u32,
    /// Type and binding (`st_info`).
    pub(super) info: elf::SymbolInfo,
    /// Where it is, none when it is undefined.
    pub(super) place: Option<Place>,
    /// Bytes.
    pub(super) size: u64,
    /// The FILE symbol it follows, 0 for none.
    pub(super) file: u32,
}

impl Symbol {
    /// Whether only its own source file can name it.
    pub(super) fn is_local(&self) -> bool {
        self.info.st_bind() == elf::STB_LOCAL
    }
}

/// All symbols.
#[derive(Debug)]
pub(super) struct Symbols {
    strings: Vec<u8>,
    /// Whether a name ends at an `@`, behind which its version is.
    versions: bool,
    all: Vec<Symbol>,
    by_name: Vec<(u64, u32)>,
    by_place: Vec<u32>,
}

impl Symbols {
    /// Indexes a table whose first symbol is the null symbol.
    pub(super) fn new(strings: Vec<u8>, versions: bool, mut all: Vec<Symbol>) -> Self {
        number_files(&mut all);
        let mut symbols = Self {
            strings,
            versions,
            all,
            by_name: Vec::new(),
            by_place: Vec::new(),
        };
        let named =
            |symbol: &Symbol| ![elf::STT_SECTION, elf::STT_FILE].contains(&symbol.info.st_type());
        let defined = |index: &u32| {
            symbols
                .get(*index)
                .is_some_and(|symbol| symbol.place.is_some() && named(symbol))
        };
        let mut by_place: Vec<u32> = (1..symbols.all.len() as u32).filter(defined).collect();
        let mut by_name: Vec<_> = by_place
            .iter()
            .map(|&index| (hash(symbols.name(index)), index))
            .collect();
        by_place.sort_unstable_by_key(|&index| {
            (symbols.get(index).and_then(|symbol| symbol.place), index)
        });
        by_name.sort_unstable();
        symbols.by_place = by_place;
        symbols.by_name = by_name;
        symbols
    }

    /// The symbol of this index.
    pub(super) fn get(&self, index: u32) -> Option<&Symbol> {
        self.all.get(index as usize)
    }

    /// Its name.
    pub(super) fn name(&self, index: u32) -> &[u8] {
        let start = self.get(index).map_or(0, |symbol| symbol.name as usize);
        let tail = self.strings.get(start..).unwrap_or_default();
        let ends = |&byte: &u8| byte == 0 || (byte == b'@' && self.versions);
        tail.split(ends).next().unwrap_or_default()
    }

    /// The defined symbols of this name, in the table's order.
    pub(super) fn named<'a>(&'a self, name: &'a [u8]) -> impl Iterator<Item = (u32, &'a Symbol)> {
        let key = hash(name);
        let start = self.by_name.partition_point(|&(hash, _)| hash < key);
        let same = self
            .by_name
            .get(start..)
            .unwrap_or_default()
            .iter()
            .take_while(move |&&(hash, _)| hash == key);
        let same = same.filter(move |&&(_, index)| self.name(index) == name);
        same.filter_map(|&(_, index)| Some((index, self.get(index)?)))
    }

    /// The defined symbols by place; those of sections and files are none of them.
    pub(super) fn placed(&self) -> impl Iterator<Item = (u32, &Symbol)> {
        let indexes = self.by_place.iter();
        indexes.filter_map(|&index| Some((index, self.get(index)?)))
    }

    /// The symbol of this name at this place.
    pub(super) fn named_at(&self, name: &[u8], place: Place) -> Option<u32> {
        self.named(name)
            .find(|(_, symbol)| symbol.place == Some(place))
            .map(|(index, _)| index)
    }

    /// The nearest symbol at or before a place, and how far before.
    pub(super) fn before(&self, place: Place) -> Option<(u32, u64)> {
        let starts = |&index: &u32| self.get(index).and_then(|symbol| symbol.place) <= Some(place);
        let end = self.by_place.partition_point(starts);
        let index = *self.by_place.get(end.checked_sub(1)?)?;
        let start = self.get(index)?.place?;
        (start.section == place.section).then(|| (index, place.offset - start.offset))
    }

    /// The FILE symbols of this name.
    pub(super) fn files(&self, name: &[u8]) -> Vec<u32> {
        let is_file = |index: &u32| {
            self.get(*index)
                .is_some_and(|symbol| symbol.info.st_type() == elf::STT_FILE)
                && self.name(*index) == name
        };
        (1..self.all.len() as u32).filter(is_file).collect()
    }
}

/// Local symbols follow the FILE symbol of their source; global ones come last and follow none.
fn number_files(all: &mut [Symbol]) {
    let mut file = 0;
    for (index, symbol) in all.iter_mut().enumerate() {
        if symbol.info.st_type() == elf::STT_FILE {
            file = index as u32;
        }
        symbol.file = if symbol.is_local() { file } else { 0 };
    }
}

/// Not for hostile keys: equal names are compared after all.
fn hash(name: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    name.hash(&mut hasher);
    hasher.finish()
}

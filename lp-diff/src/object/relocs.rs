//! The relocations of a section, by offset.
//!
//! They stay in the file's form and are decoded when looked at: most of an object's relocations are about debug
//! information, and of most sections they are in order already. Only what is out of order, or comes from several
//! relocation sections, is copied.

use super::SymbolId;
use object::Endianness;
use object::elf::Rela64;
use object::read::elf::Rela;
use std::ops::Range;

/// One entry of a SHT_RELA section.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reloc {
    /// `r_offset`, inside the section.
    pub offset: u64,
    /// Relocation type.
    pub kind: u32,
    /// The symbol; id 0 when there is none.
    pub symbol: SymbolId,
    /// `r_addend`.
    pub addend: i64,
}

/// Entries as they stand in the file.
pub(super) type Entries = [Rela64<Endianness>];

/// From all SHT_RELA sections whose `sh_info` is one section, by offset.
#[derive(Debug, Clone, Copy)]
pub struct Relocs<'d> {
    list: &'d Entries,
    endian: Endianness,
}

/// Checks the entries of one relocation section. All must lie within the section's size and name one of so many symbols;
/// the offset of the first that does not is the error.
pub(super) fn check(
    relas: &Entries,
    endian: Endianness,
    section_size: u64,
    symbols: usize,
) -> Result<(), u64> {
    let offset = |rela: &Rela64<Endianness>| rela.r_offset(endian);
    let inside = |rela: &&Rela64<Endianness>| {
        offset(rela) < section_size && (rela.r_sym(endian, false) as usize) < symbols
    };
    match relas.iter().find(|rela| !inside(rela)) {
        Some(outside) => Err(offset(outside)),
        None => Ok(()),
    }
}

/// Whether entries are by offset.
pub(super) fn is_sorted(relas: &Entries, endian: Endianness) -> bool {
    relas.is_sorted_by_key(|rela| rela.r_offset(endian))
}

impl<'d> Relocs<'d> {
    /// Those of these entries, which are in order.
    pub(super) fn new(list: &'d Entries, endian: Endianness) -> Self {
        Self { list, endian }
    }

    pub(super) fn entries(&self) -> &'d Entries {
        self.list
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The one with this index.
    pub fn get(&self, index: usize) -> Option<Reloc> {
        self.list.get(index).map(|rela| decode(rela, self.endian))
    }

    /// The first at an offset.
    pub fn at(&self, offset: u64) -> Option<Reloc> {
        let found = self.get(self.before(offset))?;
        (found.offset == offset).then_some(found)
    }

    /// All of them.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Reloc> + Clone + use<'d> {
        self.range(0..self.len())
    }

    /// Those with these indices, which must exist.
    pub fn range(
        &self,
        range: Range<usize>,
    ) -> impl ExactSizeIterator<Item = Reloc> + Clone + use<'d> {
        let endian = self.endian;
        self.list[range]
            .iter()
            .map(move |rela| decode(rela, endian))
    }

    /// The indices of those with an offset in `start..end`.
    pub fn within(&self, start: u64, end: u64) -> Range<usize> {
        let first = self.before(start);
        first..self.before(end).max(first)
    }

    /// How many have a smaller offset.
    fn before(&self, offset: u64) -> usize {
        self.list
            .partition_point(|rela| rela.r_offset(self.endian) < offset)
    }
}

fn decode(rela: &Rela64<Endianness>, endian: Endianness) -> Reloc {
    Reloc {
        offset: rela.r_offset(endian),
        kind: rela.r_type(endian, false).0,
        symbol: SymbolId(rela.r_sym(endian, false)),
        addend: rela.r_addend(endian),
    }
}

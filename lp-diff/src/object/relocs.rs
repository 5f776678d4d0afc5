//! The relocations of a section, by offset.
//!
//! They stay in the file's form and are decoded when looked at: most of an object's relocations are about debug
//! information, and of most sections they are in order already. Only what is out of order, or comes from several
//! relocation sections, is copied.

use super::SymbolId;
use object::Endianness;
use object::elf::Rela64;
use object::read::elf::Rela;
use std::borrow::Cow;
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

/// From all SHT_RELA sections whose `sh_info` is one section, by offset.
#[derive(Debug, Clone)]
pub struct Relocs<'d> {
    list: Cow<'d, [Rela64<Endianness>]>,
    endian: Endianness,
}

impl<'d> Relocs<'d> {
    pub(super) const fn new(endian: Endianness) -> Self {
        Self {
            list: Cow::Borrowed(&[]),
            endian,
        }
    }

    /// Adds those of one relocation section. All must lie within the section's size and name one of so many symbols;
    /// the offset of the first that does not is the error.
    pub(super) fn add(
        &mut self,
        relas: &'d [Rela64<Endianness>],
        section_size: u64,
        symbols: usize,
    ) -> Result<(), u64> {
        let endian = self.endian;
        let offset = |rela: &Rela64<Endianness>| rela.r_offset(endian);
        let inside = |rela: &&Rela64<Endianness>| {
            offset(rela) < section_size && (rela.r_sym(endian, false) as usize) < symbols
        };
        if let Some(outside) = relas.iter().find(|rela| !inside(rela)) {
            return Err(offset(outside));
        }
        if self.list.is_empty() {
            self.list = Cow::Borrowed(relas);
        } else {
            self.list.to_mut().extend_from_slice(relas);
        }
        Ok(())
    }

    /// Puts them in order, once all are there.
    pub(super) fn sort(&mut self) {
        let offset = |rela: &Rela64<Endianness>| rela.r_offset(self.endian);
        if !self.list.is_sorted_by_key(offset) {
            self.list.to_mut().sort_by_key(offset);
        }
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
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Reloc> + Clone {
        self.range(0..self.len())
    }

    /// Those with these indices, which must exist.
    pub fn range(&self, range: Range<usize>) -> impl ExactSizeIterator<Item = Reloc> + Clone {
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

//! Which source lines the code of each section comes from, by `.debug_line`.
//!
//! With `-ffunction-sections` a function is a section and a sequence of its own, whose start address is a relocation:
//! the n-th address-wide relocation of the table belongs to the n-th sequence. The tempting wrong way is to go by
//! addresses: in an object they are all zero.

use crate::object::{Object, SectionId};
use gimli::{DebugLine, DebugLineOffset, EndianSlice, RunTimeEndian};
use object::Endianness;
use std::collections::{BTreeMap, BTreeSet};

/// Line numbers by section.
#[derive(Debug)]
pub(super) struct SourceLines(BTreeMap<SectionId, BTreeSet<u64>>);

impl SourceLines {
    /// Reads the line table of an object; `None` where there is none that can be read.
    pub(super) fn read(object: &Object<'_>) -> Option<Self> {
        let (_, section) = object
            .sections()
            .find(|(_, section)| section.name == ".debug_line")?;
        if section.flags & object::elf::SHF_COMPRESSED.0 != 0 {
            return None;
        }
        let absolute = object::elf::R_X86_64_64.0;
        let mut starts = section
            .relocs
            .iter()
            .filter(|reloc| reloc.kind == absolute)
            .map(|reloc| object.symbol(reloc.symbol).section());
        let endian = if object.endian == Endianness::Little {
            RunTimeEndian::Little
        } else {
            RunTimeEndian::Big
        };
        let table = DebugLine::new(section.data, endian);
        let mut lines = Self(BTreeMap::new());
        let mut offset = 0;
        while offset < section.data.len() {
            offset = lines.read_program(&table, offset, &mut starts)?;
        }
        Some(lines)
    }

    /// Whether code of the section comes from this line.
    pub(super) fn has(&self, section: SectionId, line: u64) -> bool {
        self.0
            .get(&section)
            .is_some_and(|lines| lines.contains(&line))
    }

    /// Reads one unit's program and returns where the next one begins.
    fn read_program(
        &mut self,
        table: &DebugLine<EndianSlice<'_, RunTimeEndian>>,
        offset: usize,
        starts: &mut impl Iterator<Item = Option<SectionId>>,
    ) -> Option<usize> {
        let program = table.program(DebugLineOffset(offset), 8, None, None).ok()?;
        let header = program.header();
        let next = offset
            .checked_add(header.unit_length())?
            .checked_add(usize::from(header.format().initial_length_size()))?;
        let mut rows = program.rows();
        let mut inside: Option<Option<SectionId>> = None;
        while let Some((_, row)) = rows.next_row().ok()? {
            let section = match inside {
                Some(section) => section,
                None => starts.next()?,
            };
            inside = (!row.end_sequence()).then_some(section);
            if let (Some(section), Some(line)) = (section, row.line()) {
                self.0.entry(section).or_default().insert(line.get());
            }
        }
        (next > offset).then_some(next)
    }
}

//! The sections of an object, decoded from their headers when looked at.
//!
//! An object with a section for each function has more bytes of headers than of code, so a table of what they say
//! would be the largest thing in memory. The tempting wrong way is to check a header when it is decoded: then every
//! phase would have to know what to do with a damaged one.

use super::names::{Name, Names, strings};
use super::relocs::{self, check, is_sorted};
use super::{Header, ParseError, Relocs, SectionId, out_of_bounds};
use crate::packed::unpacked_size;
use object::elf::{self, Rela64, SectionHeader64};
use object::read::elf::{FileHeader, Rela, SectionHeader, SectionTable};
use object::{Endianness, SectionIndex};
use std::collections::BTreeMap;

/// A section with the relocations that apply to it.
#[derive(Debug, Clone, Copy)]
pub struct Section<'o> {
    name: Name<'o>,
    /// `sh_type`.
    pub kind: u32,
    /// `sh_flags`.
    pub flags: u64,
    /// `sh_addralign`, at least 1.
    pub align: u64,
    /// `sh_entsize`.
    pub entsize: u64,
    /// `sh_size`; larger than `data` for SHT_NOBITS alone.
    pub size: u64,
    /// The bytes; empty for SHT_NOBITS.
    pub data: &'o [u8],
    /// What applies to it.
    pub relocs: Relocs<'o>,
    /// Whether a section group (COMDAT) holds it.
    pub grouped: bool,
}

impl<'o> Section<'o> {
    /// `sh_name`.
    pub fn name(&self) -> &'o str {
        self.name.text()
    }

    /// Whether the section is part of the running image.
    pub fn is_alloc(&self) -> bool {
        self.flags & elf::SHF_ALLOC.0 != 0
    }

    /// Whether it holds instructions.
    pub fn is_exec(&self) -> bool {
        self.flags & elf::SHF_EXECINSTR.0 != 0
    }

    /// Whether the program may write to it. Constants that hold addresses are written to by whoever relocates them, and
    /// by nobody after that.
    pub fn is_writable(&self) -> bool {
        self.flags & elf::SHF_WRITE.0 != 0 && !self.name().starts_with(".data.rel.ro")
    }

    /// Whether equal entries may be merged by the linker.
    pub fn is_mergeable(&self) -> bool {
        self.flags & elf::SHF_MERGE.0 != 0
    }

    /// Whether it holds NUL-terminated strings that may be merged.
    pub fn is_strings(&self) -> bool {
        self.is_mergeable() && self.flags & elf::SHF_STRINGS.0 != 0
    }

    /// Whether its bytes are compressed (`SHF_COMPRESSED`).
    pub fn is_compressed(&self) -> bool {
        self.flags & elf::SHF_COMPRESSED.0 != 0
    }

    /// Whether it has a size but no bytes.
    pub fn is_nobits(&self) -> bool {
        self.kind == elf::SHT_NOBITS.0
    }

    /// The relocations inside `start..end`, as indices of [`Section::relocs`].
    pub fn relocs_in(&self, start: u64, end: u64) -> std::ops::Range<usize> {
        self.relocs.within(start, end)
    }

    /// The bytes of `start..end`, cut to what the section has.
    pub fn bytes(&self, start: u64, end: u64) -> &'o [u8] {
        let len = self.data.len() as u64;
        &self.data[start.min(len) as usize..end.min(len).max(start.min(len)) as usize]
    }
}

/// All sections but those of relocations; index 0 is the null section.
#[derive(Debug)]
pub(super) struct Sections<'d> {
    data: &'d [u8],
    endian: Endianness,
    table: SectionTable<'d, Header>,
    /// The string table of their names.
    names: &'d str,
    kept: Vec<Kept>,
    /// By index in the file; `NONE` for those that are not kept.
    ids: Vec<u32>,
    /// The relocations of sections that have several relocation sections, or one out of order: sorted copies.
    copied: BTreeMap<SectionId, Vec<Rela64<Endianness>>>,
}

const NONE: u32 = u32::MAX;

/// What is remembered of a section.
#[derive(Debug)]
struct Kept {
    /// Its index in the file, and whether a group holds it: [`GROUPED`].
    header: u32,
    /// Index in the file of its relocation section; `NONE` without any, `COPIED` where [`Sections::copied`] has them.
    relocs: u32,
}

const GROUPED: u32 = 1 << 31;
const COPIED: u32 = u32::MAX - 1;

impl<'d> Sections<'d> {
    /// Checks all headers of a file.
    pub(super) fn read(
        header: &Header,
        endian: Endianness,
        data: &'d [u8],
    ) -> Result<Self, ParseError> {
        let table = header.sections(endian, data)?;
        let names = SectionIndex(header.shstrndx(endian, data)? as usize);
        let is_kept =
            |header: &SectionHeader64<Endianness>| header.sh_type(endian) != elf::SHT_RELA;
        let kept = table.iter().filter(|header| is_kept(header)).count();
        let mut sections = Self {
            data,
            endian,
            table,
            names: strings(&table, names, (endian, data))?,
            kept: Vec::with_capacity(kept),
            ids: Vec::with_capacity(table.len()),
            copied: BTreeMap::new(),
        };
        // One bit of an index says something else.
        if table.len() >= GROUPED as usize {
            return Err(out_of_bounds("it has too many sections".to_owned()));
        }
        let mut budget = Names::of(data);
        let mut taken = 0;
        for (index, header) in table.enumerate() {
            taken += header.data(endian, data)?.len();
            // Else a small file could ask for any amount of work.
            if taken > data.len() {
                return Err(out_of_bounds("its sections overlap".to_owned()));
            }
            if !is_kept(header) {
                sections.ids.push(NONE);
                continue;
            }
            sections.ids.push(sections.kept.len() as u32);
            let name = match index.0 {
                0 => "",
                number => {
                    let name = table.section_name(endian, header)?;
                    budget.check(name, || format!("section {number}"))?
                }
            };
            check_align(name, header.sh_addralign(endian))?;
            check_size(name, header.sh_size(endian))?;
            sections.kept.push(Kept {
                header: index.0 as u32,
                relocs: NONE,
            });
        }
        Ok(sections)
    }

    /// Assigns the relocation sections, which may name one of so many symbols.
    pub(super) fn read_relocs(&mut self, symbols: usize) -> Result<(), ParseError> {
        let endian = self.endian;
        for (index, header) in self.table.enumerate() {
            let Some((relas, _)) = header.rela(endian, self.data)? else {
                continue;
            };
            let target = header.sh_info(self.endian) as usize;
            let Some(id) = self.id(target) else {
                return Err(out_of_bounds(format!(
                    "a relocation section applies to section {target}, which does not exist"
                )));
            };
            let section = self.get(id);
            // Relocations of a compressed section count from the start of what it unpacks to.
            let size = unpacked_size(section, self.endian).unwrap_or(section.size);
            check(relas, endian, size, symbols).map_err(|offset| {
                let name = self.name(id).text();
                out_of_bounds(format!(
                    "{name}+{offset:#x}: relocation outside the section or symbol table"
                ))
            })?;
            self.add_relocs(id, (index, relas));
        }
        for list in self.copied.values_mut() {
            list.sort_by_key(|rela| rela.r_offset(endian));
        }
        Ok(())
    }

    /// Adds those of one relocation section to a section's.
    fn add_relocs(&mut self, id: SectionId, (index, relas): (SectionIndex, &'d relocs::Entries)) {
        let is_first = self.kept[id.0 as usize].relocs == NONE;
        if let Some(copied) = self.copied.get_mut(&id) {
            copied.extend_from_slice(relas);
        } else if is_first && is_sorted(relas, self.endian) {
            self.kept[id.0 as usize].relocs = index.0 as u32;
        } else {
            let copied = [self.relocs(id).entries(), relas].concat();
            self.copied.insert(id, copied);
            self.kept[id.0 as usize].relocs = COPIED;
        }
    }

    fn relocs(&self, id: SectionId) -> Relocs<'_> {
        let entries = match self.kept[id.0 as usize].relocs {
            NONE => None,
            COPIED => self.copied.get(&id).map(Vec::as_slice),
            index => {
                let header = self.table.iter().as_slice().get(index as usize);
                let found = header.and_then(|header| header.rela(self.endian, self.data).ok()?);
                found.map(|(relas, _)| relas)
            }
        };
        Relocs::new(entries.unwrap_or_default(), self.endian)
    }

    /// Marks the sections that a group holds.
    pub(super) fn mark_groups(&mut self) -> Result<(), ParseError> {
        for header in self.table.iter() {
            let Some((_, members)) = header.group(self.endian, self.data)? else {
                continue;
            };
            for member in members {
                if let Some(id) = self.id(member.get(self.endian) as usize) {
                    self.kept[id.0 as usize].header |= GROUPED;
                }
            }
        }
        Ok(())
    }

    /// The headers, by index in the file.
    pub(super) fn table(&self) -> &SectionTable<'d, Header> {
        &self.table
    }

    /// The id of the section with this index in the file.
    #[inline]
    pub(super) fn id(&self, index: usize) -> Option<SectionId> {
        let id = self.ids.get(index).filter(|id| **id != NONE);
        id.map(|id| SectionId(*id))
    }

    pub(super) fn len(&self) -> usize {
        self.kept.len()
    }

    /// All with their ids.
    pub(super) fn iter(&self) -> impl Iterator<Item = (SectionId, Section<'_>)> {
        let ids = (0..self.kept.len() as u32).map(SectionId);
        ids.map(|id| (id, self.get(id)))
    }

    /// The section with this id, which must exist.
    #[inline]
    pub(super) fn get(&self, id: SectionId) -> Section<'_> {
        let kept = &self.kept[id.0 as usize];
        let header = self.header(kept);
        Section {
            name: self.name(id),
            kind: header.sh_type(self.endian).0,
            flags: header.sh_flags(self.endian).0,
            align: header.sh_addralign(self.endian).max(1),
            entsize: header.sh_entsize(self.endian),
            size: header.sh_size(self.endian),
            data: header.data(self.endian, self.data).unwrap_or_default(),
            relocs: self.relocs(id),
            grouped: kept.header & GROUPED != 0,
        }
    }

    /// The name of the section with this id, which must exist.
    #[inline]
    pub(super) fn name(&self, id: SectionId) -> Name<'d> {
        let kept = &self.kept[id.0 as usize];
        match kept.header & !GROUPED {
            0 => Name::default(),
            _ => Name::at(self.names, self.header(kept).sh_name(self.endian)),
        }
    }

    fn header(&self, kept: &Kept) -> &'d SectionHeader64<Endianness> {
        &self.table.iter().as_slice()[(kept.header & !GROUPED) as usize]
    }
}

/// A power of two, as the ELF specification wants it, and no larger than any that a kernel uses.
fn check_align(name: &str, align: u64) -> Result<(), ParseError> {
    const LARGEST: u64 = 1 << 20;
    let align = align.max(1);
    if align.is_power_of_two() && align <= LARGEST {
        return Ok(());
    }
    Err(out_of_bounds(format!(
        "section {name} has an alignment of {align}, which is no power of two up to {LARGEST}"
    )))
}

/// A section without bytes can claim any size; none of a kernel's is larger than its 2 GiB of address space.
fn check_size(name: &str, size: u64) -> Result<(), ParseError> {
    const LARGEST: u64 = 1 << 31;
    if size <= LARGEST {
        return Ok(());
    }
    Err(out_of_bounds(format!(
        "section {name} claims {size} bytes, more than the {LARGEST} that a kernel has room for"
    )))
}

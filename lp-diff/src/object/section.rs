//! The sections of an object: their headers, checked once and kept in half the bytes.
//!
//! An object with a section for each function has more bytes of headers than of code, and each is 64 bytes of mostly
//! zeros. The tempting wrong way is to check a header when it is looked at: then every phase would have to know what to
//! do with a damaged one.

use super::names::{Name, Names, strings};
use super::relocs::{self, check, is_sorted};
use super::{Header, ParseError, Relocs, SectionId, Span, out_of_bounds};
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

/// What the headers of all sections but those of relocations say; index 0 is the null section.
#[derive(Debug)]
pub(super) struct Sections {
    endian: Endianness,
    /// The string table of their names.
    names: Span,
    kept: Vec<Kept>,
    /// By index in the file; `NONE` for those that are not kept.
    ids: Vec<u32>,
    /// The relocations of sections that have several relocation sections, or one out of order: sorted copies.
    copied: BTreeMap<SectionId, Vec<Rela64<Endianness>>>,
    /// Where the last byte of any section ends.
    end: usize,
}

const NONE: u32 = u32::MAX;

/// What is remembered of a section.
#[derive(Debug)]
struct Kept {
    name: u32,
    kind: u32,
    flags: u32,
    entsize: u32,
    size: u32,
    /// Where its bytes are.
    offset: u32,
    relocs: Span,
    /// Of 2.
    align_power: u8,
    grouped: bool,
    /// Whether [`Sections::copied`] has its relocations.
    is_copied: bool,
}

/// The bytes that a file's tables are about.
#[derive(Debug, Clone, Copy)]
pub(super) struct Contents<'d> {
    pub(super) data: &'d [u8],
    /// The names of the sections.
    names: &'d str,
}

impl Sections {
    /// Checks all headers of a file.
    pub(super) fn read(
        header: &Header,
        table: &SectionTable<'_, Header>,
        (endian, data): (Endianness, &[u8]),
    ) -> Result<Self, ParseError> {
        let names = SectionIndex(header.shstrndx(endian, data)? as usize);
        let is_kept =
            |header: &SectionHeader64<Endianness>| header.sh_type(endian) != elf::SHT_RELA;
        let kept = table.iter().filter(|header| is_kept(header)).count();
        let mut sections = Self {
            endian,
            names: strings(table, names, (endian, data))?,
            kept: Vec::with_capacity(kept),
            ids: Vec::with_capacity(table.len()),
            copied: BTreeMap::new(),
            end: 0,
        };
        let mut budget = Names::of(data);
        let mut taken = 0;
        for (index, header) in table.enumerate() {
            let span = Span::of(header, (endian, data))?;
            taken += span.len as usize;
            // Else a small file could ask for any amount of work.
            if taken > data.len() {
                return Err(out_of_bounds("its sections overlap".to_owned()));
            }
            sections.end = sections.end.max(span.end());
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
            sections
                .kept
                .push(kept_of(name, (index.0 == 0, header), span, endian)?);
        }
        Ok(sections)
    }

    /// Assigns the relocation sections, which may name one of so many symbols.
    pub(super) fn read_relocs(
        &mut self,
        table: &SectionTable<'_, Header>,
        contents: Contents<'_>,
        symbols: usize,
    ) -> Result<(), ParseError> {
        let endian = self.endian;
        for header in table.iter() {
            let Some((relas, _)) = header.rela(endian, contents.data)? else {
                continue;
            };
            let target = header.sh_info(endian) as usize;
            let Some(id) = self.id(target) else {
                return Err(out_of_bounds(format!(
                    "a relocation section applies to section {target}, which does not exist"
                )));
            };
            let section = self.get(id, contents);
            // Relocations of a compressed section count from the start of what it unpacks to.
            let size = unpacked_size(section, endian).unwrap_or(section.size);
            check(relas, endian, size, symbols).map_err(|offset| {
                let name = section.name();
                out_of_bounds(format!(
                    "{name}+{offset:#x}: relocation outside the section or symbol table"
                ))
            })?;
            let span = Span::of(header, (endian, contents.data))?;
            self.add_relocs((id, contents), (span, relas));
        }
        for list in self.copied.values_mut() {
            list.sort_by_key(|rela| rela.r_offset(endian));
        }
        Ok(())
    }

    /// Adds those of one relocation section to a section's.
    fn add_relocs(
        &mut self,
        (id, contents): (SectionId, Contents<'_>),
        (span, relas): (Span, &relocs::Entries),
    ) {
        let is_first = self.kept[id.0 as usize].relocs.len == 0;
        if let Some(copied) = self.copied.get_mut(&id) {
            copied.extend_from_slice(relas);
        } else if is_first && is_sorted(relas, self.endian) {
            self.kept[id.0 as usize].relocs = span;
        } else {
            let copied = [self.relocs(id, contents).entries(), relas].concat();
            self.copied.insert(id, copied);
            self.kept[id.0 as usize].is_copied = true;
        }
    }

    fn relocs<'o>(&'o self, id: SectionId, contents: Contents<'o>) -> Relocs<'o> {
        let kept = &self.kept[id.0 as usize];
        let entries = match kept.is_copied {
            true => self.copied.get(&id).map(Vec::as_slice),
            false => kept.relocs.array(contents.data),
        };
        Relocs::new(entries.unwrap_or_default(), self.endian)
    }

    /// Marks the sections that a group holds.
    pub(super) fn mark_groups(
        &mut self,
        table: &SectionTable<'_, Header>,
        data: &[u8],
    ) -> Result<(), ParseError> {
        for header in table.iter() {
            let Some((_, members)) = header.group(self.endian, data)? else {
                continue;
            };
            for member in members {
                if let Some(id) = self.id(member.get(self.endian) as usize) {
                    self.kept[id.0 as usize].grouped = true;
                }
            }
        }
        Ok(())
    }

    /// The bytes that these headers are about.
    pub(super) fn contents<'d>(&self, data: &'d [u8]) -> Result<Contents<'d>, ParseError> {
        let names = self.names.text(data)?;
        Ok(Contents { data, names })
    }

    /// Where the last byte of any section ends.
    pub(super) fn end(&self) -> usize {
        self.end
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
    pub(super) fn iter<'o>(
        &'o self,
        contents: Contents<'o>,
    ) -> impl Iterator<Item = (SectionId, Section<'o>)> {
        let ids = (0..self.kept.len() as u32).map(SectionId);
        ids.map(move |id| (id, self.get(id, contents)))
    }

    /// The section with this id, which must exist.
    #[inline]
    pub(super) fn get<'o>(&'o self, id: SectionId, contents: Contents<'o>) -> Section<'o> {
        let kept = &self.kept[id.0 as usize];
        let len = match kept.kind == elf::SHT_NOBITS.0 || kept.kind == elf::SHT_NULL.0 {
            true => 0,
            false => kept.size,
        };
        let span = Span {
            offset: kept.offset,
            len,
        };
        Section {
            name: self.name(id, contents),
            kind: kept.kind,
            flags: kept.flags.into(),
            align: 1 << kept.align_power,
            entsize: kept.entsize.into(),
            size: kept.size.into(),
            data: span.bytes(contents.data),
            relocs: self.relocs(id, contents),
            grouped: kept.grouped,
        }
    }

    /// The name of the section with this id, which must exist.
    #[inline]
    pub(super) fn name<'d>(&self, id: SectionId, contents: Contents<'d>) -> Name<'d> {
        match id.0 {
            0 => Name::default(),
            _ => Name::at(contents.names, self.kept[id.0 as usize].name),
        }
    }
}

/// What a header says, if it can be true.
fn kept_of(
    name: &str,
    (is_null, header): (bool, &SectionHeader64<Endianness>),
    span: Span,
    endian: Endianness,
) -> Result<Kept, ParseError> {
    check_align(name, header.sh_addralign(endian))?;
    // That of the null section is how many there are.
    let size = if is_null { 0 } else { header.sh_size(endian) };
    let flags = header.sh_flags(endian).0;
    Ok(Kept {
        name: header.sh_name(endian),
        kind: header.sh_type(endian).0,
        flags: u32::try_from(flags).map_err(|_| {
            out_of_bounds(format!(
                "section {name} has flags {flags:#x}, which nothing means"
            ))
        })?,
        entsize: u32::try_from(header.sh_entsize(endian)).unwrap_or(u32::MAX),
        size: checked_size(name, size)?,
        offset: span.offset,
        relocs: Span::default(),
        align_power: header.sh_addralign(endian).max(1).trailing_zeros() as u8,
        grouped: false,
        is_copied: false,
    })
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
fn checked_size(name: &str, size: u64) -> Result<u32, ParseError> {
    const LARGEST: u32 = 1 << 31;
    let small = u32::try_from(size).ok().filter(|size| *size <= LARGEST);
    small.ok_or_else(|| {
        out_of_bounds(format!(
            "section {name} claims {size} bytes, more than the {LARGEST} that a kernel has room for"
        ))
    })
}

//! An ELF file of x86-64 as far as a loader and a linker look at it: headers, segments, sections, read piece by piece.
//!
//! The file is one that the process maps, so it may be anything. What it says of its own sizes is checked against what it has;
//! nothing is read beyond [`LARGEST_TABLE`]. Without a file, [`Elf::of_memory`] puts back together what is loaded of
//! it: there are then no sections, so what the dynamic linker needs is found by the program headers alone, with a file too.

use crate::process::read::memory::{MemoryError, ReadMemory, read_vec};
use object::LittleEndian as LE;
use object::elf::{self, FileHeader64, ProgramHeader64, SectionHeader64};
use object::pod::{from_bytes, slice_from_all_bytes};
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use thiserror::Error;

/// Bytes of the largest table or section that is read at once.
pub const LARGEST_TABLE: u64 = 1 << 29;
/// Bytes of the largest object that is put together from memory.
const LARGEST_LOADED: u64 = 1 << 29;
/// Bytes of zeros that are taken where the file has none, and of gaps between segments in a file.
const LARGEST_GAP: u64 = 1 << 20;

const FILE_HEADER: u64 = 64;
const PROGRAM_HEADER: u64 = 56;
const SECTION_HEADER: u64 = 64;

/// Why an ELF file cannot be read.
#[derive(Debug, Error)]
pub enum ElfError {
    /// The kernel said no.
    #[error("the file cannot be read: {0}")]
    Io(#[from] io::Error),
    /// It is something else.
    #[error("it is no ELF file")]
    NotElf,
    /// For another processor, or 32-bit.
    #[error("it is an ELF file for another architecture (class {class}, machine {machine})")]
    Architecture {
        /// `EI_CLASS`
        class: u8,
        /// `e_machine`
        machine: u16,
    },
    /// It promises bytes that it does not have.
    #[error("the file is cut off or damaged: {size} bytes at {offset:#x} are not in it")]
    Truncated {
        /// From the start of the file.
        offset: u64,
        /// Bytes.
        size: u64,
    },
    /// An address that no segment of the file has.
    #[error("no segment of the file holds address {0:#x}")]
    Address(u64),
    /// A table that contradicts itself.
    #[error("the file is damaged: {0}")]
    Damaged(&'static str),
    /// What should be there in memory is not.
    #[error(transparent)]
    Memory(#[from] MemoryError),
}

/// A part of the file that is loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// `p_type`
    pub kind: u32,
    /// `p_flags`
    pub flags: u32,
    /// `p_offset`
    pub offset: u64,
    /// `p_vaddr`
    pub address: u64,
    /// `p_filesz`
    pub file_size: u64,
    /// `p_memsz`
    pub memory_size: u64,
    /// `p_align`
    pub align: u64,
}

/// A section header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Section {
    /// `sh_name`
    pub name: u32,
    /// `sh_type`
    pub kind: u32,
    /// `sh_flags`
    pub flags: u64,
    /// `sh_addr`
    pub address: u64,
    /// `sh_offset`
    pub offset: u64,
    /// `sh_size`
    pub size: u64,
    /// `sh_link`
    pub link: u32,
    /// `sh_info`
    pub info: u32,
    /// `sh_addralign`
    pub align: u64,
}

/// An ELF file.
#[derive(Debug)]
pub struct Elf {
    source: Source,
    /// `e_type`
    pub kind: u16,
    segments: Vec<Segment>,
    sections: Vec<Section>,
    section_names: Vec<u8>,
}

#[derive(Debug)]
enum Source {
    File(File, u64),
    Bytes(Vec<u8>),
}

impl Elf {
    /// Reads the headers of a file.
    ///
    /// # Errors
    /// Where it is not one of x86-64, or is damaged.
    pub fn of_file(file: File) -> Result<Self, ElfError> {
        let size = file.metadata()?.len();
        Self::parse(Source::File(file, size))
    }

    /// Reads the headers of a file's bytes.
    ///
    /// # Errors
    /// As [`Self::of_file`].
    pub fn of_bytes(bytes: Vec<u8>) -> Result<Self, ElfError> {
        Self::parse(Source::Bytes(bytes))
    }

    /// The file as far as it is loaded, from the address of its ELF header on. What is writable is as the process made it.
    ///
    /// # Errors
    /// Where there is no ELF header, or a segment cannot be read.
    pub fn of_memory(memory: &dyn ReadMemory, base: u64) -> Result<Self, ElfError> {
        let head = Self::headers_in_memory(memory, base)?;
        let bias = head.bias(base);
        let sizes = head
            .loads()
            .fold(LARGEST_GAP, |sum, it| sum.saturating_add(it.file_size));
        let most = sizes.min(LARGEST_LOADED);
        let mut bytes = Vec::new();
        for segment in head.loads() {
            let end = segment.offset.checked_add(segment.file_size);
            let end = end.filter(|end| *end <= most);
            let end = end.ok_or(ElfError::Damaged("a segment has no possible size"))?;
            let at = bias.wrapping_add(segment.address);
            let loaded = read_vec(memory, at, segment.file_size, most)?;
            let (offset, end) = (to_usize(segment.offset)?, to_usize(end)?);
            bytes.resize(bytes.len().max(end), 0);
            bytes[offset..end].copy_from_slice(&loaded);
        }
        // Where the section headers were is not loaded: e_shoff, e_shnum and e_shstrndx.
        for field in [40..48, 60..64] {
            if let Some(field) = bytes.get_mut(field) {
                field.fill(0);
            }
        }
        Self::of_bytes(bytes)
    }

    /// The file header and program headers alone, from the address of the ELF header on.
    ///
    /// # Errors
    /// Where there are none.
    pub fn headers_in_memory(memory: &dyn ReadMemory, base: u64) -> Result<Self, ElfError> {
        let mut bytes = read_vec(memory, base, FILE_HEADER, FILE_HEADER)?;
        let header = file_header(&bytes)?;
        let (offset, count) = (header.e_phoff.get(LE), header.e_phnum.get(LE));
        let size = u64::from(count) * PROGRAM_HEADER;
        let end = offset.checked_add(size).filter(|end| *end < 1 << 20);
        let end = end.ok_or(ElfError::Damaged("its program headers are far away"))?;
        bytes = read_vec(memory, base, end.max(FILE_HEADER), 1 << 20)?;
        bytes[40..48].fill(0);
        bytes[60..64].fill(0);
        Self::of_bytes(bytes)
    }

    fn parse(source: Source) -> Result<Self, ElfError> {
        let head = source.read(0, FILE_HEADER).map_err(|_| ElfError::NotElf)?;
        let header = file_header(&head)?;
        let count = u64::from(header.e_phnum.get(LE));
        let raw = source.read(header.e_phoff.get(LE), count * PROGRAM_HEADER)?;
        let raw = slice_from_all_bytes::<ProgramHeader64<LE>>(&raw);
        let segments = raw.map_err(|()| ElfError::Damaged("its program headers"))?;
        let mut parsed = Self {
            kind: header.e_type.get(LE).0,
            segments: segments.iter().map(Segment::new).collect(),
            sections: Vec::new(),
            section_names: Vec::new(),
            source,
        };
        parsed.read_sections(header)?;
        Ok(parsed)
    }

    /// A file may have none: they are for linkers and debuggers.
    fn read_sections(&mut self, header: &FileHeader64<LE>) -> Result<(), ElfError> {
        let (offset, count) = (header.e_shoff.get(LE), header.e_shnum.get(LE));
        if offset == 0 || count == 0 {
            return Ok(());
        }
        let raw = self.bytes(offset, u64::from(count) * SECTION_HEADER)?;
        let raw = slice_from_all_bytes::<SectionHeader64<LE>>(&raw);
        let raw = raw.map_err(|()| ElfError::Damaged("its section headers"))?;
        self.sections = raw.iter().map(Section::new).collect();
        let names = usize::from(header.e_shstrndx.get(LE).0);
        if let Some(names) = self.sections.get(names).copied() {
            self.section_names = self.contents(&names)?;
        }
        Ok(())
    }

    /// Bytes at an offset of the file.
    ///
    /// # Errors
    /// Where the file does not have them.
    pub fn bytes(&self, offset: u64, size: u64) -> Result<Vec<u8>, ElfError> {
        self.source.read(offset, size)
    }

    /// Bytes at an address, as the file has them: what only memory has (`.bss`) is zero.
    ///
    /// # Errors
    /// Where no segment has them.
    pub fn at(&self, address: u64, size: u64) -> Result<Vec<u8>, ElfError> {
        let holds = |segment: &&Segment| segment.holds(address, size);
        let segment = self.loads().find(holds);
        let segment = segment.ok_or(ElfError::Address(address))?;
        let skip = address - segment.address;
        let in_file = segment.file_size.saturating_sub(skip).min(size);
        if size - in_file > LARGEST_GAP {
            return Err(ElfError::Address(address));
        }
        let mut bytes = match in_file {
            0 => Vec::new(),
            _ => self.bytes(segment.offset.saturating_add(skip), in_file)?,
        };
        bytes.resize(to_usize(size)?, 0);
        Ok(bytes)
    }

    /// How many bytes the file's segment still has behind an address.
    pub fn bytes_left(&self, address: u64) -> u64 {
        let segment = self.loads().find(|segment| segment.holds(address, 1));
        segment.map_or(0, |it| it.file_size.saturating_sub(address - it.address))
    }

    /// All segments.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// The segments that are loaded (`PT_LOAD`).
    pub fn loads(&self) -> impl Iterator<Item = &Segment> {
        let loads = |it: &&Segment| it.kind == elf::PT_LOAD.0 && it.memory_size > 0;
        self.segments.iter().filter(loads)
    }

    /// The first segment of a kind.
    pub fn segment(&self, kind: elf::ProgramType) -> Option<&Segment> {
        self.segments.iter().find(|it| it.kind == kind.0)
    }

    /// The addresses from the first to the last byte that is loaded.
    pub fn span(&self) -> Range<u64> {
        let start = self.loads().map(|it| it.address).min().unwrap_or(0);
        let end = self.loads().map(Segment::end).max().unwrap_or(0);
        start..end.max(start)
    }

    /// What is added to the file's addresses where its header is loaded at `base`.
    pub fn bias(&self, base: u64) -> u64 {
        let first = self.loads().find(|it| it.offset & !0xfff == 0);
        let address = first.map_or(0, |it| it.address.wrapping_sub(it.offset));
        base.wrapping_sub(address)
    }

    /// All sections; none where the file has no section headers.
    pub fn sections(&self) -> &[Section] {
        &self.sections
    }

    /// The first section of a kind.
    pub fn section_of(&self, kind: elf::SectionType) -> Option<&Section> {
        self.sections.iter().find(|it| it.kind == kind.0)
    }

    /// The first section of a name.
    pub fn section_named(&self, name: &str) -> Option<&Section> {
        let mut sections = self.sections.iter();
        sections.find(|it| text_at(&self.section_names, it.name) == name.as_bytes())
    }

    /// A section's name; what is not text in it is marked.
    pub fn section_name(&self, section: &Section) -> String {
        let name = text_at(&self.section_names, section.name);
        String::from_utf8_lossy(name).into_owned()
    }

    /// A section's bytes.
    ///
    /// # Errors
    /// Where the file does not have them.
    pub fn contents(&self, section: &Section) -> Result<Vec<u8>, ElfError> {
        match section.kind {
            kind if kind == elf::SHT_NOBITS.0 => Ok(Vec::new()),
            _ => self.bytes(section.offset, section.size),
        }
    }

    /// The build-id (`NT_GNU_BUILD_ID`), by the sections or, where there are none, by the segments. A debug file has the
    /// segments of its program too, but not what is in them.
    ///
    /// # Errors
    /// Where the notes cannot be read.
    pub fn build_id(&self) -> Result<Option<Vec<u8>>, ElfError> {
        let notes = self.sections.iter().filter(|it| it.kind == elf::SHT_NOTE.0);
        let sections = notes.map(|it| (it.offset, it.size));
        let notes = self.segments.iter().filter(|it| it.kind == elf::PT_NOTE.0);
        let segments = notes.map(|it| (it.offset, it.file_size));
        let has_sections = !self.sections.is_empty();
        let places: Vec<_> = if has_sections {
            sections.collect()
        } else {
            segments.collect()
        };
        for (offset, size) in places {
            if let Some(id) = build_id_in(&self.bytes(offset, size)?) {
                return Ok(Some(id));
            }
        }
        Ok(None)
    }
}

/// The build-id among notes.
pub fn build_id_in(notes: &[u8]) -> Option<Vec<u8>> {
    let id = lp_klp::note::find(notes, "GNU", elf::NT_GNU_BUILD_ID.0)?;
    (!id.is_empty()).then(|| id.to_vec())
}

/// The text that begins at an offset, without the zero byte at its end; empty where there is none.
pub fn text_at(strings: &[u8], offset: u32) -> &[u8] {
    let rest = strings.get(offset as usize..).unwrap_or_default();
    let end = memchr::memchr(0, rest).unwrap_or(0);
    &rest[..end]
}

impl Segment {
    fn new(raw: &ProgramHeader64<LE>) -> Self {
        Self {
            kind: raw.p_type.get(LE).0,
            flags: raw.p_flags.get(LE).0,
            offset: raw.p_offset.get(LE),
            address: raw.p_vaddr.get(LE),
            file_size: raw.p_filesz.get(LE),
            memory_size: raw.p_memsz.get(LE),
            align: raw.p_align.get(LE),
        }
    }

    /// Whether code is in it (`PF_X`).
    pub fn is_code(&self) -> bool {
        self.flags & elf::PF_X.0 != 0
    }

    fn end(&self) -> u64 {
        self.address.saturating_add(self.memory_size)
    }

    fn holds(&self, address: u64, size: u64) -> bool {
        let end = address.checked_add(size);
        self.address <= address && end.is_some_and(|end| end <= self.end())
    }
}

impl Section {
    fn new(raw: &SectionHeader64<LE>) -> Self {
        Self {
            name: raw.sh_name.get(LE),
            kind: raw.sh_type.get(LE).0,
            flags: raw.sh_flags.get(LE).0,
            address: raw.sh_addr.get(LE),
            offset: raw.sh_offset.get(LE),
            size: raw.sh_size.get(LE),
            link: raw.sh_link.get(LE),
            info: raw.sh_info.get(LE),
            align: raw.sh_addralign.get(LE),
        }
    }
}

impl Source {
    fn read(&self, offset: u64, size: u64) -> Result<Vec<u8>, ElfError> {
        let truncated = || ElfError::Truncated { offset, size };
        let end = offset.checked_add(size).ok_or_else(truncated)?;
        let there = match self {
            Self::File(_, there) => *there,
            Self::Bytes(bytes) => bytes.len() as u64,
        };
        if end > there || size > LARGEST_TABLE {
            return Err(truncated());
        }
        match self {
            Self::File(file, _) => {
                let mut bytes = vec![0; to_usize(size)?];
                file.read_exact_at(&mut bytes, offset)?;
                Ok(bytes)
            }
            Self::Bytes(bytes) => {
                let range = to_usize(offset)?..to_usize(end)?;
                Ok(bytes.get(range).ok_or_else(truncated)?.to_vec())
            }
        }
    }
}

fn file_header(bytes: &[u8]) -> Result<&FileHeader64<LE>, ElfError> {
    if !bytes.starts_with(&elf::ELFMAG) {
        return Err(ElfError::NotElf);
    }
    let header = from_bytes::<FileHeader64<LE>>(bytes);
    let (header, _) = header.map_err(|()| ElfError::NotElf)?;
    let (class, machine) = (header.e_ident.class, header.e_machine.get(LE));
    let little = header.e_ident.data == elf::ELFDATA2LSB;
    if class != elf::ELFCLASS64 || !little || machine != elf::EM_X86_64 {
        return Err(ElfError::Architecture {
            class: class.0,
            machine: machine.0,
        });
    }
    let sizes = (header.e_phentsize.get(LE), header.e_shentsize.get(LE));
    let right = |size: u16, want: u64| size == 0 || u64::from(size) == want;
    if !right(sizes.0, PROGRAM_HEADER) || !right(sizes.1, SECTION_HEADER) {
        return Err(ElfError::Damaged("its headers have an unknown size"));
    }
    Ok(header)
}

fn to_usize(number: u64) -> Result<usize, ElfError> {
    usize::try_from(number).map_err(|_| ElfError::Damaged("a size that no file has"))
}

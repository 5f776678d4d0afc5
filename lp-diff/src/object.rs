//! Parses one relocatable object into plain tables.
//!
//! Symbols keep their ELF indices as typed ids, nothing is interpreted here: which symbol owns which
//! bytes is [`crate::bundle`]'s business. Everything borrows the file's bytes. All offsets and sizes are checked here,
//! once, so that the later phases may slice without fear; the tempting wrong way is to check where one looks.
//!
//! With a section for each function, half of all sections are relocation sections: they are no sections here, but
//! [`Relocs`] of those that they apply to, read from the file where they are needed.

mod relocs;

pub use relocs::{Reloc, Relocs};

use crate::name::Compiler;
use crate::packed::{Packed, unpacked_size};
use object::elf;
use object::read::elf::{FileHeader, SectionHeader, SectionTable, Sym, SymbolTable};
use object::{Endianness, SectionIndex};
use thiserror::Error;

type Header = elf::FileHeader64<Endianness>;

/// Index of a section in [`Object::sections`], which has the order of the file but no relocation sections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SectionId(pub u32);

/// Index of a symbol in the object's symbol table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SymbolId(pub u32);

/// Why the bytes are not an object that can be diffed.
#[derive(Debug, Error)]
pub enum ParseError {
    /// The ELF structures are damaged.
    #[error("not a readable ELF object: {0}")]
    Elf(#[from] object::read::Error),
    /// Executables and shared libraries have no relocations left to compare.
    #[error("not a relocatable object (ELF type {0}): give the .o file that the compiler wrote")]
    NotRelocatable(u16),
    /// A name is not UTF-8.
    #[error("{0} has a name that is not UTF-8")]
    Name(String),
    /// A relocation or symbol points outside its section or table.
    #[error("{0}")]
    OutOfBounds(String),
}

/// A relocatable object.
#[derive(Debug)]
pub struct Object<'d> {
    /// `e_machine`.
    pub machine: u16,
    /// `e_flags`.
    pub flags: u32,
    /// Little or big endian.
    pub endian: Endianness,
    /// Who wrote it.
    pub compiler: Compiler,
    /// All sections but those of relocations; index 0 is the null section.
    pub sections: Vec<Section<'d>>,
    /// All symbols; index 0 is the null symbol.
    pub symbols: Vec<Symbol<'d>>,
    packed: Packed,
}

/// A section with the relocations that apply to it, in order of offset.
#[derive(Debug, Clone)]
pub struct Section<'d> {
    /// `sh_name`.
    pub name: &'d str,
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
    pub data: &'d [u8],
    /// What applies to it.
    pub relocs: Relocs<'d>,
    /// Whether a section group (COMDAT) holds it.
    pub grouped: bool,
}

/// Where a symbol is defined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// SHN_UNDEF.
    Undefined,
    /// SHN_ABS, SHN_COMMON and the reserved indices.
    Reserved(u16),
    /// In a section of this object.
    Section(SectionId),
}

/// A symbol table entry.
#[derive(Debug, Clone)]
pub struct Symbol<'d> {
    /// `st_name`; a section symbol has its section's name.
    pub name: &'d str,
    /// `st_value`.
    pub value: u64,
    /// `st_size`.
    pub size: u64,
    /// STB_*.
    pub bind: u8,
    /// STT_*.
    pub kind: u8,
    /// `st_other`.
    pub other: u8,
    /// `st_shndx`.
    pub place: Place,
}

impl Symbol<'_> {
    /// Whether it stands for a whole section.
    pub fn is_section(&self) -> bool {
        self.kind == elf::STT_SECTION.0
    }

    /// Whether it is a function.
    pub fn is_function(&self) -> bool {
        self.kind == elf::STT_FUNC.0 || self.kind == elf::STT_GNU_IFUNC.0
    }

    /// Whether only this object sees it.
    pub fn is_local(&self) -> bool {
        self.bind == elf::STB_LOCAL.0
    }

    /// The section that defines it.
    pub fn section(&self) -> Option<SectionId> {
        match self.place {
            Place::Section(id) => Some(id),
            _ => None,
        }
    }
}

impl Section<'_> {
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
        self.flags & elf::SHF_WRITE.0 != 0 && !self.name.starts_with(".data.rel.ro")
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
    pub fn bytes(&self, start: u64, end: u64) -> &[u8] {
        let len = self.data.len() as u64;
        &self.data[start.min(len) as usize..end.min(len).max(start.min(len)) as usize]
    }
}

impl<'d> Object<'d> {
    /// Reads the tables of a 64-bit relocatable ELF object.
    pub fn parse(data: &'d [u8]) -> Result<Self, ParseError> {
        let header = Header::parse(data)?;
        let endian = header.endian()?;
        if header.e_type(endian) != elf::ET_REL {
            return Err(ParseError::NotRelocatable(header.e_type(endian).0));
        }
        let table = header.sections(endian, data)?;
        let symtab = table.symbols(endian, data, elf::SHT_SYMTAB)?;
        let (sections, ids) = sections(&table, endian, data)?;
        let mut object = Object {
            machine: header.e_machine(endian).0,
            flags: header.e_flags(endian).0,
            endian,
            symbols: symbols(&symtab, (endian, data), &sections, &ids)?,
            compiler: compiler(&sections),
            packed: Packed::of(&sections),
            sections,
        };
        object.read_relocs(&table, data, &ids)?;
        object.mark_groups(&table, data, &ids)?;
        Ok(object)
    }

    /// The section with this id.
    pub fn section(&self, id: SectionId) -> &Section<'d> {
        &self.sections[id.0 as usize]
    }

    /// The bytes of a section, unpacked if they are compressed; `None` where that cannot be done.
    pub fn unpacked(&self, id: SectionId) -> Option<&[u8]> {
        let section = self.section(id);
        if section.is_compressed() {
            self.packed.unpack(id, section, self.endian)
        } else {
            Some(section.data)
        }
    }

    /// The symbol with this id.
    pub fn symbol(&self, id: SymbolId) -> &Symbol<'d> {
        &self.symbols[id.0 as usize]
    }

    /// All sections with their ids, the null section excepted.
    pub fn sections(&self) -> impl Iterator<Item = (SectionId, &Section<'d>)> {
        (0..).map(SectionId).zip(&self.sections).skip(1)
    }

    /// All symbols with their ids, the null symbol excepted.
    pub fn symbols(&self) -> impl Iterator<Item = (SymbolId, &Symbol<'d>)> {
        (0..).map(SymbolId).zip(&self.symbols).skip(1)
    }

    fn read_relocs(
        &mut self,
        table: &SectionTable<'d, Header>,
        data: &'d [u8],
        ids: &SectionIds,
    ) -> Result<(), ParseError> {
        for header in table.iter() {
            let Some((relas, _)) = header.rela(self.endian, data)? else {
                continue;
            };
            let target = header.sh_info(self.endian) as usize;
            let Some(id) = ids.get(target) else {
                return Err(out_of_bounds(format!(
                    "a relocation section applies to section {target}, which does not exist"
                )));
            };
            let section = &mut self.sections[id.0 as usize];
            // Relocations of a compressed section count from the start of what it unpacks to.
            let size = unpacked_size(section, self.endian).unwrap_or(section.size);
            section
                .relocs
                .add(relas, size, self.symbols.len())
                .map_err(|offset| {
                    out_of_bounds(format!(
                        "{}+{offset:#x}: relocation outside the section or symbol table",
                        section.name
                    ))
                })?;
        }
        self.sections
            .iter_mut()
            .for_each(|section| section.relocs.sort());
        Ok(())
    }

    fn mark_groups(
        &mut self,
        table: &SectionTable<'d, Header>,
        data: &'d [u8],
        ids: &SectionIds,
    ) -> Result<(), ParseError> {
        for header in table.iter() {
            let Some((_, members)) = header.group(self.endian, data)? else {
                continue;
            };
            for member in members {
                if let Some(id) = ids.get(member.get(self.endian) as usize) {
                    self.sections[id.0 as usize].grouped = true;
                }
            }
        }
        Ok(())
    }
}

/// clang leaves a table of its own, or says its name in `.comment`.
fn compiler(sections: &[Section<'_>]) -> Compiler {
    const NAME: &[u8] = b"clang version";
    let names_clang = |section: &Section<'_>| {
        section.name == ".comment" && section.data.windows(NAME.len()).any(|text| text == NAME)
    };
    let is_clang = |section: &Section<'_>| section.name == ".llvm_addrsig" || names_clang(section);
    if sections.iter().any(is_clang) {
        Compiler::Clang
    } else {
        Compiler::Gcc
    }
}

/// The ids of the file's sections, by index in the file.
struct SectionIds(Vec<Option<SectionId>>);

impl SectionIds {
    fn get(&self, index: usize) -> Option<SectionId> {
        self.0.get(index).copied().flatten()
    }
}

fn out_of_bounds(what: String) -> ParseError {
    ParseError::OutOfBounds(what)
}

/// Reads names. Many may share their end in the string table, but not so many that a small file could ask for any
/// amount of work.
struct Names {
    /// Bytes that may still be read.
    left: usize,
}

impl Names {
    fn of(data: &[u8]) -> Self {
        Self {
            left: data.len().saturating_mul(16),
        }
    }

    fn read<'d>(
        &mut self,
        bytes: &'d [u8],
        what: impl Fn() -> String,
    ) -> Result<&'d str, ParseError> {
        self.left = self
            .left
            .checked_sub(bytes.len())
            .ok_or_else(|| out_of_bounds("its names overlap".to_owned()))?;
        std::str::from_utf8(bytes).map_err(|_| ParseError::Name(what()))
    }
}

/// A power of two, as the ELF specification wants it, and no larger than any that a kernel uses.
fn check_align(name: &str, align: u64) -> Result<u64, ParseError> {
    const LARGEST: u64 = 1 << 20;
    let align = align.max(1);
    if align.is_power_of_two() && align <= LARGEST {
        return Ok(align);
    }
    Err(out_of_bounds(format!(
        "section {name} has an alignment of {align}, which is no power of two up to {LARGEST}"
    )))
}

/// A section without bytes can claim any size; none of a kernel's is larger than its 2 GiB of address space.
fn check_size(name: &str, size: u64) -> Result<u64, ParseError> {
    const LARGEST: u64 = 1 << 31;
    if size <= LARGEST {
        return Ok(size);
    }
    Err(out_of_bounds(format!(
        "section {name} claims {size} bytes, more than the {LARGEST} that a kernel has room for"
    )))
}

fn sections<'d>(
    table: &SectionTable<'d, Header>,
    endian: Endianness,
    data: &'d [u8],
) -> Result<(Vec<Section<'d>>, SectionIds), ParseError> {
    let is_kept =
        |header: &elf::SectionHeader64<Endianness>| header.sh_type(endian) != elf::SHT_RELA;
    let kept = table.iter().filter(|header| is_kept(header)).count();
    let mut sections = Vec::with_capacity(kept);
    let mut ids = Vec::with_capacity(table.len());
    let mut names = Names::of(data);
    let mut taken = 0;
    for (index, header) in table.enumerate() {
        let bytes = header.data(endian, data)?;
        taken += bytes.len();
        // Else a small file could ask for any amount of work.
        if taken > data.len() {
            return Err(out_of_bounds("its sections overlap".to_owned()));
        }
        if !is_kept(header) {
            ids.push(None);
            continue;
        }
        ids.push(Some(SectionId(sections.len() as u32)));
        let name = if index == SectionIndex(0) {
            ""
        } else {
            names.read(table.section_name(endian, header)?, || {
                format!("section {}", index.0)
            })?
        };
        sections.push(Section {
            name,
            kind: header.sh_type(endian).0,
            flags: header.sh_flags(endian).0,
            align: check_align(name, header.sh_addralign(endian))?,
            entsize: header.sh_entsize(endian),
            size: check_size(name, header.sh_size(endian))?,
            data: bytes,
            relocs: Relocs::new(endian),
            grouped: false,
        });
    }
    Ok((sections, SectionIds(ids)))
}

fn symbols<'d>(
    table: &SymbolTable<'d, Header>,
    (endian, data): (Endianness, &'d [u8]),
    sections: &[Section<'d>],
    ids: &SectionIds,
) -> Result<Vec<Symbol<'d>>, ParseError> {
    let mut names = Names::of(data);
    let mut symbols = Vec::with_capacity(table.len());
    for (index, sym) in table.enumerate() {
        let mut name = names.read(table.symbol_name(endian, sym)?, || {
            format!("symbol {}", index.0)
        })?;
        let place = match table.symbol_section(endian, sym, index)? {
            Some(section) => match ids.get(section.0) {
                Some(id) => Place::Section(id),
                None => {
                    return Err(out_of_bounds(format!(
                        "symbol {name} is in section {}, which does not exist or holds relocations",
                        section.0
                    )));
                }
            },
            None if sym.is_undefined(endian) => Place::Undefined,
            None => Place::Reserved(sym.st_shndx(endian).0),
        };
        if let Place::Section(id) = place {
            let section = &sections[id.0 as usize];
            if sym.st_value(endian) > section.size {
                return Err(out_of_bounds(format!(
                    "symbol {name} lies outside its section {}",
                    section.name
                )));
            }
            if sym.st_type() == elf::STT_SECTION {
                name = section.name;
            }
        }
        symbols.push(Symbol {
            name,
            value: sym.st_value(endian),
            size: sym.st_size(endian),
            bind: sym.st_bind().0,
            kind: sym.st_type().0,
            other: sym.st_other().0,
            place,
        });
    }
    Ok(symbols)
}

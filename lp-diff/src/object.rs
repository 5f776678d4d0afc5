//! Reads one relocatable object.
//!
//! Symbols keep their ELF indices as typed ids, nothing is interpreted here: which symbol owns which
//! bytes is [`crate::bundle`]'s business. Everything borrows the file's bytes. All offsets and sizes are checked here,
//! once, so that the later phases may slice without fear; the tempting wrong way is to check where one looks.
//!
//! With a section for each function, half of all sections are relocation sections: they are no sections here, but
//! [`Relocs`] of those that they apply to. Symbols and relocations stay in the file's form and are decoded where they
//! are looked at.

mod names;
mod relocs;
mod section;
mod span;
mod symbol;

pub use relocs::{Reloc, Relocs};
pub use section::Section;
pub use symbol::{Place, Symbol};

use crate::name::Compiler;
use crate::packed::Packed;
use object::Endianness;
use object::elf;
use object::read::elf::FileHeader;
use section::Sections;
use span::Span;
use std::sync::Arc;
use symbol::Symbols;
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
    /// What gcc writes for link-time optimization has no code yet.
    #[error(
        "there is no code in it: it was compiled with -flto, which leaves that to the linker; compile without"
    )]
    LinkTime,
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

/// What the tables of a relocatable object say, all of it checked; its bytes are elsewhere.
#[derive(Debug)]
struct Tables {
    machine: u16,
    flags: u32,
    endian: Endianness,
    sections: Sections,
    symbols: Symbols,
}

impl Tables {
    fn read(data: &[u8]) -> Result<Self, ParseError> {
        let header = Header::parse(data)?;
        let endian = header.endian()?;
        if header.e_type(endian) != elf::ET_REL {
            return Err(ParseError::NotRelocatable(header.e_type(endian).0));
        }
        let table = &header.sections(endian, data)?;
        let mut sections = Sections::read(header, table, (endian, data))?;
        let contents = sections.contents(data)?;
        let symbols = Symbols::read(&sections, table, (endian, contents))?;
        sections.read_relocs(table, contents, symbols.contents(data)?.len())?;
        sections.mark_groups(table, data)?;
        Ok(Self {
            machine: header.e_machine(endian).0,
            flags: header.e_flags(endian).0,
            endian,
            sections,
            symbols,
        })
    }
}

/// The file of an object: its bytes without the section headers, which are a third of an object with a section for each
/// function and stand at its end, and what these say.
#[derive(Debug)]
pub struct ObjectFile {
    bytes: Vec<u8>,
    tables: Arc<Tables>,
}

impl ObjectFile {
    /// Reads the tables of a 64-bit relocatable ELF object and lets go of what is not needed any more.
    pub fn new(mut bytes: Vec<u8>) -> Result<Self, ParseError> {
        let tables = Arc::new(Tables::read(&bytes)?);
        bytes.truncate(tables.sections.end());
        bytes.shrink_to_fit();
        Ok(Self { bytes, tables })
    }

    /// The object in it.
    pub fn object(&self) -> Result<Object<'_>, ParseError> {
        Object::of(Arc::clone(&self.tables), &self.bytes)
    }
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
    tables: Arc<Tables>,
    sections: section::Contents<'d>,
    symbols: symbol::Contents<'d>,
    packed: Packed,
}

impl<'d> Object<'d> {
    /// Reads the tables of a 64-bit relocatable ELF object.
    pub fn parse(data: &'d [u8]) -> Result<Self, ParseError> {
        Self::of(Arc::new(Tables::read(data)?), data)
    }

    /// The object with these tables, which were read from the same bytes.
    fn of(tables: Arc<Tables>, data: &'d [u8]) -> Result<Self, ParseError> {
        let contents = tables.sections.contents(data)?;
        Ok(Object {
            machine: tables.machine,
            flags: tables.flags,
            endian: tables.endian,
            compiler: compiler(tables.sections.iter(contents)),
            packed: Packed::of(tables.sections.iter(contents)),
            sections: contents,
            symbols: tables.symbols.contents(data)?,
            tables,
        })
    }

    /// The section with this id, which must be one of this object.
    #[inline]
    pub fn section(&self, id: SectionId) -> Section<'_> {
        self.tables.sections.get(id, self.sections)
    }

    /// The name of a section.
    pub fn section_name(&self, id: SectionId) -> &'d str {
        self.tables.sections.name(id, self.sections).text()
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

    /// The symbol with this id, which must be one of this object.
    #[inline]
    pub fn symbol(&self, id: SymbolId) -> Symbol<'d> {
        let sections = (&self.tables.sections, self.sections);
        self.tables.symbols.get(id, self.symbols, sections)
    }

    /// How many sections there are, the null section included.
    pub fn section_count(&self) -> usize {
        self.tables.sections.len()
    }

    /// How many symbols there are, the null symbol included.
    pub fn symbol_count(&self) -> usize {
        self.symbols.len()
    }

    /// All sections with their ids, the null section excepted.
    pub fn sections(&self) -> impl Iterator<Item = (SectionId, Section<'_>)> {
        self.tables.sections.iter(self.sections).skip(1)
    }

    /// All symbols with their ids, the null symbol excepted.
    pub fn symbols(&self) -> impl Iterator<Item = (SymbolId, Symbol<'d>)> {
        let ids = (1..self.symbol_count() as u32).map(SymbolId);
        ids.map(|id| (id, self.symbol(id)))
    }
}

/// clang leaves a table of its own, or says its name in `.comment`.
fn compiler<'d>(mut sections: impl Iterator<Item = (SectionId, Section<'d>)>) -> Compiler {
    const NAME: &[u8] = b"clang version";
    let is_clang = |section: Section<'_>| match section.name() {
        ".llvm_addrsig" => true,
        ".comment" => section.data.windows(NAME.len()).any(|text| text == NAME),
        _ => false,
    };
    if sections.any(|(_, section)| is_clang(section)) {
        Compiler::Clang
    } else {
        Compiler::Gcc
    }
}

fn out_of_bounds(what: String) -> ParseError {
    ParseError::OutOfBounds(what)
}

//! The symbols of an object, decoded when looked at.

use super::names::{Name, Names, strings};
use super::section::{self, Sections};
use super::{Header, ParseError, SectionId, Span, SymbolId, out_of_bounds};
use object::elf::{self, Sym64};
use object::read::elf::{SectionTable, Sym};
use object::{Endianness, SectionIndex, U32};

/// What gcc defines in an object that has no code (`lto-wrapper.c`, since gcc 10).
const NO_CODE: &str = "__gnu_lto_slim";

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
#[derive(Debug, Clone, Copy)]
pub struct Symbol<'d> {
    name: Name<'d>,
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

impl<'d> Symbol<'d> {
    /// `st_name`; a section symbol has its section's name.
    pub fn name(&self) -> &'d str {
        self.name.text()
    }

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

/// Where all symbols are; index 0 is the null symbol.
#[derive(Debug)]
pub(super) struct Symbols {
    endian: Endianness,
    list: Span,
    /// The string table of their names.
    names: Span,
    /// SHT_SYMTAB_SHNDX.
    sections: Span,
}

/// The bytes of the symbols.
#[derive(Debug, Clone, Copy)]
pub(super) struct Contents<'d> {
    list: &'d [Sym64<Endianness>],
    names: &'d str,
    sections: &'d [U32<Endianness>],
}

impl Symbols {
    /// Checks all symbols of a file.
    pub(super) fn read(
        sections: &Sections,
        table: &SectionTable<'_, Header>,
        (endian, contents): (Endianness, section::Contents<'_>),
    ) -> Result<Self, ParseError> {
        let data = contents.data;
        let symtab = table.symbols(endian, data, elf::SHT_SYMTAB)?;
        let span = |index: SectionIndex| match index.0 {
            0 => Ok(Span::default()),
            _ => Span::of(table.section(index)?, (endian, data)),
        };
        let symbols = Self {
            endian,
            list: span(symtab.section())?,
            names: strings(table, symtab.string_section(), (endian, data))?,
            sections: span(symtab.shndx_section())?,
        };
        let mut names = Names::of(data);
        for (index, sym) in symtab.enumerate() {
            let name = names.check(symtab.symbol_name(endian, sym)?, || {
                format!("symbol {}", index.0)
            })?;
            if name == NO_CODE {
                return Err(ParseError::LinkTime);
            }
            let section = symtab.symbol_section(endian, sym, index)?;
            check_place(name, (endian, sym), section, (sections, contents))?;
        }
        Ok(symbols)
    }

    /// Their bytes.
    pub(super) fn contents<'d>(&self, data: &'d [u8]) -> Result<Contents<'d>, ParseError> {
        Ok(Contents {
            list: self.list.array(data).unwrap_or_default(),
            names: self.names.text(data)?,
            sections: self.sections.array(data).unwrap_or_default(),
        })
    }

    /// The symbol with this id, which must exist.
    #[inline]
    pub(super) fn get<'d>(
        &self,
        id: SymbolId,
        contents: Contents<'d>,
        (sections, bytes): (&Sections, section::Contents<'d>),
    ) -> Symbol<'d> {
        let (index, endian) = (id.0 as usize, self.endian);
        let sym = &contents.list[index];
        let place = self.place((index, sym), contents, sections);
        let kind = sym.st_type();
        let name = match place {
            Place::Section(section) if kind == elf::STT_SECTION => sections.name(section, bytes),
            _ => Name::at(contents.names, sym.st_name(endian)),
        };
        Symbol {
            name,
            value: sym.st_value(endian),
            size: sym.st_size(endian),
            bind: sym.st_bind().0,
            kind: kind.0,
            other: sym.st_other().0,
            place,
        }
    }

    /// Which section a symbol is in.
    #[inline]
    fn place(
        &self,
        (index, sym): (usize, &Sym64<Endianness>),
        contents: Contents<'_>,
        sections: &Sections,
    ) -> Place {
        let named = sym.st_shndx(self.endian);
        let section = match named.index() {
            Some(section) => usize::from(section),
            None if named == elf::SHN_XINDEX => {
                let section = contents.sections.get(index);
                section.map_or(0, |section| section.get(self.endian) as usize)
            }
            None => 0,
        };
        match section {
            0 if sym.is_undefined(self.endian) => Place::Undefined,
            0 => Place::Reserved(named.0),
            section => sections
                .id(section)
                .map_or(Place::Undefined, Place::Section),
        }
    }
}

impl Contents<'_> {
    /// How many symbols there are.
    pub(super) fn len(&self) -> usize {
        self.list.len()
    }
}

/// A symbol of a section lies in it, and the section is one that is kept.
fn check_place(
    name: &str,
    (endian, sym): (Endianness, &Sym64<Endianness>),
    section: Option<SectionIndex>,
    (sections, contents): (&Sections, section::Contents<'_>),
) -> Result<(), ParseError> {
    let Some(section) = section else {
        return Ok(());
    };
    let Some(id) = sections.id(section.0) else {
        return Err(out_of_bounds(format!(
            "symbol {name} is in section {}, which does not exist or holds relocations",
            section.0
        )));
    };
    let section = sections.get(id, contents);
    if sym.st_value(endian) > section.size {
        return Err(out_of_bounds(format!(
            "symbol {name} lies outside its section {}",
            section.name()
        )));
    }
    Ok(())
}

//! The symbols of an object, decoded when looked at.

use super::names::{Name, Names, strings};
use super::section::Sections;
use super::{Header, ParseError, SectionId, SymbolId, out_of_bounds};
use object::elf::{self, Sym64};
use object::read::elf::{Sym, SymbolTable};
use object::{Endianness, SymbolIndex};

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

/// All symbols; index 0 is the null symbol.
#[derive(Debug)]
pub(super) struct Symbols<'d> {
    endian: Endianness,
    table: SymbolTable<'d, Header>,
    /// The string table of their names.
    names: &'d str,
}

impl<'d> Symbols<'d> {
    /// Checks all symbols of a file.
    pub(super) fn read(
        sections: &Sections<'d>,
        endian: Endianness,
        data: &'d [u8],
    ) -> Result<Self, ParseError> {
        let table = sections.table().symbols(endian, data, elf::SHT_SYMTAB)?;
        let mut names = Names::of(data);
        for (index, sym) in table.enumerate() {
            let name = names.check(table.symbol_name(endian, sym)?, || {
                format!("symbol {}", index.0)
            })?;
            check_place(name, (&table, endian), (index, sym), sections)?;
        }
        Ok(Self {
            endian,
            table,
            names: strings(sections.table(), table.string_section(), (endian, data))?,
        })
    }

    pub(super) fn len(&self) -> usize {
        self.table.len()
    }

    /// The symbol with this id, which must exist.
    #[inline]
    pub(super) fn get(&self, id: SymbolId, sections: &Sections<'d>) -> Symbol<'d> {
        let (index, endian) = (SymbolIndex(id.0 as usize), self.endian);
        let sym = &self.table.symbols()[index.0];
        let place = self.place((index, sym), sections);
        let kind = sym.st_type();
        let name = match place {
            Place::Section(section) if kind == elf::STT_SECTION => sections.name(section),
            _ => Name::at(self.names, sym.st_name(endian)),
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
        (index, sym): (SymbolIndex, &Sym64<Endianness>),
        sections: &Sections<'d>,
    ) -> Place {
        let section = self.table.symbol_section(self.endian, sym, index).ok();
        match section.flatten() {
            Some(section) => match sections.id(section.0) {
                Some(id) => Place::Section(id),
                None => Place::Undefined,
            },
            None if sym.is_undefined(self.endian) => Place::Undefined,
            None => Place::Reserved(sym.st_shndx(self.endian).0),
        }
    }
}

/// A symbol of a section lies in it, and the section is one that is kept.
fn check_place<'d>(
    name: &str,
    (table, endian): (&SymbolTable<'d, Header>, Endianness),
    (index, sym): (SymbolIndex, &Sym64<Endianness>),
    sections: &Sections<'d>,
) -> Result<(), ParseError> {
    let Some(section) = table.symbol_section(endian, sym, index)? else {
        return Ok(());
    };
    let Some(id) = sections.id(section.0) else {
        return Err(out_of_bounds(format!(
            "symbol {name} is in section {}, which does not exist or holds relocations",
            section.0
        )));
    };
    let section = sections.get(id);
    if sym.st_value(endian) > section.size {
        return Err(out_of_bounds(format!(
            "symbol {name} lies outside its section {}",
            section.name()
        )));
    }
    Ok(())
}

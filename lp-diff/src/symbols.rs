//! The symbols of the target: the kernel image or module that the patch is for.
//!
//! Which of several equal names is meant is told by position: by address in a linked image, by index in a module,
//! which is the order in which kallsyms walks them (`kallsyms_on_each_symbol` and `module_kallsyms_on_each_symbol`,
//! Linux 6.1). The tempting wrong way is to count only functions, or only locals: the kernel counts every symbol of
//! the name.

use object::Endianness;
use object::elf;
use object::read::elf::{ElfFile64, FileHeader, Sym};
use object::read::{ReadRef, SymbolIndex};
use std::collections::HashMap;
use thiserror::Error;

/// Why a symbol file cannot be used.
#[derive(Debug, Error)]
pub enum SymbolsError {
    /// Damaged ELF structures.
    #[error("not a readable ELF file: {0}")]
    Elf(#[from] object::read::Error),
    /// Neither ELF nor lines of symbols.
    #[error(
        "no symbols in it: expected an ELF file with a symbol table, a System.map or a kallsyms text"
    )]
    Empty,
    /// Addresses are hidden from this user.
    #[error("all its addresses are zero: read it as root (kptr_restrict hides them)")]
    Hidden,
}

/// One symbol that the target defines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetSymbol {
    /// Its name.
    pub name: String,
    /// Its address in a linked image; in a module its index, which orders it.
    pub position: u64,
    /// Bytes; 0 where the file does not say.
    pub size: u64,
    /// Whether it is global or weak.
    pub global: bool,
    /// STT_*: `None` where the file does not say.
    pub kind: Option<u8>,
    /// Index of the FILE symbol that it comes after.
    file: Option<u32>,
}

/// All symbols of the target.
#[derive(Debug, Default)]
pub struct SymbolTable {
    symbols: Vec<TargetSymbol>,
    by_name: HashMap<String, Vec<u32>>,
    by_position: Vec<u32>,
    files: Vec<String>,
}

impl SymbolTable {
    /// Reads the symbol table of an ELF file.
    pub fn from_elf<'d, R: ReadRef<'d>>(data: R) -> Result<Self, SymbolsError> {
        let file = ElfFile64::<Endianness, R>::parse(data)?;
        let endian = file.endian();
        let relocatable = file.elf_header().e_type(endian) == elf::ET_REL;
        let symtab = file.elf_symbol_table();
        let mut table = Self::default();
        for (SymbolIndex(index), sym) in symtab.enumerate() {
            let name = String::from_utf8_lossy(symtab.symbol_name(endian, sym)?);
            if sym.st_type() == elf::STT_FILE {
                table.files.push(name.into_owned());
            } else if !name.is_empty()
                && !sym.is_undefined(endian)
                && sym.st_type() != elf::STT_SECTION
            {
                table.symbols.push(TargetSymbol {
                    name: name.into_owned(),
                    position: if relocatable {
                        index as u64
                    } else {
                        sym.st_value(endian)
                    },
                    size: sym.st_size(endian),
                    global: sym.st_bind() != elf::STB_LOCAL,
                    kind: Some(sym.st_type().0),
                    file: (table.files.len() as u32).checked_sub(1),
                });
            }
        }
        table.index()
    }

    /// Reads lines of `ADDRESS TYPE NAME [MODULE]`: System.map or /proc/kallsyms. Of the latter, `module` chooses
    /// whose symbols; `None` takes the kernel image's.
    pub fn from_text(text: &str, module: Option<&str>) -> Result<Self, SymbolsError> {
        let mut table = Self::default();
        for (line, index) in text.lines().zip(0u64..) {
            let mut words = line.split_ascii_whitespace();
            let (Some(address), Some(kind), Some(name)) =
                (words.next(), words.next(), words.next())
            else {
                continue;
            };
            let owner = words.next().map(|word| word.trim_matches(['[', ']']));
            let (Ok(address), true) = (u64::from_str_radix(address, 16), owner == module) else {
                continue;
            };
            table.symbols.push(TargetSymbol {
                name: name.to_owned(),
                position: if module.is_some() { index } else { address },
                size: 0,
                global: kind.chars().all(|letter| letter.is_ascii_uppercase()),
                kind: None,
                file: None,
            });
        }
        if !table.symbols.is_empty()
            && module.is_none()
            && table.symbols.iter().all(|symbol| symbol.position == 0)
        {
            return Err(SymbolsError::Hidden);
        }
        table.index()
    }

    fn index(mut self) -> Result<Self, SymbolsError> {
        if self.symbols.is_empty() {
            return Err(SymbolsError::Empty);
        }
        self.by_position = (0..self.symbols.len() as u32).collect();
        self.by_position
            .sort_by_key(|index| self.symbols[*index as usize].position);
        for index in &self.by_position {
            self.by_name
                .entry(self.symbols[*index as usize].name.clone())
                .or_default()
                .push(*index);
        }
        Ok(self)
    }

    /// The symbols of a name, by position.
    pub fn lookup(&self, name: &str) -> impl Iterator<Item = &TargetSymbol> {
        self.by_name
            .get(name)
            .into_iter()
            .flatten()
            .map(|index| &self.symbols[*index as usize])
    }

    /// The global or weak symbol of a name.
    pub fn global(&self, name: &str) -> Option<&TargetSymbol> {
        self.lookup(name).find(|symbol| symbol.global)
    }

    /// The symbols at a position.
    pub fn at(&self, position: u64) -> impl Iterator<Item = &TargetSymbol> {
        let key = |index: &u32| self.symbols[*index as usize].position;
        let first = self
            .by_position
            .partition_point(|index| key(index) < position);
        self.by_position[first..]
            .iter()
            .map(|index| &self.symbols[*index as usize])
            .take_while(move |symbol| symbol.position == position)
    }

    /// Position of a symbol among those of its name: 0 when it is the only one, else its rank from 1.
    pub fn sympos(&self, symbol: &TargetSymbol) -> u32 {
        let same: Vec<u64> = self
            .lookup(&symbol.name)
            .map(|other| other.position)
            .collect();
        match same
            .iter()
            .position(|position| *position == symbol.position)
        {
            Some(rank) if same.len() > 1 => rank as u32 + 1,
            _ => 0,
        }
    }

    /// The local symbols of the one source file `name` that has the most of `locals`, if one has more than all others.
    /// Many source files share a base name, so what they define tells them apart.
    pub fn file_with<'n>(
        &self,
        name: &str,
        locals: impl Iterator<Item = &'n str>,
    ) -> Option<FileId> {
        let mut score: HashMap<u32, usize> = HashMap::new();
        for local in locals {
            for symbol in self.lookup(local).filter(|symbol| !symbol.global) {
                if let Some(file) = symbol
                    .file
                    .filter(|file| self.files[*file as usize] == name)
                {
                    *score.entry(file).or_default() += 1;
                }
            }
        }
        let best = *score.values().max()?;
        let mut winners = score
            .iter()
            .filter(|(_, count)| **count == best)
            .map(|(file, _)| *file);
        let winner = winners.next()?;
        winners.next().is_none().then_some(FileId(winner))
    }

    /// The local symbol of a name in a source file.
    pub fn local_in(&self, file: FileId, name: &str) -> Option<&TargetSymbol> {
        let mut found = self
            .lookup(name)
            .filter(|symbol| !symbol.global && symbol.file == Some(file.0));
        let symbol = found.next()?;
        found.next().is_none().then_some(symbol)
    }
}

/// A source file of the target, by its FILE symbol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileId(u32);

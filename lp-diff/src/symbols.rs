//! The symbols of the target: the kernel image or module that the patch is for.
//!
//! Which of several equal names is meant is told by position: by address in a linked image, by index in a module,
//! which is the order in which kallsyms walks them (`kallsyms_on_each_symbol` and `module_kallsyms_on_each_symbol`,
//! Linux 6.1). The tempting wrong way is to count only functions, or only locals: the kernel counts every symbol of
//! the name.
//!
//! A kernel has hundreds of thousands of symbols, so a row is small, all names are in one text, and an index of rows
//! sorted by name answers every question in a few steps, however many symbols share the name.

use object::Endianness;
use object::elf;
use object::read::elf::{FileHeader, SectionHeader, Sym};
use object::read::{ReadRef, SymbolIndex};
use std::collections::HashMap;
use std::ffi::CStr;
use std::hash::{BuildHasher, RandomState};
use std::sync::OnceLock;
use thiserror::Error;

type Header = elf::FileHeader64<Endianness>;

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
    /// More names than 32 bits count.
    #[error("its symbol names take more than 4 GiB")]
    TooLarge,
}

/// One symbol that the target defines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TargetSymbol<'t> {
    /// Its name.
    pub name: &'t str,
    /// Its address in a linked image; in a module its index, which orders it.
    pub position: u64,
    /// Whether it is global or weak.
    pub global: bool,
    /// STT_*: `None` where the file does not say.
    pub kind: Option<u8>,
    /// The FILE symbol that it comes after.
    pub file: Option<FileId>,
}

/// A source file of the target, by its FILE symbol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId(u32);

/// A name that so many symbols of the target have says nothing about the file that one of them is from.
const COMMON: usize = 4096;

/// All symbols of the target.
#[derive(Debug, Default)]
pub struct SymbolTable {
    /// All names, one after the other.
    names: String,
    /// By position.
    rows: Vec<Row>,
    /// Rows by hash of the name, name, global ones first, position.
    by_name: Vec<u32>,
    files: Vec<String>,
    /// Files by name.
    files_by_name: Vec<FileId>,
    /// Local rows by file, hash of the name, position; made when first asked for.
    by_file: OnceLock<Vec<u32>>,
    hasher: RandomState,
}

#[derive(Debug, Clone, Copy)]
struct Row {
    position: u64,
    /// Up to the next NUL.
    name_at: u32,
    hash: u32,
    /// One more than that of [`FileId`]; 0 for none.
    file: u32,
    /// `NO_KIND` for none.
    kind: u8,
    global: bool,
}

const NO_KIND: u8 = u8::MAX;

impl Row {
    fn file(&self) -> Option<FileId> {
        self.file.checked_sub(1).map(FileId)
    }
}

impl SymbolTable {
    /// Reads the symbol table of an ELF file.
    ///
    /// # Errors
    /// Where the file is damaged or has no symbols.
    pub fn from_elf<'d, R: ReadRef<'d>>(data: R) -> Result<Self, SymbolsError> {
        let header = Header::parse(data)?;
        let endian = header.endian()?;
        let relocatable = header.e_type(endian) == elf::ET_REL;
        let sections = header.sections(endian, data)?;
        let symtab = sections.symbols(endian, data, elf::SHT_SYMTAB)?;
        // Read at once: a read for each name is a system call for each symbol where the file is not in memory.
        let names: &[u8] = match symtab.string_section().0 {
            0 => &[],
            _ => sections
                .section(symtab.string_section())?
                .data(endian, data)?,
        };
        let mut table = Self::default();
        table.rows.reserve_exact(symtab.len());
        for (SymbolIndex(index), sym) in symtab.enumerate() {
            let name = String::from_utf8_lossy(text_at(names, sym.st_name(endian)));
            if sym.st_type() == elf::STT_FILE {
                table.files.push(name.into_owned());
            } else if !name.is_empty()
                && !sym.is_undefined(endian)
                && sym.st_type() != elf::STT_SECTION
            {
                table.push(TargetSymbol {
                    name: &name,
                    position: if relocatable {
                        index as u64
                    } else {
                        sym.st_value(endian)
                    },
                    global: sym.st_bind() != elf::STB_LOCAL,
                    kind: Some(sym.st_type().0),
                    file: (table.files.len() as u32).checked_sub(1).map(FileId),
                })?;
            }
        }
        table.index()
    }

    /// Reads lines of `ADDRESS TYPE NAME [MODULE]`: System.map or /proc/kallsyms. Of the latter, `module` chooses
    /// whose symbols; `None` takes the kernel image's.
    ///
    /// # Errors
    /// Where no line is of that form, or all addresses are hidden.
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
            let is_wanted = owner == module && !name.contains('\0');
            let (Ok(address), true) = (u64::from_str_radix(address, 16), is_wanted) else {
                continue;
            };
            table.push(TargetSymbol {
                name,
                position: if module.is_some() { index } else { address },
                global: kind.chars().all(|letter| letter.is_ascii_uppercase()),
                kind: None,
                file: None,
            })?;
        }
        if !table.rows.is_empty()
            && module.is_none()
            && table.rows.iter().all(|row| row.position == 0)
        {
            return Err(SymbolsError::Hidden);
        }
        table.index()
    }

    fn push(&mut self, symbol: TargetSymbol<'_>) -> Result<(), SymbolsError> {
        let small = |size: usize| u32::try_from(size).map_err(|_| SymbolsError::TooLarge);
        self.rows.push(Row {
            position: symbol.position,
            name_at: small(self.names.len())?,
            hash: self.hash(symbol.name),
            file: symbol.file.map_or(0, |file| file.0.saturating_add(1)),
            kind: symbol.kind.unwrap_or(NO_KIND),
            global: symbol.global,
        });
        self.names.push_str(symbol.name);
        self.names.push('\0');
        Ok(())
    }

    fn index(mut self) -> Result<Self, SymbolsError> {
        if self.rows.is_empty() {
            return Err(SymbolsError::Empty);
        }
        self.rows.sort_by_key(|row| row.position);
        let mut by_name: Vec<u32> = (0..self.rows.len() as u32).collect();
        by_name.sort_unstable_by_key(|index| {
            let row = self.row(*index);
            (row.hash, self.name(row), !row.global, *index)
        });
        self.by_name = by_name;
        self.rows.shrink_to_fit();
        self.names.shrink_to_fit();
        self.files_by_name = (0..self.files.len() as u32).map(FileId).collect();
        let files = &self.files;
        self.files_by_name
            .sort_unstable_by_key(|file| (&files[file.0 as usize], *file));
        Ok(self)
    }

    /// The symbols of a name, global ones first, then by position.
    pub fn lookup(&self, name: &str) -> impl ExactSizeIterator<Item = TargetSymbol<'_>> {
        self.of_name(name)
            .iter()
            .map(|index| self.symbol(self.row(*index)))
    }

    /// The global or weak symbol of a name.
    pub fn global(&self, name: &str) -> Option<TargetSymbol<'_>> {
        self.lookup(name).next().filter(|symbol| symbol.global)
    }

    /// The symbol of a name that the linker made local: a hidden one, or one that a version script hides. It comes after
    /// those of all source files, behind a FILE symbol without a name (`elf_link_output_extsym`, bfd/elflink.c).
    pub fn made_local(&self, name: &str) -> Option<TargetSymbol<'_>> {
        let is_made = |symbol: &TargetSymbol<'_>| {
            let file = symbol.file.map(|file| self.files[file.0 as usize].as_str());
            !symbol.global && file.is_none_or(str::is_empty)
        };
        let mut made = self.lookup(name).filter(is_made);
        let symbol = made.next()?;
        made.next().is_none().then_some(symbol)
    }

    /// The symbols at a position.
    pub fn at(&self, position: u64) -> impl Iterator<Item = TargetSymbol<'_>> {
        let first = self.rows.partition_point(|row| row.position < position);
        self.rows[first..]
            .iter()
            .take_while(move |row| row.position == position)
            .map(|row| self.symbol(row))
    }

    /// Position of a symbol among those of its name: 0 when it is the only one, else its rank from 1.
    pub fn sympos(&self, symbol: &TargetSymbol<'_>) -> u32 {
        let same = self.of_name(symbol.name);
        if same.len() < 2 {
            return 0;
        }
        let (globals, locals) =
            same.split_at(same.partition_point(|index| self.row(*index).global));
        let before = |part: &[u32]| {
            part.partition_point(|index| self.row(*index).position < symbol.position)
        };
        (before(globals) + before(locals)) as u32 + 1
    }

    /// The local symbols of the one source file `name` that has the most of `locals`, if one has more than all others.
    /// Many source files share a base name, so what they define tells them apart.
    pub fn file_with<'n>(
        &self,
        name: &str,
        locals: impl Iterator<Item = &'n str>,
    ) -> Option<FileId> {
        let wanted = self.files_named(name);
        if wanted.is_empty() {
            return None;
        }
        if let [only] = wanted {
            let mut locals = locals;
            let has_it = locals.any(|name| self.local_in(*only, name).is_some());
            return has_it.then_some(*only);
        }
        let mut names: HashMap<&str, usize> = HashMap::new();
        for local in locals {
            *names.entry(local).or_default() += 1;
        }
        let mut score: HashMap<FileId, usize> = HashMap::new();
        for (local, times) in names {
            let there = self.lookup(local);
            if there.len() > COMMON {
                continue;
            }
            let files = there.filter(|symbol| !symbol.global);
            for file in files.filter_map(|symbol| symbol.file) {
                if wanted.binary_search(&file).is_ok() {
                    *score.entry(file).or_default() += times;
                }
            }
        }
        let best = *score.values().max()?;
        let mut winners = score
            .iter()
            .filter(|(_, count)| **count == best)
            .map(|(file, _)| *file);
        let winner = winners.next()?;
        winners.next().is_none().then_some(winner)
    }

    /// The local symbol of a name in a source file.
    pub fn local_in(&self, file: FileId, name: &str) -> Option<TargetSymbol<'_>> {
        let there = self.lookup(name);
        if there.len() <= COMMON {
            let mut found = there.filter(|symbol| !symbol.global && symbol.file == Some(file));
            let symbol = found.next()?;
            return found.next().is_none().then_some(symbol);
        }
        let by_file = self.by_file.get_or_init(|| self.locals_by_file());
        let key = (Some(file), self.hash(name));
        let order = |index: &u32| {
            let row = self.row(*index);
            (row.file(), row.hash)
        };
        let first = by_file.partition_point(|index| order(index) < key);
        let alike = by_file[first..]
            .iter()
            .take_while(|index| order(index) == key);
        let mut found = alike
            .map(|index| self.row(*index))
            .filter(|row| self.name(row) == name);
        let row = found.next()?;
        found.next().is_none().then(|| self.symbol(row))
    }

    fn locals_by_file(&self) -> Vec<u32> {
        let all = 0..self.rows.len() as u32;
        let mut locals: Vec<u32> = all.filter(|index| !self.row(*index).global).collect();
        locals.sort_unstable_by_key(|index| {
            let row = self.row(*index);
            (row.file(), row.hash, *index)
        });
        locals
    }

    /// The files of a name, in order.
    fn files_named(&self, name: &str) -> &[FileId] {
        let of = |file: &FileId| self.files[file.0 as usize].as_str();
        let first = self.files_by_name.partition_point(|file| of(file) < name);
        let rest = &self.files_by_name[first..];
        &rest[..rest.partition_point(|file| of(file) == name)]
    }

    /// The part of the index that has this name.
    fn of_name(&self, name: &str) -> &[u32] {
        let hash = self.hash(name);
        let order = |index: &u32| {
            let row = self.row(*index);
            row.hash.cmp(&hash).then_with(|| self.name(row).cmp(name))
        };
        let first = self.by_name.partition_point(|index| order(index).is_lt());
        let len = self.by_name[first..].partition_point(|index| order(index).is_eq());
        &self.by_name[first..first + len]
    }

    fn hash(&self, name: &str) -> u32 {
        self.hasher.hash_one(name) as u32
    }

    fn row(&self, index: u32) -> &Row {
        &self.rows[index as usize]
    }

    fn name(&self, row: &Row) -> &str {
        let rest = &self.names[row.name_at as usize..];
        let text = CStr::from_bytes_until_nul(rest.as_bytes());
        &rest[..text.map_or(0, CStr::count_bytes)]
    }

    fn symbol(&self, row: &Row) -> TargetSymbol<'_> {
        TargetSymbol {
            name: self.name(row),
            position: row.position,
            global: row.global,
            kind: Some(row.kind).filter(|kind| *kind != NO_KIND),
            file: row.file(),
        }
    }
}

/// The text that begins at an offset of a string table; empty where there is none.
fn text_at(names: &[u8], at: u32) -> &[u8] {
    let rest = names.get(at as usize..).unwrap_or_default();
    rest.split(|byte| *byte == 0).next().unwrap_or_default()
}

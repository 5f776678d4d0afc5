//! All symbols of an object, and which one a patch means by a name and a position.
//!
//! They are in `.symtab`, or in the separate debug file of the same build-id, or packed in `.gnu_debugdata`, or the patch
//! brings them along; else there are only the dynamic ones. A position counts the symbols of a name by ascending address, from 1, as lp-build counts them in the
//! whole table. The tempting wrong way is to count in what is left of a stripped one: another symbol is then meant.

use crate::process::read::elf::{Elf, ElfError, text_at};
use crate::process::read::image::{Image, in_root};
use lp_klp::name::Sympos;
use object::LittleEndian as LE;
use object::elf::{self, Sym64};
use object::pod::slice_from_all_bytes;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// KiB; `xz -9` takes 64 MiB.
const LARGEST_DICTIONARY: u32 = 256 << 10;
/// Bytes of an unpacked `.gnu_debugdata`.
const LARGEST_DEBUGDATA: u64 = 1 << 28;
const DEBUG_FOLDER: &str = "/usr/lib/debug";

/// Why a symbol is not known.
#[derive(Debug, Error)]
pub enum SymbolError {
    /// There is none of this name.
    #[error("{object} has no symbol '{name}'{}", hint(*.table))]
    NotFound {
        /// The object.
        object: String,
        /// The symbol.
        name: String,
        /// Where it was looked for.
        table: Source,
    },
    /// There are several, and no position is given.
    #[error("{object} has {count} symbols '{name}': a position must be given")]
    NotUnique {
        /// The object.
        object: String,
        /// The symbol.
        name: String,
        /// How many there are.
        count: usize,
    },
    /// There is no telling which it is.
    #[error(
        "{object} is stripped, so it cannot be told which of its symbols '{name}' is number {sympos}; install its debug \
         symbols (separate debug file)"
    )]
    Stripped {
        /// The object.
        object: String,
        /// The symbol.
        name: String,
        /// The one that is asked for.
        sympos: Sympos,
    },
    /// There are fewer.
    #[error("{object} has {count} symbols '{name}', number {sympos} is asked for")]
    TooFew {
        /// The object.
        object: String,
        /// The symbol.
        name: String,
        /// How many there are.
        count: usize,
        /// The one that is asked for.
        sympos: Sympos,
    },
    /// The table itself is damaged.
    #[error("the symbols of {object} cannot be read: {source}")]
    Unreadable {
        /// The object.
        object: String,
        /// Why.
        source: ElfError,
    },
}

fn hint(source: Source) -> &'static str {
    match source {
        Source::Dynamic => {
            ": its file is stripped and only dynamic symbols are left; install its debug symbols (separate debug file)"
        }
        _ => "",
    }
}

/// Which table the symbols are from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The object's own `.symtab`.
    Symtab,
    /// The separate debug file's.
    DebugFile,
    /// The one in `.gnu_debugdata`.
    DebugData,
    /// The one that a patch has for the object.
    Lent,
    /// `.dynsym`: all others are stripped.
    Dynamic,
}

/// A symbol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Symbol {
    name: u32,
    /// `st_value`
    pub value: u64,
    /// `st_size`
    pub size: u64,
    /// `STT_*`
    pub kind: u8,
    /// `STB_*`
    pub bind: u8,
    /// It is a number, not a place (`SHN_ABS`).
    pub absolute: bool,
}

/// What a name and a position mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// The symbol's value in the file's terms.
    pub value: u64,
    /// Bytes; the largest of those at the address.
    pub size: u64,
    /// `STT_*`
    pub kind: u8,
}

/// All symbols of an object.
#[derive(Debug)]
pub struct SymbolTable {
    /// Which table they are from.
    pub source: Source,
    strings: Vec<u8>,
    /// By name, then address.
    symbols: Vec<Symbol>,
    /// Indexes of the functions among them, by address.
    functions: Vec<u32>,
}

impl SymbolTable {
    /// Reads the best table that there is for an object.
    pub(in crate::process) fn of_image(image: &Image, root: &Path) -> Result<Self, ElfError> {
        if let Some(table) = Self::of_elf(&image.elf, Source::Symtab)? {
            return Ok(table);
        }
        for path in debug_files(image, root) {
            // A file that is not this object's says nothing about it: the next one may be.
            let elf = File::open(path)
                .ok()
                .and_then(|file| Elf::of_file(file).ok());
            let build_id = |elf: &Elf| elf.build_id().ok().flatten();
            let same = |elf: &Elf| image.build_id.is_some() && build_id(elf) == image.build_id;
            let table = elf
                .filter(same)
                .map(|elf| Self::of_elf(&elf, Source::DebugFile));
            if let Some(Ok(Some(table))) = table {
                return Ok(table);
            }
        }
        if let Some(packed) = image.elf.section_named(".gnu_debugdata") {
            let elf = unpack(&image.elf.contents(packed)?)?;
            if let Some(mut table) = Self::of_elf(&elf, Source::DebugData)? {
                // It leaves out what the dynamic symbols say.
                table.add_dynamic(image)?;
                return Ok(table);
            }
        }
        let mut table = Self::new(Source::Dynamic, Vec::new(), Vec::new());
        table.add_dynamic(image)?;
        Ok(table)
    }

    fn of_elf(file: &Elf, source: Source) -> Result<Option<Self>, ElfError> {
        let Some(section) = file.section_of(elf::SHT_SYMTAB) else {
            return Ok(None);
        };
        let strings = file.sections().get(section.link as usize);
        let strings = strings.ok_or(ElfError::Damaged("its symbols have no names"))?;
        let strings = file.contents(strings)?;
        let table = Self::of_bytes(&file.contents(section)?, strings, source)?;
        Ok(Some(table))
    }

    /// A table as files have it.
    pub(in crate::process) fn of_bytes(
        symbols: &[u8],
        strings: Vec<u8>,
        source: Source,
    ) -> Result<Self, ElfError> {
        let raw = slice_from_all_bytes::<Sym64<LE>>(symbols);
        let raw = raw.map_err(|()| ElfError::Damaged("its symbol table"))?;
        let symbols = raw.iter().filter_map(Symbol::new).collect();
        Ok(Self::new(source, strings, symbols))
    }

    fn new(source: Source, strings: Vec<u8>, mut symbols: Vec<Symbol>) -> Self {
        let key = |it: &Symbol| (text_at(&strings, it.name), it.value);
        symbols.sort_by_cached_key(key);
        let with_index = (0..).zip(&symbols);
        let functions = with_index.filter(|(_, it)| it.is_function());
        let mut functions: Vec<u32> = functions.map(|(index, _)| index).collect();
        functions.sort_by_key(|index| symbols[*index as usize].value);
        Self {
            source,
            strings,
            symbols,
            functions,
        }
    }

    fn add_dynamic(&mut self, image: &Image) -> Result<(), ElfError> {
        let mut strings = std::mem::take(&mut self.strings);
        let mut symbols = std::mem::take(&mut self.symbols);
        for symbol in image
            .dynamic
            .symbols
            .iter()
            .filter(|it| it.defined && is_named(it.kind))
        {
            let name = u32::try_from(strings.len());
            let name = name.map_err(|_| ElfError::Damaged("its names are too long"))?;
            strings.extend_from_slice(image.dynamic.name(symbol));
            strings.push(0);
            let &crate::process::read::dynamic::DynamicSymbol {
                value,
                size,
                kind,
                bind,
                absolute,
                ..
            } = symbol;
            symbols.push(Symbol {
                name,
                value,
                size,
                kind,
                bind,
                absolute,
            });
        }
        *self = Self::new(self.source, strings, symbols);
        Ok(())
    }

    /// All symbols that have an address in the object, by name and then address.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &Symbol)> {
        let places = self
            .symbols
            .iter()
            .filter(|it| !it.absolute && it.kind != elf::STT_TLS.0);
        places.map(|it| (self.name(it), it))
    }

    /// A symbol's name.
    pub fn name(&self, symbol: &Symbol) -> &[u8] {
        text_at(&self.strings, symbol.name)
    }

    /// Those of one name, by address.
    pub fn named(&self, name: &[u8]) -> &[Symbol] {
        let start = self.symbols.partition_point(|it| self.name(it) < name);
        let rest = &self.symbols[start..];
        &rest[..rest.partition_point(|it| self.name(it) == name)]
    }

    /// Those whose names begin so, by name and then address.
    pub fn starting_with(&self, prefix: &[u8]) -> &[Symbol] {
        let start = self.symbols.partition_point(|it| self.name(it) < prefix);
        let rest = &self.symbols[start..];
        &rest[..rest.partition_point(|it| self.name(it).starts_with(prefix))]
    }

    /// Functions by address.
    pub fn functions(&self) -> impl DoubleEndedIterator<Item = &Symbol> {
        self.functions
            .iter()
            .map(|index| &self.symbols[*index as usize])
    }

    /// The functions that begin in a range of the file's addresses, by address.
    pub fn functions_in(&self, range: std::ops::Range<u64>) -> impl Iterator<Item = &Symbol> {
        let value = |index: &u32| self.symbols[*index as usize].value;
        let start = self
            .functions
            .partition_point(|index| value(index) < range.start);
        let rest = self.functions[start..]
            .iter()
            .map(|index| &self.symbols[*index as usize]);
        rest.take_while(move |it| it.value < range.end)
    }

    /// What a name and a position mean in the object of this name.
    ///
    /// # Errors
    /// Where there is no such symbol, or there are several.
    pub fn find(&self, object: &str, name: &str, sympos: Sympos) -> Result<Found, SymbolError> {
        let all = self.called(name);
        let (object, name, table) = (object.to_owned(), name.to_owned(), self.source);
        let count = all.len();
        let one_place = all.iter().all(|it| it.value == all[0].value);
        let chosen = match (sympos, all.first()) {
            (_, None) => {
                return Err(SymbolError::NotFound {
                    object,
                    name,
                    table,
                });
            }
            (Sympos::UNIQUE, first) if one_place => first,
            (Sympos::UNIQUE, _) => {
                return Err(SymbolError::NotUnique {
                    object,
                    name,
                    count,
                });
            }
            _ if !self.is_whole() => {
                return Err(SymbolError::Stripped {
                    object,
                    name,
                    sympos,
                });
            }
            (Sympos(rank), _) => all.get(rank as usize - 1),
        };
        let symbol = chosen.ok_or_else(|| SymbolError::TooFew {
            object: object.clone(),
            name: name.clone(),
            count,
            sympos,
        })?;
        if symbol.absolute {
            return Err(SymbolError::NotFound {
                object,
                name,
                table,
            });
        }
        let here = all.iter().filter(|it| it.value == symbol.value);
        let size = here.map(|it| it.size).max().unwrap_or(0);
        Ok(Found {
            value: symbol.value,
            size,
            kind: symbol.kind,
        })
    }

    /// Those of a name by address; where there are none, those that have it with a version behind (`NAME@@VERSION`), the default one.
    fn called(&self, name: &str) -> Vec<&Symbol> {
        let exact = self.named(name.as_bytes());
        if !exact.is_empty() {
            return exact.iter().collect();
        }
        let versioned = self.starting_with(format!("{name}@@").as_bytes());
        let mut found: Vec<&Symbol> = versioned.iter().collect();
        found.sort_by_key(|it| it.value);
        found
    }

    /// Whether nothing was stripped from it.
    fn is_whole(&self) -> bool {
        matches!(
            self.source,
            Source::Symtab | Source::DebugFile | Source::Lent
        )
    }
}

impl Symbol {
    /// Whether it is a function's.
    pub fn is_function(&self) -> bool {
        is_code(self.kind) && !self.absolute
    }

    fn new(raw: &Sym64<LE>) -> Option<Self> {
        let kind = raw.st_info.0 & 0xf;
        let section = raw.st_shndx.get(LE);
        let named = raw.st_name.get(LE) != 0 && is_named(kind);
        (named && section != elf::SHN_UNDEF).then(|| Self {
            name: raw.st_name.get(LE),
            value: raw.st_value.get(LE),
            size: raw.st_size.get(LE),
            kind,
            bind: raw.st_info.0 >> 4,
            absolute: section == elf::SHN_ABS,
        })
    }
}

fn is_code(kind: u8) -> bool {
    kind == elf::STT_FUNC.0 || kind == elf::STT_GNU_IFUNC.0
}

/// Files and sections have no names that could be meant.
fn is_named(kind: u8) -> bool {
    kind != elf::STT_FILE.0 && kind != elf::STT_SECTION.0
}

/// Where a separate debug file may be: by build-id, and by `.gnu_debuglink` as gdb looks; in the process's root, then ours.
fn debug_files(image: &Image, root: &Path) -> Vec<PathBuf> {
    let mut paths = Vec::new();
    let id = image.build_id_text();
    if id.len() > 2 {
        let (first, rest) = id.split_at(2);
        paths.push(PathBuf::from(format!(
            "{DEBUG_FOLDER}/.build-id/{first}/{rest}.debug"
        )));
    }
    let folder = image.path.parent().unwrap_or(Path::new("/"));
    if let Some(link) = debug_link(image) {
        let under_debug = in_root(Path::new(DEBUG_FOLDER), folder);
        for folder in [folder.to_owned(), folder.join(".debug"), under_debug] {
            paths.push(folder.join(&link));
        }
    }
    let in_process = paths.iter().map(|path| in_root(root, path));
    let mut all: Vec<PathBuf> = in_process.collect();
    all.extend(paths);
    all
}

/// The file's name in `.gnu_debuglink`: only the last part of a path, whatever is written there.
fn debug_link(image: &Image) -> Option<String> {
    let section = image.elf.section_named(".gnu_debuglink")?;
    let bytes = image.elf.contents(section).ok()?;
    let link = std::str::from_utf8(text_at(&bytes, 0)).ok()?;
    Some(Path::new(link).file_name()?.to_str()?.to_owned())
}

fn unpack(packed: &[u8]) -> Result<Elf, ElfError> {
    let mut bytes = Vec::new();
    // What it says of its dictionary is a claim, too.
    let reader = lzma_rust2::XzReader::new_mem_limit(packed, false, LARGEST_DICTIONARY);
    let read = reader.take(LARGEST_DEBUGDATA + 1).read_to_end(&mut bytes)?;
    if read as u64 > LARGEST_DEBUGDATA {
        return Err(ElfError::Damaged("its .gnu_debugdata unpacks to too much"));
    }
    Elf::of_bytes(bytes)
}

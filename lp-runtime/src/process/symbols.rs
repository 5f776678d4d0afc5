//! All symbols of an object, and which one a patch means by a name and a position.
//!
//! They are in `.symtab`, or in the separate debug file of the same build-id, or packed in `.gnu_debugdata`; else there are
//! only the dynamic ones. A position counts the addresses of a name, ascending, from 1; what has two names at one address, or one
//! name twice at it, is one. Functions and data count, files, sections and what is not defined do not.

use super::elf::{Elf, ElfError, text_at};
use super::image::{Image, in_root};
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
    pub(super) fn of_image(image: &Image, root: &Path) -> Result<Self, ElfError> {
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
        let bytes = file.contents(section)?;
        let raw = slice_from_all_bytes::<Sym64<LE>>(&bytes);
        let raw = raw.map_err(|()| ElfError::Damaged("its symbol table"))?;
        let symbols = raw.iter().filter_map(Symbol::new).collect();
        Ok(Some(Self::new(source, strings, symbols)))
    }

    fn new(source: Source, strings: Vec<u8>, mut symbols: Vec<Symbol>) -> Self {
        let key = |it: &Symbol| (name_in(&strings, it.name), it.value);
        symbols.sort_by(|a, b| key(a).cmp(&key(b)));
        let is_function = |it: &Symbol| is_code(it.kind);
        let with_index = (0..).zip(&symbols);
        let functions = with_index.filter(|(_, it)| is_function(it));
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
            let &super::dynamic::DynamicSymbol {
                value,
                size,
                kind,
                bind,
                ..
            } = symbol;
            symbols.push(Symbol {
                name,
                value,
                size,
                kind,
                bind,
            });
        }
        *self = Self::new(self.source, strings, symbols);
        Ok(())
    }

    /// All symbols, by name and then address.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &Symbol)> {
        self.symbols.iter().map(|it| (self.name(it), it))
    }

    /// A symbol's name.
    pub fn name(&self, symbol: &Symbol) -> &[u8] {
        name_in(&self.strings, symbol.name)
    }

    /// Those of one name, by address.
    pub fn named(&self, name: &[u8]) -> &[Symbol] {
        let start = self.symbols.partition_point(|it| self.name(it) < name);
        let rest = &self.symbols[start..];
        &rest[..rest.partition_point(|it| self.name(it) == name)]
    }

    /// Those whose names begin so, by name and then address.
    pub fn starting_with<'a>(
        &'a self,
        prefix: &'a [u8],
    ) -> impl Iterator<Item = (&'a [u8], &'a Symbol)> {
        let start = self.symbols.partition_point(|it| self.name(it) < prefix);
        let rest = self.symbols[start..].iter().map(|it| (self.name(it), it));
        rest.take_while(move |(name, _)| name.starts_with(prefix))
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
        let (object, name) = (object.to_owned(), name.to_owned());
        let mut found: Vec<Found> = Vec::new();
        for symbol in self.named(name.as_bytes()) {
            match found.last_mut().filter(|last| last.value == symbol.value) {
                Some(last) => last.size = last.size.max(symbol.size),
                None => found.push(symbol.found()),
            }
        }
        let count = found.len();
        match (sympos, &found[..]) {
            (_, []) => Err(SymbolError::NotFound {
                object,
                name,
                table: self.source,
            }),
            (Sympos::UNIQUE, [only]) => Ok(*only),
            (Sympos::UNIQUE, _) => Err(SymbolError::NotUnique {
                object,
                name,
                count,
            }),
            (Sympos(rank), _) => {
                let at = found.get(rank as usize - 1).copied();
                at.ok_or(SymbolError::TooFew {
                    object,
                    name,
                    count,
                    sympos,
                })
            }
        }
    }
}

impl Symbol {
    fn new(raw: &Sym64<LE>) -> Option<Self> {
        let kind = raw.st_info.0 & 0xf;
        let section = raw.st_shndx.get(LE);
        let defined = section != elf::SHN_UNDEF && section != elf::SHN_ABS;
        (defined && is_named(kind)).then(|| Self {
            name: raw.st_name.get(LE),
            value: raw.st_value.get(LE),
            size: raw.st_size.get(LE),
            kind,
            bind: raw.st_info.0 >> 4,
        })
    }

    fn found(&self) -> Found {
        Found {
            value: self.value,
            size: self.size,
            kind: self.kind,
        }
    }
}

/// The linker writes a default version behind the name (`memcpy@@GLIBC_2.14`): it is no part of it.
fn name_in(strings: &[u8], offset: u32) -> &[u8] {
    let name = text_at(strings, offset);
    let version = memchr::memmem::find(name, b"@@");
    version.map_or(name, |at| &name[..at])
}

fn is_code(kind: u8) -> bool {
    kind == elf::STT_FUNC.0 || kind == elf::STT_GNU_IFUNC.0
}

fn is_named(kind: u8) -> bool {
    let data = [
        elf::STT_NOTYPE,
        elf::STT_OBJECT,
        elf::STT_COMMON,
        elf::STT_TLS,
    ];
    is_code(kind) || data.iter().any(|it| it.0 == kind)
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

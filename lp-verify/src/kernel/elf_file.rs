//! An ELF file of any size, read section by section: 64 bits, little-endian, as every architecture with livepatch has it
//! now.
//!
//! A debug vmlinux has hundreds of megabytes, of which a few are asked for. The tempting wrong way is to believe the
//! sizes that the file gives: no more is read than the file has.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Bytes; no section that we read comes near.
const LARGEST: u64 = 1 << 30;
const ET_REL: u64 = 1;
const SHT_SYMTAB: u64 = 2;
const SHT_RELA: u64 = 4;
const SHT_NOBITS: u64 = 8;
const SHN_UNDEF: u32 = 0;

/// Where something is: a section, and an address (in a relocatable file: bytes from the section's start).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The section's index.
    pub section: u32,
    /// The address, without KASLR.
    pub address: u64,
}

/// A symbol as the file has it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RawSymbol {
    /// Where its name begins.
    name: u64,
    pub(crate) place: Place,
    /// Bytes.
    pub(crate) size: u64,
    kind: u8,
}

/// All symbols, in the order of the file, and their names.
#[derive(Debug, Default)]
pub(crate) struct SymbolTable {
    symbols: Vec<RawSymbol>,
    strings: Vec<u8>,
}

/// The file and where its sections are.
#[derive(Debug)]
pub struct ElfFile {
    source: Source,
    relocatable: bool,
    sections: Vec<Section>,
    names: Vec<u8>,
}

#[derive(Debug)]
enum Source {
    File(File),
    Bytes(Vec<u8>),
}

#[derive(Debug, Clone, Copy)]
struct Section {
    name: u64,
    kind: u64,
    address: u64,
    offset: u64,
    size: u64,
    link: u64,
    info: u64,
}

impl ElfFile {
    /// Opens a file and reads its section headers.
    ///
    /// # Errors
    /// Where it cannot be read or is no 64-bit little-endian ELF file.
    pub fn open(path: &Path) -> io::Result<Self> {
        Self::read(Source::File(File::open(path)?))
    }

    /// A file that was compressed.
    ///
    /// # Errors
    /// Where it is no 64-bit little-endian ELF file.
    pub fn of_bytes(bytes: Vec<u8>) -> io::Result<Self> {
        Self::read(Source::Bytes(bytes))
    }

    fn read(source: Source) -> io::Result<Self> {
        let head = source.read(0, 64)?;
        if head.len() < 64 || !head.starts_with(b"\x7fELF\x02\x01") {
            return Err(io::Error::other("no 64-bit little-endian ELF file"));
        }
        let (table, count, names) = (
            number(&head[40..48]),
            number(&head[60..62]),
            number(&head[62..64]),
        );
        let headers = source.read(table, count * 64)?;
        let headers = headers.as_chunks::<64>().0;
        let mut opened = Self {
            source,
            relocatable: number(&head[16..18]) == ET_REL,
            sections: headers.iter().map(Section::new).collect(),
            names: Vec::new(),
        };
        opened.names = opened.contents_of(names)?;
        Ok(opened)
    }

    /// Whether there is anything in it that has a name.
    pub(crate) fn has_symbols(&self) -> bool {
        self.relocatable || self.sections.iter().any(|it| it.kind == SHT_SYMTAB)
    }

    /// The index of the section of this name; the first one.
    pub(crate) fn section_index(&self, name: &str) -> Option<u32> {
        let is_it = |section: &Section| text(&self.names, section.name) == Some(name.as_bytes());
        u32::try_from(self.sections.iter().position(is_it)?).ok()
    }

    /// The indexes of sections whose names are such, ascending.
    pub(crate) fn sections_named(&self, such: impl Fn(&str) -> bool) -> Vec<u32> {
        let name = |section: &Section| std::str::from_utf8(text(&self.names, section.name)?).ok();
        let such = |section: &Section| name(section).is_some_and(&such);
        let indexes = (0..).zip(&self.sections);
        let found = indexes.filter(|(_, section)| such(section));
        found.map(|(index, _)| index).collect()
    }

    /// The contents of a section; none if there is no such one.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub fn section(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        let index = self.section_index(name);
        index
            .map(|index| self.contents_of(index.into()))
            .transpose()
    }

    /// The bytes at a place; none where its section does not have them.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub fn bytes(&self, place: Place, len: u64) -> io::Result<Option<Vec<u8>>> {
        let Some(section) = self.sections.get(place.section as usize) else {
            return Ok(None);
        };
        let start = place.address.checked_sub(section.base(self.relocatable));
        let inside =
            |start: &u64| section.kind != SHT_NOBITS && start.saturating_add(len) <= section.size;
        let offset = start
            .filter(inside)
            .and_then(|start| section.offset.checked_add(start));
        offset
            .map(|offset| self.source.read(offset, len))
            .transpose()
    }

    /// The text that begins at a place and ends with a zero byte; none where there is none of less than 4 KiB.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub(crate) fn string(&self, place: Place) -> io::Result<Option<String>> {
        let Some(section) = self.sections.get(place.section as usize) else {
            return Ok(None);
        };
        let end = section.base(self.relocatable).saturating_add(section.size);
        let len = end.saturating_sub(place.address).min(4096);
        let bytes = self.bytes(place, len)?.unwrap_or_default();
        let end = bytes.iter().position(|byte| *byte == 0);
        Ok(end.map(|end| String::from_utf8_lossy(&bytes[..end]).into_owned()))
    }

    /// The section that is loaded at an address.
    pub(crate) fn place(&self, address: u64) -> Option<Place> {
        let holds = |section: &Section| {
            section.address != 0
                && address
                    .checked_sub(section.address)
                    .is_some_and(|start| start < section.size)
        };
        let section = u32::try_from(self.sections.iter().position(holds)?).ok()?;
        Some(Place { section, address })
    }

    /// The symbols.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub(crate) fn symbols(&self) -> io::Result<SymbolTable> {
        let table = self.sections.iter().find(|it| it.kind == SHT_SYMTAB);
        let Some(table) = table else {
            return Ok(SymbolTable::default());
        };
        let entries = self.source.read(table.offset, table.size)?;
        Ok(SymbolTable {
            symbols: entries
                .as_chunks::<24>()
                .0
                .iter()
                .map(RawSymbol::new)
                .collect(),
            strings: self.contents_of(table.link)?,
        })
    }

    /// Where the relocations of the section of this name point to, in the order of the file.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub(crate) fn relocated(&self, name: &str, symbols: &SymbolTable) -> io::Result<Vec<Place>> {
        let Some(index) = self.section_index(name) else {
            return Ok(Vec::new());
        };
        let for_it = |it: &&Section| it.kind == SHT_RELA && it.info == u64::from(index);
        let Some(rela) = self.sections.iter().find(for_it) else {
            return Ok(Vec::new());
        };
        let entries = self.source.read(rela.offset, rela.size)?;
        let place = |entry: &[u8; 24]| {
            let symbol = usize::try_from(number(&entry[12..16])).ok()?;
            let place = symbols.symbols.get(symbol)?.place;
            Some(Place {
                address: place.address.wrapping_add(number(&entry[16..24])),
                ..place
            })
        };
        Ok(entries
            .as_chunks::<24>()
            .0
            .iter()
            .filter_map(place)
            .collect())
    }

    /// Whether addresses are counted from the start of each section.
    pub(crate) fn is_relocatable(&self) -> bool {
        self.relocatable
    }

    fn contents_of(&self, section: u64) -> io::Result<Vec<u8>> {
        let index = usize::try_from(section).map_err(io::Error::other)?;
        match self.sections.get(index) {
            Some(section) if section.kind != SHT_NOBITS => {
                self.source.read(section.offset, section.size)
            }
            _ => Ok(Vec::new()),
        }
    }
}

impl SymbolTable {
    /// The named symbols that are defined here; neither sections nor file names.
    pub(crate) fn defined(&self) -> impl Iterator<Item = (&str, RawSymbol)> {
        let is_one = |symbol: &&RawSymbol| {
            !matches!(symbol.kind, 3 | 4) && symbol.place.section != SHN_UNDEF
        };
        let named = |symbol: &RawSymbol| {
            let name = std::str::from_utf8(text(&self.strings, symbol.name)?).ok()?;
            (!name.is_empty()).then_some((name, *symbol))
        };
        self.symbols.iter().filter(is_one).filter_map(named)
    }
}

impl RawSymbol {
    fn new(entry: &[u8; 24]) -> Self {
        Self {
            name: number(&entry[..4]),
            kind: entry[4] & 0xf,
            place: Place {
                // Two bytes, so it fits.
                section: number(&entry[6..8]) as u32,
                address: number(&entry[8..16]),
            },
            size: number(&entry[16..24]),
        }
    }
}

impl Section {
    fn new(header: &[u8; 64]) -> Self {
        Self {
            name: number(&header[..4]),
            kind: number(&header[4..8]),
            address: number(&header[16..24]),
            offset: number(&header[24..32]),
            size: number(&header[32..40]),
            link: number(&header[40..44]),
            info: number(&header[44..48]),
        }
    }

    /// What the address of its first byte is counted as.
    fn base(&self, relocatable: bool) -> u64 {
        if relocatable { 0 } else { self.address }
    }
}

impl Source {
    /// So many bytes, or fewer where the file ends.
    fn read(&self, offset: u64, len: u64) -> io::Result<Vec<u8>> {
        let len = len.min(LARGEST);
        match self {
            Self::File(file) => {
                let len = len.min(file.metadata()?.len().saturating_sub(offset));
                let mut bytes = vec![0; usize::try_from(len).map_err(io::Error::other)?];
                file.read_exact_at(&mut bytes, offset)?;
                Ok(bytes)
            }
            Self::Bytes(bytes) => {
                let start = usize::try_from(offset).map_or(bytes.len(), |at| at.min(bytes.len()));
                let rest = &bytes[start..];
                let len = usize::try_from(len).map_or(rest.len(), |len| len.min(rest.len()));
                Ok(rest[..len].to_vec())
            }
        }
    }
}

/// A little-endian number of up to 8 bytes.
pub(crate) fn number(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .rev()
        .fold(0, |value, byte| value << 8 | u64::from(*byte))
}

fn text(strings: &[u8], at: u64) -> Option<&[u8]> {
    let rest = strings.get(usize::try_from(at).ok()?..)?;
    rest.split(|byte| *byte == 0).next()
}

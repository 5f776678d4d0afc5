//! A large ELF file, read section by section: 64 bits, little-endian, as every architecture with livepatch has it now.

use crate::kernel::Symbol;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Bytes; no section that we read comes near.
const LARGEST: u64 = 1 << 30;
const SHT_SYMTAB: u64 = 2;
const SHT_NOBITS: u64 = 8;

/// The file and where its sections are.
#[derive(Debug)]
pub struct ElfFile {
    file: File,
    sections: Vec<Section>,
    names: Vec<u8>,
}

#[derive(Debug, Clone, Copy)]
struct Section {
    name: u64,
    kind: u64,
    address: u64,
    offset: u64,
    size: u64,
    link: u64,
}

impl ElfFile {
    /// Opens a file and reads its section headers.
    ///
    /// # Errors
    /// Where it cannot be read or is no 64-bit little-endian ELF file.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let head = read(&file, 0, 64)?;
        if head.len() < 64 || !head.starts_with(b"\x7fELF\x02\x01") {
            return Err(io::Error::other("no 64-bit little-endian ELF file"));
        }
        let (table, count, names) = (
            number(&head[40..48]),
            number(&head[60..62]),
            number(&head[62..64]),
        );
        let headers = read(&file, table, count * 64)?;
        let sections: Vec<Section> = headers
            .as_chunks::<64>()
            .0
            .iter()
            .map(Section::new)
            .collect();
        let mut opened = Self {
            file,
            sections,
            names: Vec::new(),
        };
        if let Some(section) = usize::try_from(names)
            .ok()
            .and_then(|names| opened.sections.get(names))
        {
            opened.names = read(&opened.file, section.offset, section.size)?;
        }
        Ok(opened)
    }

    /// The contents of a section; none if there is no such one.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub fn section(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        let found = self
            .sections
            .iter()
            .find(|section| text(&self.names, section.name) == Some(name.as_bytes()));
        found
            .map(|section| read(&self.file, section.offset, section.size))
            .transpose()
    }

    /// The bytes at an address; none where no section has them.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub fn bytes(&self, address: u64, len: u64) -> io::Result<Option<Vec<u8>>> {
        let holds = |section: &&Section| {
            let start = address.checked_sub(section.address);
            section.address != 0
                && section.kind != SHT_NOBITS
                && start.is_some_and(|start| start.saturating_add(len) <= section.size)
        };
        let found = self.sections.iter().find(holds);
        found
            .map(|section| {
                read(
                    &self.file,
                    section.offset + (address - section.address),
                    len,
                )
            })
            .transpose()
    }

    /// The named symbols that are defined.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub(crate) fn symbols(&mut self) -> io::Result<Vec<(String, Symbol)>> {
        let Some(table) = self
            .sections
            .iter()
            .find(|section| section.kind == SHT_SYMTAB)
        else {
            return Ok(Vec::new());
        };
        let strings = usize::try_from(table.link)
            .ok()
            .and_then(|link| self.sections.get(link));
        let Some(strings) = strings else {
            return Ok(Vec::new());
        };
        let strings = read(&self.file, strings.offset, strings.size)?;
        let entries = read(&self.file, table.offset, table.size)?;
        let symbol = |entry: &[u8; 24]| {
            // Neither section nor file symbols, nor what is defined elsewhere.
            if matches!(entry[4] & 0xf, 3 | 4) || number(&entry[6..8]) == 0 {
                return None;
            }
            let name = text(&strings, number(&entry[..4]))?;
            let symbol = Symbol {
                address: number(&entry[8..16]),
                size: number(&entry[16..24]),
            };
            (!name.is_empty()).then(|| (String::from_utf8_lossy(name).into_owned(), symbol))
        };
        Ok(entries
            .as_chunks::<24>()
            .0
            .iter()
            .filter_map(symbol)
            .collect())
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
        }
    }
}

fn number(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .rev()
        .fold(0, |value, byte| value << 8 | u64::from(*byte))
}

fn text(strings: &[u8], at: u64) -> Option<&[u8]> {
    let rest = strings.get(usize::try_from(at).ok()?..)?;
    rest.split(|byte| *byte == 0).next()
}

/// So many bytes, or fewer where the file ends.
fn read(file: &File, offset: u64, len: u64) -> io::Result<Vec<u8>> {
    let size = file.metadata()?.len();
    let len = len.min(LARGEST).min(size.saturating_sub(offset));
    let mut bytes = vec![0; usize::try_from(len).map_err(io::Error::other)?];
    file.read_exact_at(&mut bytes, offset)?;
    Ok(bytes)
}

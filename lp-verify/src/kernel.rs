//! A vmlinux: its symbols, which of its functions ftrace can redirect, and their code.
//!
//! Only the sections that are needed are read, of a file of hundreds of megabytes. The tempting wrong way is to count
//! symbols in the order of the file: positions go by address (`kallsyms_on_each_match_symbol`, since 6.2, and before).

use crate::elf_file::ElfFile;
use lp_klp::name::Sympos;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::io;
use std::path::Path;

/// A symbol of the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Symbol {
    /// Where it is, without KASLR.
    pub address: u64,
    /// Bytes.
    pub size: u64,
}

/// Why a symbol is not found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// None of that name.
    Absent,
    /// So many, and no position given.
    Several(usize),
    /// Fewer than the position.
    Position(usize),
}

/// The kernel.
#[derive(Debug)]
pub struct Kernel {
    symbols: HashMap<String, Vec<Symbol>>,
    /// Addresses that ftrace can patch, ascending.
    sites: Vec<u64>,
    file: ElfFile,
}

impl Kernel {
    /// Opens a vmlinux.
    ///
    /// # Errors
    /// Where it cannot be read or is no 64-bit little-endian ELF file.
    pub fn open(path: &Path) -> io::Result<Self> {
        let mut file = ElfFile::open(path)?;
        let mut symbols: HashMap<String, Vec<Symbol>> = HashMap::new();
        for (name, symbol) in file.symbols()? {
            symbols.entry(name).or_default().push(symbol);
        }
        for same in symbols.values_mut() {
            same.sort_unstable();
            same.dedup();
        }
        let bound = |name: &str| {
            symbols
                .get(name)
                .and_then(|found| found.first())
                .map(|found| found.address)
        };
        let sites = match (bound("__start_mcount_loc"), bound("__stop_mcount_loc")) {
            (Some(start), Some(stop)) => file
                .bytes(start, stop.saturating_sub(start))?
                .unwrap_or_default(),
            _ => Vec::new(),
        };
        let mut sites: Vec<u64> = sites
            .as_chunks::<8>()
            .0
            .iter()
            .map(|site| u64::from_le_bytes(*site))
            .collect();
        sites.sort_unstable();
        Ok(Self {
            symbols,
            sites,
            file,
        })
    }

    /// The symbol of this name and position (`klp_find_object_symbol`).
    ///
    /// # Errors
    /// Where the kernel would not find it, and why.
    pub fn find(&self, name: &str, position: Sympos) -> Result<Symbol, Missing> {
        let found = self.symbols.get(name).ok_or(Missing::Absent)?;
        match (position.0 as usize, found.as_slice()) {
            (0, [only]) => Ok(*only),
            (0, several) => Err(Missing::Several(several.len())),
            (position, all) => all
                .get(position - 1)
                .copied()
                .ok_or(Missing::Position(all.len())),
        }
    }

    /// Whether ftrace has a site in the function (`ftrace_location`).
    pub fn is_traceable(&self, function: Symbol) -> bool {
        let first = self.sites.partition_point(|site| *site < function.address);
        self.sites
            .get(first)
            .is_some_and(|site| *site - function.address < function.size.max(1))
    }

    /// SHA-256 of so many bytes of a function's code, hexadecimal; none where the file does not have them.
    pub fn hash(&self, function: Symbol, bytes: u64) -> Option<String> {
        let code = self.file.bytes(function.address, bytes).ok()??;
        let digest = Sha256::digest(&code);
        Some(digest.iter().map(|byte| format!("{byte:02x}")).collect())
    }
}

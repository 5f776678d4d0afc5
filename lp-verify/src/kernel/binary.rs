//! A vmlinux or a module of its: symbols, which functions ftrace can redirect, what it exports, and the code.
//!
//! The tempting wrong way is to count the positions of equal names in the order of the file for both: those of vmlinux
//! go by address (`kallsyms_on_each_match_symbol`), those of a module by its symbol table
//! (`module_kallsyms_on_each_symbol`, `kernel/module/kallsyms.c`, 6.1).

use super::elf_file::{ElfFile, Place, number};
use super::exports::{self, Exports};
use lp_klp::name::Sympos;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::io;

/// A symbol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Symbol {
    /// Where it is.
    pub place: Place,
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
    /// Another one is in a module's init code: it counts until that is freed.
    Init,
}

/// The binary.
#[derive(Debug)]
pub struct Binary {
    symbols: HashMap<String, Vec<Symbol>>,
    /// Places that ftrace can patch, ascending.
    sites: Vec<Place>,
    /// What it exports to modules.
    pub exports: Exports,
    /// Sections of a module that are freed once it runs, ascending.
    init: Vec<u32>,
    file: ElfFile,
}

impl Binary {
    /// Reads what is asked for here; the code stays in the file.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub fn read(file: ElfFile) -> io::Result<Self> {
        let table = file.symbols()?;
        let mut symbols: HashMap<String, Vec<Symbol>> = HashMap::new();
        for (name, raw) in table.defined() {
            let symbol = Symbol {
                place: raw.place,
                size: raw.size,
            };
            symbols.entry(name.to_owned()).or_default().push(symbol);
        }
        if !file.is_relocatable() {
            for same in symbols.values_mut() {
                same.sort_by_key(|symbol| symbol.place.address);
            }
        }
        let mut sites = match file.is_relocatable() {
            true => file.relocated("__mcount_loc", &table)?,
            false => linked_sites(&file, &symbols)?,
        };
        sites.sort_unstable();
        Ok(Self {
            exports: exports::read(&file, &table)?,
            symbols,
            sites,
            init: file.sections_named(|name| name.starts_with(".init")),
            file,
        })
    }

    /// The symbol of this name and position (`klp_find_object_symbol`).
    ///
    /// # Errors
    /// Where the kernel would not find it, and why.
    pub fn find(&self, name: &str, position: Sympos) -> Result<Symbol, Missing> {
        let coming = self.symbols.get(name).ok_or(Missing::Absent)?;
        let found = pick(coming, position)?;
        // While a module is coming its init symbols count, once it is live they do not (`do_init_module`, 6.1).
        let live = coming.iter().filter(|symbol| !self.is_init(symbol.place));
        match pick(&live.copied().collect::<Vec<_>>(), position) {
            Ok(same) if same == found => Ok(found),
            _ => Err(Missing::Init),
        }
    }

    fn is_init(&self, place: Place) -> bool {
        self.file.is_relocatable() && self.init.binary_search(&place.section).is_ok()
    }

    /// Whether ftrace has a site in the function (`ftrace_location`).
    pub fn is_traceable(&self, function: Symbol) -> bool {
        let first = self.sites.partition_point(|site| *site < function.place);
        self.sites.get(first).is_some_and(|site| {
            site.section == function.place.section
                && site.address - function.place.address < function.size.max(1)
        })
    }

    /// SHA-256 of so many bytes of a function's code, hexadecimal; none where the file does not have them.
    pub fn hash(&self, function: Symbol, bytes: u64) -> Option<String> {
        let code = self.file.bytes(function.place, bytes).ok()??;
        let digest = Sha256::digest(&code);
        Some(digest.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// The text at a symbol that is there once.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        let symbol = self.find(name, Sympos::UNIQUE).ok()?;
        self.file.string(symbol.place).ok()?
    }
}

/// The one of this position among all of a name.
fn pick(all: &[Symbol], position: Sympos) -> Result<Symbol, Missing> {
    match (position.0 as usize, all) {
        (0, [only]) => Ok(*only),
        (0, several) => Err(Missing::Several(several.len())),
        (position, all) => {
            let found = all.get(position - 1).copied();
            found.ok_or(Missing::Position(all.len()))
        }
    }
}

/// The sites of a linked kernel: addresses between two symbols.
fn linked_sites(file: &ElfFile, symbols: &HashMap<String, Vec<Symbol>>) -> io::Result<Vec<Place>> {
    let bound = |name: &str| Some(symbols.get(name)?.first()?.place.address);
    let (Some(start), Some(stop)) = (bound("__start_mcount_loc"), bound("__stop_mcount_loc"))
    else {
        return Ok(Vec::new());
    };
    let Some(place) = file.place(start) else {
        return Ok(Vec::new());
    };
    let bytes = file
        .bytes(place, stop.saturating_sub(start))?
        .unwrap_or_default();
    let mut sites: Vec<Place> = Vec::new();
    for site in bytes.as_chunks::<8>().0 {
        let address = number(site);
        // Nearly all are in one section.
        let near = sites.last().map(|last| Place { address, ..*last });
        let near = near.filter(|near| matches!(file.bytes(*near, 0), Ok(Some(_))));
        sites.extend(near.or_else(|| file.place(address)));
    }
    Ok(sites)
}

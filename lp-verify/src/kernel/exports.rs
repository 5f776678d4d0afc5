//! What a vmlinux or a module exports to other modules, with the version of each symbol.
//!
//! Found as the kernel finds it (`find_exported_symbol_in_section`, `kernel/module/main.c`, 6.1): the n-th entry of
//! `__ksymtab` has the n-th version of `__kcrctab`. The tempting wrong way is to read `Module.symvers`, which the build
//! left behind and the running kernel has never seen.

use super::elf_file::{ElfFile, Place, SymbolTable, number};
use std::collections::HashMap;
use std::io;

/// The tables, and whether only modules under the GPL may use what is in them (`find_symbol`; the last three are gone
/// since 5.12).
const TABLES: [(&str, bool); 5] = [
    ("", false),
    ("_gpl", true),
    ("_gpl_future", true),
    ("_unused", false),
    ("_unused_gpl", true),
];

/// An exported symbol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Export {
    /// Its version (a checksum of its type); none where the binary has none (no `CONFIG_MODVERSIONS`).
    pub version: Option<u32>,
    /// Whether only modules of a license compatible with the GPL may use it.
    pub gpl_only: bool,
    /// The namespace that users must import; empty where there is none.
    pub namespace: String,
}

/// All exports of one binary, by name.
pub type Exports = HashMap<String, Export>;

pub(super) fn read(file: &ElfFile, symbols: &SymbolTable) -> io::Result<Exports> {
    let mut entries: HashMap<u32, Vec<(u64, &str)>> = HashMap::new();
    let mut namespaces: HashMap<&str, Place> = HashMap::new();
    for (name, symbol) in symbols.defined() {
        if let Some(name) = name.strip_prefix("__ksymtab_") {
            let Place { section, address } = symbol.place;
            entries.entry(section).or_default().push((address, name));
        } else if let Some(name) = name.strip_prefix("__kstrtabns_") {
            namespaces.insert(name, symbol.place);
        }
    }
    let mut exports = Exports::new();
    for (suffix, gpl_only) in TABLES {
        let index = file.section_index(&format!("__ksymtab{suffix}"));
        let Some(mut table) = index.and_then(|index| entries.remove(&index)) else {
            continue;
        };
        table.sort_unstable();
        let versions = file.section(&format!("__kcrctab{suffix}"))?;
        let versions = versions.unwrap_or_default();
        for (nth, (_, name)) in table.iter().enumerate() {
            let namespace = namespaces.get(name).map(|place| file.string(*place));
            let export = Export {
                version: version(&versions, nth, table.len()),
                gpl_only,
                namespace: namespace.transpose()?.flatten().unwrap_or_default(),
            };
            exports.insert((*name).to_owned(), export);
        }
    }
    Ok(exports)
}

/// The n-th of so many versions: 4 bytes each, 8 before 4.10.
fn version(versions: &[u8], nth: usize, count: usize) -> Option<u32> {
    let size = versions.len() / count.max(1);
    let entry = versions.get(nth * size..(nth + 1) * size)?;
    u32::try_from(number(entry.get(..4)?)).ok()
}

//! The symbols that a module takes from others, and in which version.
//!
//! Versions are in `__versions`, an array of `struct modversion_info`, and since 6.14 also in two sections that take
//! names of any length (`__version_ext_crcs`, `__version_ext_names`; `kernel/module/version.c`).

use goblin::elf::{Elf, section_header, sym};
use std::collections::BTreeMap;

/// Bytes of a `struct modversion_info`: an unsigned long, and a name in what is left of 64.
const MODVERSION_INFO: usize = 64;

/// What is taken.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Imports {
    /// Symbols that another binary must export, in the order of the symbol table.
    pub required: Vec<String>,
    /// Those that may be missing (weak).
    pub optional: Vec<String>,
    /// The version of each symbol; none where the module has no versions at all.
    pub versions: Option<BTreeMap<String, u32>>,
}

pub(super) fn read(elf: &Elf<'_>, section: impl Fn(&str) -> Option<Vec<u8>>) -> Imports {
    let mut imports = Imports {
        versions: versions(&section),
        ..Imports::default()
    };
    for symbol in elf.syms.iter().skip(1) {
        let name = elf.strtab.get_at(symbol.st_name).unwrap_or_default();
        if symbol.st_shndx != section_header::SHN_UNDEF as usize || name.is_empty() {
            continue;
        }
        match symbol.st_bind() {
            sym::STB_WEAK => imports.optional.push(name.to_owned()),
            _ => imports.required.push(name.to_owned()),
        }
    }
    imports
}

fn versions(section: impl Fn(&str) -> Option<Vec<u8>>) -> Option<BTreeMap<String, u32>> {
    if let (Some(versions), Some(names)) = (
        section("__version_ext_crcs"),
        section("__version_ext_names"),
    ) {
        let versions = versions.as_chunks::<4>().0.iter();
        let names = names.split(|byte| *byte == 0).map(text);
        return Some(
            names
                .zip(versions.map(|version| u32::from_le_bytes(*version)))
                .collect(),
        );
    }
    let table = section("__versions")?;
    let entry = |entry: &[u8; MODVERSION_INFO]| {
        let (version, name) = entry.split_first_chunk::<8>()?;
        // The kernel compares the lower half.
        let version = u64::from_le_bytes(*version) as u32;
        Some((text(name.split(|byte| *byte == 0).next()?), version))
    };
    Some(
        table
            .as_chunks::<MODVERSION_INFO>()
            .0
            .iter()
            .filter_map(entry)
            .collect(),
    )
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

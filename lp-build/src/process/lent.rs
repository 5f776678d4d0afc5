//! The symbols of a stripped binary, for the machines where the patch is loaded: see [`lp_klp::lent`].

use super::binary::Running;
use anyhow::{Context, Result};
use lp_klp::name::ObjName;
use object::pod::bytes_of;
use object::read::elf::ElfFile64;
use object::{LittleEndian as LE, Object, U32, elf};
use std::fs;

/// Both tables.
#[derive(Debug)]
pub(super) struct Lent {
    /// `Elf64_Sym`, one after the other.
    pub(super) symbols: Vec<u8>,
    /// Their names, each ended by a zero; the first is empty.
    pub(super) strings: Vec<u8>,
}

/// Those of all binaries that have none themselves.
pub(super) fn of(running: &[Running]) -> Result<Vec<(&ObjName, Lent)>> {
    let mut all = Vec::new();
    for running in running {
        all.extend(symbols(running)?.map(|lent| (&running.binary.object, lent)));
    }
    Ok(all)
}

fn symbols(running: &Running) -> Result<Option<Lent>> {
    let path = &running.binary.path;
    let data = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    if object::File::parse(&*data)?.symbols().next().is_some() {
        return Ok(None);
    }
    let Some(path) = &running.binary.symbols else {
        return Ok(None);
    };
    let data = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    read(&data)
        .with_context(|| format!("the symbols of {}", path.display()))
        .map(Some)
}

fn read(data: &[u8]) -> Result<Lent> {
    let file = ElfFile64::<LE>::parse(data)?;
    let table = file.elf_symbol_table();
    let mut lent = Lent {
        symbols: Vec::new(),
        strings: vec![0],
    };
    for symbol in table.iter() {
        let kind = symbol.st_info.0 & 0xf;
        let has_place = symbol.st_shndx.get(LE) != elf::SHN_UNDEF;
        let has_name = kind != elf::STT_FILE.0 && kind != elf::STT_SECTION.0;
        let name = table.symbol_name(LE, symbol)?;
        if !has_place || !has_name || name.is_empty() {
            continue;
        }
        let mut symbol = *symbol;
        let at = u32::try_from(lent.strings.len()).context("its names are too long")?;
        symbol.st_name = U32::new(LE, at);
        lent.symbols.extend_from_slice(bytes_of(&symbol));
        lent.strings.extend_from_slice(name);
        lent.strings.push(0);
    }
    Ok(lent)
}

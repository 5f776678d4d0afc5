//! The files a diff reads besides the two objects: symbols, entry sizes, exports.

use super::options::{Options, TargetKind};
use anyhow::{Context, Result, bail};
use lp_diff::process::interposed;
use lp_diff::symbols::SymbolsError;
use lp_diff::{EntrySizes, Exports, Flavour, SymbolTable};
use lp_klp::name::ObjName;
use object::read::ReadCache;
use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

pub(super) fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

/// The symbols of an ELF file that is read already.
pub(super) fn symbols_of(elf: &[u8]) -> Result<(SymbolTable, EntrySizes)> {
    let symbols = match SymbolTable::from_elf(elf) {
        // A source of which this configuration takes nothing.
        Err(SymbolsError::Empty) => SymbolTable::default(),
        symbols => symbols?,
    };
    Ok((symbols, EntrySizes::from_elf(elf)))
}

/// What runs the code; of a process the symbol file is the binary.
pub(super) fn flavour(options: &Options, symbols: Option<&Path>) -> Result<Flavour> {
    Ok(match options.target_kind {
        TargetKind::Kernel => Flavour::Kernel,
        TargetKind::Process => Flavour::Process {
            interposed: match symbols {
                Some(path) => interposed::names(&read(path)?),
                None => Default::default(),
            },
        },
    })
}

/// A vmlinux has hundreds of megabytes of which a few are needed: it is read piece by piece.
pub(super) fn read_symbols(path: &Path, object: &ObjName) -> Result<(SymbolTable, EntrySizes)> {
    let mut file = File::open(path).context("cannot open the symbol file")?;
    let mut magic = Vec::new();
    (&mut file)
        .take(4)
        .read_to_end(&mut magic)
        .context("cannot read the symbol file")?;
    if magic == b"\x7fELF" {
        let cache = ReadCache::new(file);
        let symbols = SymbolTable::from_elf(&cache)?;
        return Ok((symbols, EntrySizes::from_elf(&cache)));
    }
    let bytes = fs::read(path)?;
    let Ok(text) = String::from_utf8(bytes) else {
        bail!("neither an ELF file nor a text of symbols")
    };
    let module = (!object.is_vmlinux()).then(|| object.as_str());
    Ok((
        SymbolTable::from_text(&text, module)?,
        EntrySizes::default(),
    ))
}

pub(super) fn read_exports(path: &Path) -> Result<Exports> {
    let text =
        fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    Exports::parse(&text).with_context(|| format!("{}", path.display()))
}

//! The running binaries that units belong to: vmlinux and modules, each opened once and shared by its units.

use super::find::{self, KernelFiles};
use crate::fidelity;
use anyhow::{Context, Result};
use lp_diff::entry_size::EntrySizes;
use lp_diff::exports::Exports;
use lp_diff::symbols::SymbolTable;
use lp_klp::name::ObjName;
use object::read::ReadCache;
use rayon::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

/// One running binary.
pub struct Binary {
    /// Its file.
    pub path: PathBuf,
    /// Its symbols.
    pub symbols: SymbolTable,
    /// Its code, for the proof.
    pub target: fidelity::Target,
}

/// Everything that is known of the running kernel's binaries.
pub struct Targets {
    /// By object.
    pub binaries: BTreeMap<ObjName, Binary>,
    /// What may be referred to as modules do.
    pub exports: Exports,
    /// Sizes of the kernel's structs.
    pub entry_sizes: EntrySizes,
}

/// Opens the binaries of these names.
pub fn open(files: &KernelFiles, names: BTreeSet<&ObjName>) -> Result<Targets> {
    let (binaries, rest) = rayon::join(
        || {
            names
                .into_par_iter()
                .map(|name| Ok((name.clone(), binary(files, name)?)))
                .collect::<Result<_>>()
        },
        || Ok::<_, anyhow::Error>((exports(&files.symvers)?, entry_sizes(&files.vmlinux)?)),
    );
    let (exports, entry_sizes) = rest?;
    Ok(Targets {
        binaries: binaries?,
        exports,
        entry_sizes,
    })
}

impl Targets {
    /// Opens more binaries.
    pub fn add(&mut self, files: &KernelFiles, names: BTreeSet<&ObjName>) -> Result<()> {
        let new = names.into_par_iter();
        let new = new.filter(|name| !self.binaries.contains_key(*name));
        let opened: Vec<(ObjName, Binary)> = new
            .map(|name| Ok((name.clone(), binary(files, name)?)))
            .collect::<Result<_>>()?;
        self.binaries.extend(opened);
        Ok(())
    }
}

fn binary(files: &KernelFiles, name: &ObjName) -> Result<Binary> {
    let path = match name.is_vmlinux() {
        true => files.vmlinux.clone(),
        false => find::module(files, name)?,
    };
    let symbols = SymbolTable::from_elf(&cache(&path)?);
    let symbols = symbols.with_context(|| format!("the symbols of {}", path.display()))?;
    let target = match name.is_vmlinux() {
        true => fidelity::Target::vmlinux(&path),
        false => fidelity::Target::module(&path),
    };
    let target = target.with_context(|| format!("the code of {}", path.display()))?;
    Ok(Binary {
        path,
        symbols,
        target,
    })
}

fn exports(path: &Path) -> Result<Exports> {
    let text =
        std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    Exports::parse(&text).with_context(|| format!("{} is not a Module.symvers", path.display()))
}

fn entry_sizes(path: &Path) -> Result<EntrySizes> {
    Ok(EntrySizes::from_elf(&cache(path)?))
}

/// Reads only what is asked for: a debug vmlinux is larger than the memory we allow ourselves.
fn cache(path: &Path) -> Result<ReadCache<BufReader<File>>> {
    let file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    Ok(ReadCache::new(BufReader::new(file)))
}

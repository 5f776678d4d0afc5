//! New global symbols stay inside the module or the kernel that they belong to.
//!
//! A source that is linked into two modules gives each its own copy of a new function, under one name. In the patch all
//! parts are linked together, so there the copies get the name of their module before their own, and so do the references of that
//! module's other parts. The tempting wrong way is to take the first copy for all: it would work on the other module's data.

use anyhow::{Context, Result};
use lp_klp::name::ObjName;
use object::build::elf::Builder;
use object::elf;
use std::collections::{BTreeMap, BTreeSet};

/// Renames what several objects define; each part comes with the object that it is for.
pub fn separate(parts: Vec<(ObjName, Vec<u8>)>) -> Result<Vec<Vec<u8>>> {
    let clashing = clashing(&parts)?;
    let renamed = parts.into_iter().map(|(owner, bytes)| match &clashing {
        names if names.is_empty() => Ok(bytes),
        names => rename(&owner, &bytes, names),
    });
    renamed.collect()
}

/// The names that parts of more than one object define.
fn clashing(parts: &[(ObjName, Vec<u8>)]) -> Result<BTreeSet<Vec<u8>>> {
    let mut owners: BTreeMap<Vec<u8>, BTreeSet<&ObjName>> = BTreeMap::new();
    for (owner, bytes) in parts {
        let file = read(bytes)?;
        for symbol in file.symbols.iter().filter(|symbol| is_global(symbol)) {
            if symbol.section.is_some() {
                let owners = owners.entry(symbol.name.to_vec()).or_default();
                owners.insert(owner);
            }
        }
    }
    let several = owners.into_iter().filter(|(_, owners)| owners.len() > 1);
    Ok(several.map(|(name, _)| name).collect())
}

fn rename(owner: &ObjName, bytes: &[u8], names: &BTreeSet<Vec<u8>>) -> Result<Vec<u8>> {
    let mut file = read(bytes)?;
    let wanted = |symbol: &&mut object::build::elf::Symbol<'_>| {
        is_global(symbol) && names.contains(&symbol.name.to_vec())
    };
    for symbol in file.symbols.iter_mut().filter(wanted) {
        let name = [owner.as_str().as_bytes(), b".", &symbol.name].concat();
        symbol.name = name.into();
    }
    let mut renamed = Vec::new();
    file.write(&mut renamed)
        .context("a part of the patch cannot be written again")?;
    Ok(renamed)
}

fn is_global(symbol: &object::build::elf::Symbol<'_>) -> bool {
    symbol.st_bind() != elf::STB_LOCAL && !symbol.name.is_empty()
}

fn read(bytes: &[u8]) -> Result<Builder<'_>> {
    Builder::read(bytes).context("a part of the patch cannot be read")
}

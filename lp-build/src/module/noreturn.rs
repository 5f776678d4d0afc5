//! Functions that never return, under the names by which objtool knows them.
//!
//! Where a kernel has objtool look at whole modules (IBT, `noinstr` checks), it decides by name which calls do not come back
//! (`tools/objtool/noreturns.h`). Behind a call of `.klp.sym.vmlinux.do_exit,0` it would go on into code that the call never reaches, and
//! find two stack states for one instruction: that code would get no unwind data, and a task that sleeps there never leaves the old code.
//! So for as long as the kernel's build has the module, they go by their own names.

use anyhow::{Context, Result};
use lp_klp::name::KlpSymName;
use object::build::elf::{Builder, Symbol};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// The list of Linux 6.4 and later, and the file that has it before.
const LISTS: [&str; 2] = ["tools/objtool/noreturns.h", "tools/objtool/check.c"];

/// Livepatch names by the plain ones that stand in their places.
pub type Plain = BTreeMap<Vec<u8>, Vec<u8>>;

/// The names that the objtool of a tree knows; none where it has no list.
pub fn known(tree: &Path) -> BTreeSet<String> {
    let texts = LISTS.map(|list| fs::read_to_string(tree.join(list)).unwrap_or_default());
    let [list, check] = &texts;
    let words = match list.is_empty() {
        false => list
            .split("NORETURN(")
            .skip(1)
            .filter_map(|rest| rest.split(')').next())
            .collect(),
        true => quoted(check),
    };
    words.into_iter().map(str::to_owned).collect()
}

/// The strings of `global_noreturns[] = { "a", "b", };`
fn quoted(check: &str) -> Vec<&str> {
    let list = check
        .split_once("global_noreturns[] = {")
        .and_then(|(_, rest)| rest.split_once('}'));
    list.map_or_else(Vec::new, |(list, _)| {
        list.split('"').skip(1).step_by(2).collect()
    })
}

/// The objects with plain names where livepatch symbols of vmlinux are called as `known` functions are, and which these are.
///
/// # Errors
/// Where an object cannot be read or written.
pub fn plain(objects: Vec<Vec<u8>>, known: &BTreeSet<String>) -> Result<(Vec<Vec<u8>>, Plain)> {
    let (mut wanted, mut taken) = (Plain::new(), BTreeSet::new());
    for bytes in &objects {
        for symbol in &read(bytes)?.symbols {
            match plain_name(symbol).filter(|name| known.contains(name)) {
                Some(name) => drop(wanted.insert(name.into_bytes(), symbol.name.to_vec())),
                None => drop(taken.insert(symbol.name.to_vec())),
            }
        }
    }
    // Something else of the patch has the name: that stays the only one.
    wanted.retain(|name, _| !taken.contains(name));
    let by_klp: BTreeMap<&Vec<u8>, &Vec<u8>> =
        wanted.iter().map(|(plain, klp)| (klp, plain)).collect();
    let renamed = objects.into_iter().map(|bytes| rename(bytes, &by_klp));
    Ok((renamed.collect::<Result<_>>()?, wanted))
}

/// A linked module with the livepatch names again.
///
/// # Errors
/// Where it cannot be read or written.
pub fn restored(module: Vec<u8>, plain: &Plain) -> Result<Vec<u8>> {
    rename(module, &plain.iter().collect())
}

/// `do_exit` of an undefined `.klp.sym.vmlinux.do_exit,0`. One of several that have a name is not what objtool means by it.
fn plain_name(symbol: &Symbol<'_>) -> Option<String> {
    let text = std::str::from_utf8(&symbol.name).ok()?;
    let name: KlpSymName = text.parse().ok()?;
    (symbol.section.is_none() && name.object.is_vmlinux() && name.sympos.0 == 0)
        .then_some(name.symbol)
}

fn rename(bytes: Vec<u8>, names: &BTreeMap<&Vec<u8>, &Vec<u8>>) -> Result<Vec<u8>> {
    if names.is_empty() {
        return Ok(bytes);
    }
    let mut file = read(&bytes)?;
    let mut renamed = false;
    for symbol in file
        .symbols
        .iter_mut()
        .filter(|symbol| symbol.section.is_none())
    {
        if let Some(name) = names.get(&symbol.name.to_vec()) {
            symbol.name = name.to_vec().into();
            renamed = true;
        }
    }
    if !renamed {
        drop(file);
        return Ok(bytes);
    }
    let mut out = Vec::new();
    file.write(&mut out)
        .context("a part of the patch cannot be written again")?;
    Ok(out)
}

fn read(bytes: &[u8]) -> Result<Builder<'_>> {
    Builder::read(bytes).context("a part of the patch cannot be read")
}

//! Functions that a fix moves to a new file: the file that had them and the one that has them are compared as one.
//!
//! What is in a new file is new, and a function of which the kernel has one already would be a second one that nobody calls. So where
//! the functions come from one file of the same module, both files' objects become one, whose locals are those of the first file: then what
//! only moved is no change, and a static variable that moved along stays the one that it was.

use super::Compiled;
use super::pairs::Pair;
use anyhow::{Context, Result, ensure};
use object::elf::{self, FileHeader64, Sym64};
use object::read::elf::{FileHeader, SectionHeader};
use object::{Endianness, Object, ObjectSymbol};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

/// Sections of functions and data are told apart by their names, which static ones of two files may share.
const APART: [&str; 4] = [
    "--unique=.text.*",
    "--unique=.rodata.*",
    "--unique=.data.*",
    "--unique=.bss.*",
];

/// Joins new files to those that they take functions from, in the folder for products; says of each what was done.
pub fn join(mut pairs: Vec<Pair>, products: &Path) -> Result<(Vec<Pair>, Vec<String>)> {
    let mut notes = Vec::new();
    let mut gone = BTreeSet::new();
    for new in 0..pairs.len() {
        if !pairs[new].unit.added {
            continue;
        }
        // Of several files it is one that takes from all of them: then each would have to be joined to each.
        let [old] = givers(&pairs, &pairs[new])?[..] else {
            continue;
        };
        let names = [old, new].map(|at| pairs[at].unit.source.clone());
        let [from, to] = &names;
        pairs[old].patched = joined(&pairs[old].patched, &pairs[new].patched, products)
            .with_context(|| format!("joining {from} and {to}"))?;
        notes.push(format!(
            "{to} has functions that {from} had: both are compared with what that was"
        ));
        gone.insert(new);
    }
    let pairs = pairs.into_iter().enumerate();
    let left = pairs
        .filter(|(at, _)| !gone.contains(at))
        .map(|(_, pair)| pair);
    Ok((left.collect(), notes))
}

/// The files of the same module that a new one takes functions from.
fn givers(pairs: &[Pair], new: &Pair) -> Result<Vec<usize>> {
    let names = global(&new.patched.object)?;
    let mut found = Vec::new();
    for (at, pair) in pairs.iter().enumerate() {
        let is_near = pair.unit.object == new.unit.object && !pair.unit.added;
        if is_near && gives(pair, &names)? {
            found.push(at);
        }
    }
    Ok(found)
}

/// Whether a file had one of these before and has it no more.
fn gives(pair: &Pair, names: &BTreeSet<String>) -> Result<bool> {
    let (before, after) = (global(&pair.orig.object)?, global(&pair.patched.object)?);
    Ok(names
        .iter()
        .any(|name| before.contains(name) && !after.contains(name)))
}

/// The functions and data that others can mean.
fn global(object: &[u8]) -> Result<BTreeSet<String>> {
    let file = object::File::parse(object).context("a compiled object")?;
    let defined = file
        .symbols()
        .filter(|symbol| symbol.is_global() && symbol.is_definition());
    Ok(defined
        .filter_map(|symbol| Some(symbol.name().ok()?.to_owned()))
        .collect())
}

fn joined(first: &Compiled, second: &Compiled, products: &Path) -> Result<Compiled> {
    let paths = ["moved.1.o", "moved.2.o", "moved.o"].map(|name| products.join(name));
    for (path, one) in paths.iter().zip([first, second]) {
        fs::write(path, &one.object).with_context(|| format!("cannot write {}", path.display()))?;
    }
    let [one, other, both] = &paths;
    let mut ld = Command::new("ld");
    ld.args(["-r", "--no-warn-execstack"]).args(APART);
    let done = ld
        .arg("-o")
        .args([both, one, other])
        .output()
        .context("cannot run ld")?;
    ensure!(
        done.status.success(),
        "ld cannot join them: {}",
        String::from_utf8_lossy(&done.stderr)
    );
    let mut object = fs::read(both).with_context(|| format!("cannot read {}", both.display()))?;
    as_one_file(&mut object)?;
    Ok(Compiled {
        object,
        read: first.read.union(&second.read).cloned().collect(),
    })
}

/// Makes the local symbols of all source files those of the first: a FILE symbol after that becomes one of no type.
fn as_one_file(object: &mut [u8]) -> Result<()> {
    let header = FileHeader64::<Endianness>::parse(&*object)?;
    let endian = header.endian()?;
    let sections = header.sections(endian, &*object)?;
    let table = sections
        .iter()
        .find(|section| section.sh_type(endian) == elf::SHT_SYMTAB);
    let start = usize::try_from(table.context("no symbols")?.sh_offset(endian))?;
    let symbols = sections.symbols(endian, &*object, elf::SHT_SYMTAB)?;
    let files = symbols
        .enumerate()
        .filter(|(_, symbol)| symbol.st_type() == elf::STT_FILE);
    let later: Vec<usize> = files.skip(1).map(|(index, _)| index.0).collect();
    for index in later {
        // `st_info` is behind the 4 bytes of `st_name`; it becomes local, of no type.
        let at = start + index * size_of::<Sym64<Endianness>>() + 4;
        *object.get_mut(at).context("a symbol behind the end")? = 0;
    }
    Ok(())
}

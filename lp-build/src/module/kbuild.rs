//! Links a module as the kernel's own build does: Kbuild compiles the tables and adds lp-diff's objects as they are.

use super::template;
use crate::kernel::kbuild::make::Make;
use anyhow::{Context, Result};
use lp_diff::Exports;
use object::{Object, ObjectSymbol};
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::path::Path;

/// A module as Kbuild links it: livepatch symbols are still undefined in it.
#[derive(Debug)]
pub struct Linked {
    /// The file's bytes.
    pub bytes: Vec<u8>,
    /// What the build warned of.
    pub warnings: Vec<String>,
}

/// Builds `name`.ko in `folder` from the C source of the tables and objects.
pub fn build(
    name: &str,
    (main, objects): (&str, &[Vec<u8>]),
    make: Make<'_>,
    folder: &Path,
) -> Result<Linked> {
    // A module's name has no dash, so no part can have the same name as the whole.
    let parts: Vec<String> = (0..objects.len())
        .map(|index| format!("patch-diff{index}"))
        .collect();
    let list: Vec<String> = parts.iter().map(|part| format!(" {part}.o")).collect();
    write(folder, "patch-main.c", main.as_bytes())?;
    for (header, text) in template::HEADERS {
        write(folder, header, text.as_bytes())?;
    }
    let kbuild = format!(
        "obj-m := {name}.o\n{name}-y := patch-main.o{}\n",
        list.concat()
    );
    write(folder, "Kbuild", kbuild.as_bytes())?;
    for (part, object) in parts.iter().zip(objects) {
        // Linux before 6.13 makes the object of the shipped file, later ones find it there: their rule for such files has `./`
        // before the name, and make does not take that for the same.
        write(folder, &format!("{part}.o_shipped"), object)?;
        write(folder, &format!("{part}.o"), object)?;
        // modpost reads the command of every object; these have none.
        write(folder, &format!(".{part}.o.cmd"), b"")?;
    }
    let mut args: Vec<OsString> = vec![OsString::from("M=")];
    if let Some(external) = args.first_mut() {
        external.push(folder.as_os_str());
    }
    // Debug information would name this folder, which is another one in every run.
    args.extend(["KCFLAGS=-g0", "KBUILD_MODPOST_WARN=1", "modules"].map(OsString::from));
    let output = make
        .run(args)
        .context("the kernel's build cannot link the module")?;
    let said = String::from_utf8_lossy(&output.stderr);
    let warnings = warnings(&said);
    let ko = folder.join(format!("{name}.ko"));
    let bytes = fs::read(&ko).with_context(|| format!("cannot read {}", ko.display()))?;
    Ok(Linked { bytes, warnings })
}

/// The warnings that mean something: every livepatch symbol is undefined to modpost, and it counts only to ten.
fn warnings(said: &str) -> Vec<String> {
    let counts = |line: &&str| {
        let warning = line.contains("WARNING") || line.contains("warning:");
        // modpost asks for a description since Linux 6.11; a patch need not have one.
        let is_of_patches = line.ends_with(" undefined!")
            || line.contains("unresolved symbol warnings")
            || line.contains("missing MODULE_DESCRIPTION()");
        warning && !is_of_patches
    };
    said.lines()
        .filter(counts)
        .map(|line| line.trim().to_owned())
        .collect()
}

/// Refuses a module that refers to what neither the kernel exports nor the livepatch core resolves.
///
/// # Errors
/// [`Unresolved`] with their names, or where the module cannot be read.
pub fn check_undefined(ko: &[u8], exports: &Exports) -> Result<()> {
    let file = object::File::parse(ko).context("the linked module cannot be read")?;
    let mut undefined = BTreeSet::new();
    for symbol in file.symbols().filter(|symbol| symbol.is_undefined()) {
        let name = symbol
            .name()
            .context("the linked module has a symbol whose name is not text")?;
        if !name.is_empty() && !name.starts_with(".klp.sym.") && exports.get(name).is_none() {
            undefined.insert(name);
        }
    }
    match undefined.is_empty() {
        true => Ok(()),
        false => Err(Unresolved(undefined.into_iter().map(str::to_owned).collect()).into()),
    }
}

/// What the new code refers to and nothing gives: the rest of the fix is in a file that was left out.
#[derive(Debug, thiserror::Error)]
#[error("the new code refers to what neither the kernel nor the patch has: {}: define it in a changed file", .0.join(", "))]
pub struct Unresolved(pub Vec<String>);

fn write(folder: &Path, name: &str, bytes: &[u8]) -> Result<()> {
    let path = folder.join(name);
    fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))
}

//! One object of the differ's many: first those of each binary, then those of all binaries.
//!
//! Of several binaries each has a namespace of its own: a function that is new in both, of a source that went into both, is
//! two functions, and their code goes near the one or the other, so that nothing of the one may be put together with what the other has.
//! The tempting wrong way is to link all at once.

use super::binary::Running;
use crate::patch::judged::Judged;
use anyhow::{Context, Result, bail, ensure};
use lp_klp::name::ObjName;
use object::{Object, ObjectSymbol};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Sections of which `ld` makes one of all objects' by their names, but for the unwind table, which the loader takes apart.
const APART: [&str; 10] = [
    "--unique=.text*",
    "--unique=.rodata*",
    "--unique=.data*",
    "--unique=.bss*",
    "--unique=.tdata*",
    "--unique=.tbss*",
    "--unique=.gcc_except_table*",
    "--unique=.lp*",
    "--unique=.init*",
    "--unique=.fini*",
];

/// Joins the objects.
pub(super) fn join(judged: Vec<Judged>, running: &[Running], folder: &Path) -> Result<Vec<u8>> {
    let mut objects: BTreeMap<ObjName, Vec<Vec<u8>>> = BTreeMap::new();
    for unit in judged {
        let its = objects.entry(unit.object).or_default();
        its.extend(unit.diff);
    }
    objects.retain(|_, its| !its.is_empty());
    let mut joined = Vec::new();
    for (object, its) in objects {
        let folder = folder.join(object.to_string());
        fs::create_dir_all(&folder)
            .with_context(|| format!("cannot create {}", folder.display()))?;
        joined.push((object, of_one(&its, &folder)?));
    }
    match joined.as_mut_slice() {
        [] => bail!("no object of the patch has anything"),
        [(_, only)] => Ok(std::mem::take(only)),
        several => of_several(several, running, folder),
    }
}

fn of_one(objects: &[Vec<u8>], folder: &Path) -> Result<Vec<u8>> {
    match objects {
        [only] => Ok(only.clone()),
        several => ld(several.iter().map(Vec::as_slice), &[], folder),
    }
}

fn of_several(
    objects: &[(ObjName, Vec<u8>)],
    running: &[Running],
    folder: &Path,
) -> Result<Vec<u8>> {
    let names = objects.iter().map(|(object, bytes)| {
        let its = running.iter().find(|it| it.binary.object == *object);
        Names::of(bytes, its)
    });
    let names = names.collect::<Result<Vec<_>>>()?;
    let mut apart = Vec::new();
    for (at, (object, bytes)) in objects.iter().enumerate() {
        let Some(own) = names.get(at) else { continue };
        let others = || names.iter().enumerate().filter(|(other, _)| *other != at);
        let shared = |name: &&String| {
            let wanted = others().any(|(_, other)| other.wanted.contains(*name));
            wanted && own.exported.contains(*name)
        };
        let (shared, own): (Vec<&String>, Vec<&String>) = own.defined.iter().partition(shared);
        let twice = |name: &&&String| others().any(|(_, other)| other.exported.contains(**name));
        if let Some(name) = shared.iter().find(twice) {
            bail!(
                "{name} is new in {object} and in another binary, and a third one uses it: it cannot be told which is meant. \
                 Make a patch for each of them"
            );
        }
        let path = folder.join(format!("{object}.o"));
        apart.push(localized(bytes, &own, &path)?);
    }
    ld(apart.iter().map(Vec::as_slice), &APART, folder)
}

/// The names by which objects find each other.
#[derive(Default)]
struct Names {
    defined: BTreeSet<String>,
    /// Those of them that others can mean.
    exported: BTreeSet<String>,
    /// Those that it has from nowhere so far: what it has already stays what it is.
    wanted: BTreeSet<String>,
}

impl Names {
    /// Those of an object of the patch, which is for this binary.
    fn of(object: &[u8], running: Option<&Running>) -> Result<Self> {
        let file = object::File::parse(object).context("an object of the patch")?;
        let global = file.symbols().filter(ObjectSymbol::is_global);
        let has = |name: &str| running.is_some_and(|it| it.binary.dynamic.contains(name));
        let is_exported = |name: &str| running.is_some_and(|it| it.exports.contains(name));
        let mut names = Self::default();
        for symbol in global {
            let name = symbol.name()?.to_owned();
            if symbol.is_undefined() {
                if !has(&name) {
                    names.wanted.insert(name);
                }
                continue;
            }
            if is_exported(&name) {
                names.exported.insert(name.clone());
            }
            names.defined.insert(name);
        }
        Ok(names)
    }
}

/// The object in which only it can mean these names.
fn localized(object: &[u8], names: &[&String], path: &Path) -> Result<Vec<u8>> {
    let list = path.with_extension("names");
    let lines: String = names.iter().map(|name| format!("{name}\n")).collect();
    write(path, object)?;
    write(&list, lines.as_bytes())?;
    let mut objcopy = Command::new("objcopy");
    objcopy.arg(format!("--localize-symbols={}", list.display()));
    run(objcopy.arg(path))?;
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

/// `ld -r`, which pads the unwind table of none: its records are whole words.
fn ld<'o>(
    objects: impl Iterator<Item = &'o [u8]>,
    options: &[&str],
    folder: &Path,
) -> Result<Vec<u8>> {
    let output = folder.join("linked.o");
    let mut ld = Command::new("ld");
    ld.args(["-r", "--no-warn-execstack"]);
    ld.args(options).arg("-o").arg(&output);
    for (number, object) in objects.enumerate() {
        let path: PathBuf = folder.join(format!("{number}.o"));
        write(&path, object)?;
        ld.arg(path);
    }
    run(&mut ld)?;
    fs::read(&output).with_context(|| format!("cannot read {}", output.display()))
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    fs::write(path, bytes).with_context(|| format!("cannot write {}", path.display()))
}

fn run(command: &mut Command) -> Result<()> {
    let name = command.get_program().display().to_string();
    let done = command
        .output()
        .with_context(|| format!("cannot run {name}"))?;
    ensure!(
        done.status.success(),
        "{name} cannot link the patch: {}",
        String::from_utf8_lossy(&done.stderr)
    );
    Ok(())
}

//! What the patch says of itself, and what it needs that the binary did not need so far.

use super::binary::{Binary, Running};
use crate::options::Identity;
use crate::patch::callbacks::Callbacks;
use crate::patch::judged::{Judged, sympos};
use crate::patch::manifest as patch;
use anyhow::Result;
use lp_diff::report::Function;
use lp_klp::manifest::{self, Manifest};
use object::{Object, ObjectSymbol};

/// Names that the loader defines.
const LOADERS: [&str; 2] = ["__lp_shadow_root", "__lp_states"];

/// The manifest.
pub(super) fn manifest(
    identity: &Identity,
    running: &[Running],
    judged: &[Judged],
    callbacks: &Callbacks,
) -> Result<Manifest> {
    let objects = running
        .iter()
        .map(|running| object(running, judged, callbacks));
    // One with callbacks and no functions is none that the kernel would take either (`klp_init_object`).
    let objects = objects.filter(|object| !object.functions.is_empty());
    let target = manifest::Target {
        kind: manifest::TargetKind::Process,
        release: String::new(),
        build_id: String::new(),
        arch: "x86_64".to_owned(),
    };
    patch::manifest(identity, target, objects.collect(), Vec::new(), judged)
}

fn object(running: &Running, judged: &[Judged], callbacks: &Callbacks) -> manifest::Object {
    let binary = &running.binary;
    let units = judged.iter().filter(|unit| unit.object == binary.object);
    let functions =
        units.flat_map(|unit| unit.changed().map(move |one| function(one, unit, running)));
    manifest::Object {
        name: binary.object.clone(),
        file: binary.file.clone(),
        build_id: binary.build_id.clone(),
        functions: functions.collect(),
        callbacks: callbacks.manifest(&binary.object),
    }
}

/// Notes on binaries that were given and are not patched.
pub(super) fn untouched(manifest: &Manifest, running: &[Running]) -> Vec<String> {
    let is_patched = |binary: &Binary| manifest.objects.iter().any(|it| it.name == binary.object);
    let binaries = running.iter().map(|running| &running.binary);
    let untouched = binaries.filter(|binary| !is_patched(binary));
    untouched
        .map(|binary| {
            format!(
                "no function of {} changes: it is not part of the patch",
                binary.file
            )
        })
        .collect()
}

fn function(function: &Function, unit: &Judged, running: &Running) -> manifest::Function {
    let sympos = sympos(function);
    // By its symbol: several functions of a file can have one name.
    let proven = unit.fidelity.functions.iter();
    let mut proven = proven.filter(|proven| proven.name == function.name);
    let old = proven.next().and_then(|proven| proven.old.as_ref());
    let (old_size, old_hash) = match old.filter(|_| proven.next().is_none()) {
        Some(old) => (old.size, old.sha256.clone()),
        None => running
            .old_code(&function.name, sympos.0)
            .unwrap_or_default(),
    };
    manifest::Function {
        name: function.name.clone(),
        sympos,
        new_name: function.alias.clone().unwrap_or_default(),
        old_size,
        old_hash,
    }
}

/// Notes on what the patch takes from other libraries and the binaries do not so far.
pub(super) fn new_imports(patch: &[u8], running: &[Running]) -> Result<Vec<String>> {
    let has = |running: &Running, name: &str| {
        running.binary.dynamic.contains(name) || running.symbols.global(name).is_some()
    };
    let files = running.iter().map(|running| running.binary.file.as_str());
    let files = files.collect::<Vec<_>>().join(" and ");
    let file = object::File::parse(patch)?;
    let mut notes = Vec::new();
    for symbol in file.symbols().filter(|symbol| symbol.is_undefined()) {
        let name = symbol.name()?;
        let known = name.is_empty()
            || name.starts_with(".klp.sym.")
            || LOADERS.contains(&name)
            || running.iter().any(|running| has(running, name));
        if !known {
            notes.push(format!(
                "the patch uses {name}, which nothing in {files} uses so far: it must be in the executable or in a library that \
                 the process has loaded"
            ));
        }
    }
    Ok(notes)
}

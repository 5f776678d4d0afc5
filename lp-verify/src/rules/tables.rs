//! Does the manifest say what the livepatch core will read? Of a patch for processes the core reads the manifest, which must then
//! name what is there.
//!
//! A manifest that disagrees with the module's own tables was not written by whoever built the module: everything
//! else that it says is in doubt, too.

use crate::finding::Finding;
use crate::promise::Promise::Tables;
use crate::reader::Module;
use crate::reader::tables::Known;
use lp_klp::core::{KlpFunc, KlpObject};
use lp_klp::manifest::{Manifest, TargetKind};
use lp_klp::name::ObjName;
use lp_klp::state::KlpState;
use std::collections::BTreeSet;

/// Replace flag, states, functions and callbacks of both.
pub fn check(new: &Module) -> Vec<Finding> {
    let Some(manifest) = &new.manifest else {
        return Vec::new();
    };
    let checks = [
        replace(new, manifest),
        states(new, manifest),
        functions(new, manifest),
        callbacks(new, manifest),
    ];
    let place = new.path.display().to_string();
    let tampered = |message: String| {
        Finding::new(
            Tables,
            place.clone(),
            format!("{message}: the module was tampered with, build it again"),
        )
    };
    checks.into_iter().flatten().map(tampered).collect()
}

fn replace(new: &Module, manifest: &Manifest) -> Option<String> {
    let told = manifest.replace;
    match new.tables.replace {
        Ok(read) if read == told => None,
        Ok(read) => Some(format!(
            "its manifest says replace = {told}, its klp_patch says {read}"
        )),
        Err(why) => Some(format!(
            "its manifest says replace = {told}, its klp_patch does not: {why}"
        )),
    }
}

fn states(new: &Module, manifest: &Manifest) -> Option<String> {
    let pairs = |states: &[KlpState]| -> Vec<(u64, u32)> {
        states
            .iter()
            .map(|state| (state.id, state.version))
            .collect()
    };
    let told = pairs(&manifest.states);
    match &new.tables.states {
        Ok(read) if pairs(read) == told => None,
        Ok(read) => Some(format!(
            "its manifest has the states {}, its klp_patch {}",
            list(&told),
            list(&pairs(read))
        )),
        Err(why) => Some(format!(
            "its manifest has the states {}, its klp_patch none: {why}",
            list(&told)
        )),
    }
}

fn list(states: &[(u64, u32)]) -> String {
    let words: Vec<String> = states
        .iter()
        .map(|(id, version)| format!("{id} version {version}"))
        .collect();
    format!("[{}]", words.join(", "))
}

fn functions(new: &Module, manifest: &Manifest) -> Option<String> {
    let table = table(new);
    type Functions = BTreeSet<(ObjName, KlpFunc)>;
    let flat = |objects: &[KlpObject]| -> Functions {
        let funcs = objects.iter().flat_map(|object| {
            object
                .funcs
                .iter()
                .map(|func| (object.name.clone(), func.clone()))
        });
        funcs.collect()
    };
    let told = flat(&manifest.patch().objects);
    let read: Known<Functions> = new.patch_of_tables().map(|objects| flat(&objects));
    let name = |(object, func): &(ObjName, KlpFunc)| {
        format!("{},{} of {}", func.old_name, func.sympos.0, object.as_str())
    };
    match read {
        Ok(read) => {
            let odd = told.symmetric_difference(&read).next()?;
            let (has, lacks) = if told.contains(odd) {
                ("manifest", table)
            } else {
                (table, "manifest")
            };
            Some(format!("its {has} has {}, its {lacks} does not", name(odd)))
        }
        Err(why) => Some(format!(
            "its manifest names functions, its {table} cannot be read: {why}"
        )),
    }
}

/// Where the loader finds it.
fn table(new: &Module) -> &'static str {
    match new.kind() {
        TargetKind::Kernel => "klp_patch",
        TargetKind::Process => "code",
    }
}

fn callbacks(new: &Module, manifest: &Manifest) -> Option<String> {
    let table = table(new);
    let objects = new.tables.objects.as_ref().ok()?;
    objects.iter().find_map(|read| {
        let told = manifest
            .objects
            .iter()
            .find(|object| object.name == read.name)?
            .callbacks
            .kinds();
        (told != read.callbacks).then(|| {
            format!(
                "for {} its manifest has the callbacks {told:?}, its {table} {:?}",
                read.name.as_str(),
                read.callbacks
            )
        })
    })
}

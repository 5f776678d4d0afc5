//! Puts judged units together: the report's summary, the module's tables, and the manifest.

use super::states::States;
use crate::kernel::inputs::Inputs;
use crate::kernel::running::find::{self, KernelFiles};
use crate::kernel::running::image::{self, OldCode};
use crate::kernel::running::target::Targets;
use crate::module::Parts;
use crate::module::template::{Callback, Func, Object, State, Tables};
use crate::options::{Identity, Options};
use crate::patch::callbacks::{Callbacks, Found};
use crate::patch::judged::{Judged, sympos};
use crate::patch::{manifest as patch, summary};
use crate::report::Report;
use anyhow::{Context, Result};
use lp_klp::manifest::{self, Manifest};
use lp_klp::name::{ObjName, Sympos};
use lp_klp::note;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Build-ids of modules.
type Builds = BTreeMap<ObjName, Vec<u8>>;

/// What a module's `pre_patch` calls first, of `templates/livepatch-build-id.h`.
const CHECK_BUILD_ID: &str = "lp_check_build_id";

/// Fills the report with what the units come to.
pub fn summarize(identity: &Identity, judged: &[Judged], report: &mut Report) {
    let (states, refusals) = States::gather(judged, identity);
    report.kept_states = states.report();
    // What puts a state's data in place is called as vmlinux's callbacks are.
    let kernel = ObjName::vmlinux();
    let besides = (!states.is_empty()).then_some(&kernel);
    summary::summarize(judged, besides, report);
    report.refusals.extend(refusals);
}

/// The parts of the module.
pub fn parts(
    options: &Options,
    inputs: &Inputs,
    judged: Vec<Judged>,
    targets: &Targets,
    report: &mut Report,
) -> Result<Parts> {
    let identity = &options.asked.identity;
    let mut objects: BTreeMap<ObjName, Vec<Func>> = BTreeMap::new();
    for unit in &judged {
        for function in unit.changed() {
            let alias = function.alias.clone();
            let alias = alias
                .with_context(|| format!("{}: {} has no alias", unit.source, function.name))?;
            objects.entry(unit.object.clone()).or_default().push(Func {
                old_name: function.name.clone(),
                sympos: sympos(function).0,
                alias,
            });
        }
    }
    // The core resolves symbols only for objects of the patch, so a module that is merely called is one, too.
    let called = judged.iter().flat_map(|unit| &unit.report.objects);
    for object in called.filter(|object| !object.is_vmlinux()) {
        objects.entry(object.clone()).or_default();
    }
    // What stands in the way was refused when the report was made.
    let (callbacks, _) = Callbacks::gather(&judged);
    let (states, _) = States::gather(&judged, identity);
    for object in callbacks.objects() {
        objects.entry(object.clone()).or_default();
    }
    if !states.is_empty() {
        objects.entry(ObjName::vmlinux()).or_default();
    }
    let builds = builds(&inputs.files, objects.keys(), report)?;
    let manifest = manifest(
        options,
        inputs,
        (&objects, &callbacks, &states),
        &judged,
        (targets, &builds),
    )?;
    let namespaces: BTreeSet<String> = judged
        .iter()
        .flat_map(|unit| unit.report.namespaces.iter().cloned())
        .collect();
    let tables = Tables {
        tool: manifest.tool.clone(),
        objects: objects
            .into_iter()
            .map(|object| table(object, &callbacks, &states, &builds))
            .collect(),
        states: identity
            .states
            .iter()
            .map(|state| State {
                id: state.id,
                version: state.version,
                ops: states.ops(state.id),
            })
            .collect(),
        replace: identity.replace,
        description: identity.description.clone(),
        version: identity.version.clone(),
        namespaces: namespaces.into_iter().collect(),
        note: note::encode(&manifest)?,
    };
    Ok(Parts {
        tables,
        objects: judged
            .into_iter()
            .filter_map(|unit| Some((unit.object, unit.diff?)))
            .collect(),
    })
}

fn table(
    (name, funcs): (ObjName, Vec<Func>),
    callbacks: &Callbacks,
    states: &States,
    builds: &Builds,
) -> Object {
    let callback = |(kind, found): (_, &Found)| Callback {
        kind,
        alias: found.alias.clone(),
    };
    Object {
        callbacks: callbacks.of(&name).map(callback).collect(),
        keeps_states: name.is_vmlinux() && !states.is_empty(),
        build_id: builds.get(&name).cloned().unwrap_or_default(),
        name: (!name.is_vmlinux()).then(|| name.to_string()),
        funcs,
    }
}

/// The build-ids of the patch's modules, of those that have one.
///
/// A vmlinux needs none here: one of another build has another version magic, or `lp-verify` tells by its build-id.
fn builds<'n>(
    files: &KernelFiles,
    objects: impl Iterator<Item = &'n ObjName>,
    report: &mut Report,
) -> Result<Builds> {
    let mut builds = Builds::new();
    for name in objects.filter(|name| !name.is_vmlinux()) {
        // A module that is merely called need not be here.
        let id = match find::module(files, name) {
            Ok(path) => image::build_id(&path)?,
            Err(_) => Vec::new(),
        };
        match id.is_empty() {
            true => report.notes.push(format!(
                "the build-id of {name} is not known: the patch takes any module of that name for the one it was made for"
            )),
            false => drop(builds.insert(name.clone(), id)),
        }
    }
    Ok(builds)
}

fn manifest(
    options: &Options,
    inputs: &Inputs,
    (objects, callbacks, states): (&BTreeMap<ObjName, Vec<Func>>, &Callbacks, &States),
    judged: &[Judged],
    (targets, builds): (&Targets, &Builds),
) -> Result<Manifest> {
    let described = |(name, funcs): (&ObjName, &Vec<Func>)| {
        let units: Vec<&Judged> = judged.iter().filter(|unit| unit.object == *name).collect();
        let mut callbacks = callbacks.manifest(name);
        if name.is_vmlinux() {
            callbacks = states.callbacks(callbacks);
        }
        let build_id = builds.get(name).map_or(&[][..], Vec::as_slice);
        described((name, funcs, callbacks), build_id, &units, targets)
    };
    let target = manifest::Target {
        kind: manifest::TargetKind::Kernel,
        release: inputs.files.release.clone(),
        build_id: inputs.image.build_id.clone(),
        arch: inputs.arch.uname.to_owned(),
    };
    let objects = objects.iter().map(described).collect::<Result<_>>()?;
    let identity = &options.asked.identity;
    patch::manifest(identity, target, objects, states.manifest(), judged)
}

fn described(
    (name, funcs, mut callbacks): (&ObjName, &[Func], manifest::Callbacks),
    build_id: &[u8],
    units: &[&Judged],
    targets: &Targets,
) -> Result<manifest::Object> {
    let keys: Vec<_> = funcs
        .iter()
        .map(|func| (func.old_name.clone(), Sympos(func.sympos)))
        .collect();
    let mut known = proven_code(units);
    // What is patched although it does not reproduce must be looked up.
    let unknown: Vec<_> = keys
        .iter()
        .filter(|key| !known.contains_key(*key))
        .cloned()
        .collect();
    if !unknown.is_empty() {
        let binary = targets.binaries.get(name);
        let binary = binary.with_context(|| format!("{name} was not opened"))?;
        known.extend(image::old_code(&binary.path, &unknown)?);
    }
    let function = |key: &(String, Sympos)| {
        let old = known.get(key).cloned().unwrap_or_default();
        manifest::Function {
            name: key.0.clone(),
            sympos: key.1,
            new_name: String::new(),
            old_size: old.size,
            old_hash: old.hash,
        }
    };
    if !build_id.is_empty() {
        let check = || CHECK_BUILD_ID.to_owned();
        callbacks.pre_patch.get_or_insert_with(check);
    }
    Ok(manifest::Object {
        name: name.clone(),
        file: String::new(),
        build_id: image::hex(build_id),
        functions: keys.iter().map(function).collect(),
        callbacks,
    })
}

/// The code that the proof found each changed function to be.
fn proven_code(units: &[&Judged]) -> HashMap<(String, Sympos), OldCode> {
    let mut known = HashMap::new();
    for unit in units {
        for function in unit.changed() {
            let proven = unit
                .fidelity
                .functions
                .iter()
                .find(|proven| proven.name == function.name);
            if let Some(old) = proven.and_then(|proven| proven.old.as_ref()) {
                let code = OldCode {
                    size: old.size,
                    hash: old.sha256.clone(),
                };
                known.insert((function.name.clone(), sympos(function)), code);
            }
        }
    }
    known
}

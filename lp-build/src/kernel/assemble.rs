//! Puts judged units together: the report's summary, the module's tables, and the manifest.

use super::callbacks::Callbacks;
use super::image::{self, OldCode};
use super::inputs::Inputs;
use super::judge::Judged;
use super::states::States;
use super::target::Targets;
use crate::fidelity::Verdict;
use crate::module::Parts;
use crate::module::template::{Callback, Func, Object, State, Tables};
use crate::options::{Identity, Options};
use crate::report::{
    AbsentReport, CallbackReport, FidelityReport, LayoutReport, MismatchReport, NewDatum,
    NewFunction, ObjectReport, PatchWarning, PatchedFunction, RefusalReport, Report,
};
use anyhow::{Context, Result, ensure};
use lp_diff::explain::layout;
use lp_diff::report::{Function, Status};
use lp_klp::manifest::{self, Manifest, ShadowId};
use lp_klp::name::{ObjName, Sympos};
use lp_klp::note;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Fills the report with what the units come to.
pub fn summarize(identity: &Identity, judged: &[Judged], report: &mut Report) {
    let (callbacks, refusals) = Callbacks::gather(judged);
    report.refusals.extend(refusals);
    let (states, refusals) = States::gather(judged, identity);
    report.refusals.extend(refusals);
    report.kept_states = states.report();
    let mut objects: BTreeMap<&ObjName, Vec<PatchedFunction>> = BTreeMap::new();
    objects.extend(callbacks.objects().map(|name| (name, Vec::new())));
    let kernel = ObjName::vmlinux();
    if !states.is_empty() {
        objects.entry(&kernel).or_default();
    }
    report.shadow_ids = shadow_ids(judged);
    for unit in judged {
        let source = || unit.source.clone();
        fidelity(unit, &mut report.fidelity);
        report.notes.extend(
            unit.report
                .notes
                .iter()
                .map(|note| format!("{}: {note}", unit.source)),
        );
        let warning = |warning: &lp_diff::explain::warnings::Warning| PatchWarning {
            unit: unit.source.clone(),
            warning: warning.clone(),
        };
        report
            .patch_warnings
            .extend(unit.report.warnings.iter().map(warning));
        report
            .layout
            .extend(unit.report.layout.iter().map(|change| LayoutReport {
                unit: unit.source.clone(),
                change: change.clone(),
            }));
        for function in changed(unit) {
            objects
                .entry(&unit.object)
                .or_default()
                .push(PatchedFunction {
                    name: function.name.clone(),
                    sympos: sympos(function),
                    source: source(),
                    why: function.why.clone(),
                    places: function.places.clone(),
                });
        }
        let new = unit
            .report
            .functions
            .iter()
            .filter(|function| function.status == Status::New);
        report.new_functions.extend(new.map(|function| NewFunction {
            name: function.name.clone(),
            source: source(),
            why: function.why.clone(),
        }));
        report
            .data
            .extend(unit.report.data.iter().map(|datum| NewDatum {
                name: datum.name.clone(),
                source: source(),
                size: datum.size,
                writable: datum.writable,
            }));
    }
    let objects = objects.into_iter();
    report.objects = objects
        .map(|(name, functions)| ObjectReport {
            name: name.clone(),
            functions,
            callbacks: callbacks
                .of(name)
                .map(|(kind, found)| CallbackReport {
                    kind,
                    function: found.function.clone(),
                    source: found.source.clone(),
                })
                .collect(),
        })
        .collect();
}

/// The shadow variables that the sources declare or the author describes; the description gives the names.
pub(crate) fn named_shadows(described: &[ShadowId], declared: Vec<u64>) -> Vec<ShadowId> {
    let mut names: BTreeMap<u64, String> =
        declared.into_iter().map(|id| (id, String::new())).collect();
    names.extend(
        described
            .iter()
            .map(|shadow| (shadow.id, shadow.name.clone())),
    );
    names
        .into_iter()
        .map(|(id, name)| ShadowId { id, name })
        .collect()
}

/// Of all units; an id that several files declare is one variable.
pub(crate) fn shadow_ids(judged: &[Judged]) -> Vec<u64> {
    let ids: BTreeSet<u64> = judged
        .iter()
        .flat_map(|unit| unit.report.shadow_ids.iter().copied())
        .collect();
    ids.into_iter().collect()
}

/// What is to be said of allowed layout changes that no file has.
pub fn needless(judged: &[Judged], allowed: &BTreeSet<String>) -> Vec<String> {
    let changes = judged.iter().flat_map(|unit| &unit.report.layout);
    layout::needless(allowed, changes)
}

fn fidelity(unit: &Judged, report: &mut FidelityReport) {
    for function in &unit.fidelity.functions {
        let (source, name) = (unit.source.clone(), function.name.clone());
        match &function.verdict {
            Verdict::Reproduced => {
                report.reproduced += 1;
                report.total += 1;
            }
            Verdict::Mismatch {
                offset,
                ours,
                theirs,
            } => {
                report.total += 1;
                report.mismatches.push(MismatchReport {
                    source,
                    function: name,
                    offset: *offset,
                    ours: ours.clone(),
                    theirs: theirs.clone(),
                });
            }
            Verdict::Absent { why, overridden } => {
                report.total += usize::from(!overridden);
                report.absent.push(AbsentReport {
                    source,
                    function: name,
                    reason: why.clone(),
                });
            }
        }
    }
}

/// What the diff refuses in a unit.
pub fn refusals(unit: &Judged) -> Vec<RefusalReport> {
    let refusal = |refusal: &lp_diff::refusal::Refusal| RefusalReport {
        code: refusal.code.to_string(),
        place: format!("{}: {}", unit.source, refusal.place),
        message: refusal.message.clone(),
        source: refusal.source.clone(),
    };
    unit.report.refusals.iter().map(refusal).collect()
}

pub(crate) fn changed(unit: &Judged) -> impl Iterator<Item = &Function> {
    unit.report
        .functions
        .iter()
        .filter(|function| function.status == Status::Changed)
}

pub(crate) fn sympos(function: &Function) -> Sympos {
    Sympos(function.sympos.unwrap_or_default())
}

/// The parts of the module.
pub fn parts(
    options: &Options,
    inputs: &Inputs,
    judged: Vec<Judged>,
    targets: &Targets,
) -> Result<Parts> {
    let identity = &options.identity;
    let mut objects: BTreeMap<ObjName, Vec<Func>> = BTreeMap::new();
    for unit in &judged {
        for function in changed(unit) {
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
    let manifest = manifest(
        options,
        inputs,
        (&objects, &callbacks, &states),
        &judged,
        targets,
    )?;
    let namespaces: BTreeSet<String> = judged
        .iter()
        .flat_map(|unit| unit.report.namespaces.iter().cloned())
        .collect();
    let tables = Tables {
        tool: manifest.tool.clone(),
        objects: objects
            .into_iter()
            .map(|object| table(object, &callbacks, &states))
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

fn table((name, funcs): (ObjName, Vec<Func>), callbacks: &Callbacks, states: &States) -> Object {
    let callback = |(kind, found): (_, &super::callbacks::Found)| Callback {
        kind,
        alias: found.alias.clone(),
    };
    Object {
        callbacks: callbacks.of(&name).map(callback).collect(),
        keeps_states: name.is_vmlinux() && !states.is_empty(),
        name: (!name.is_vmlinux()).then(|| name.to_string()),
        funcs,
    }
}

fn manifest(
    options: &Options,
    inputs: &Inputs,
    (objects, callbacks, states): (&BTreeMap<ObjName, Vec<Func>>, &Callbacks, &States),
    judged: &[Judged],
    targets: &Targets,
) -> Result<Manifest> {
    let identity = &options.identity;
    let described = |(name, funcs): (&ObjName, &Vec<Func>)| {
        let units: Vec<&Judged> = judged.iter().filter(|unit| unit.object == *name).collect();
        let mut callbacks = callbacks.manifest(name);
        if name.is_vmlinux() {
            callbacks = states.callbacks(callbacks);
        }
        described((name, funcs, callbacks), &units, targets)
    };
    let manifest = Manifest {
        format: manifest::FORMAT,
        tool: concat!("lp-build ", env!("CARGO_PKG_VERSION")).to_owned(),
        name: identity.name.to_string(),
        version: identity.version.clone(),
        description: identity.description.clone(),
        target: manifest::Target {
            kind: manifest::TargetKind::Kernel,
            release: inputs.files.release.clone(),
            build_id: inputs.image.build_id.clone(),
            arch: inputs.arch.uname.to_owned(),
        },
        replace: identity.replace,
        states: identity.states.clone(),
        kept_states: states.manifest(),
        objects: objects.iter().map(described).collect::<Result<_>>()?,
        shadow_ids: named_shadows(&identity.shadows, shadow_ids(judged)),
    };
    let defects: Vec<String> = manifest
        .patch()
        .defects()
        .iter()
        .map(ToString::to_string)
        .collect();
    ensure!(
        defects.is_empty(),
        "the kernel would not take this patch: {}",
        defects.join("; ")
    );
    Ok(manifest)
}

fn described(
    (name, funcs, callbacks): (&ObjName, &[Func], manifest::Callbacks),
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
    Ok(manifest::Object {
        name: name.clone(),
        file: String::new(),
        build_id: String::new(),
        functions: keys.iter().map(function).collect(),
        callbacks,
    })
}

/// The code that the proof found each changed function to be.
fn proven_code(units: &[&Judged]) -> HashMap<(String, Sympos), OldCode> {
    let mut known = HashMap::new();
    for unit in units {
        for function in changed(unit) {
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

//! What the report says of all objects together.

use super::callbacks::Callbacks;
use super::judged::{Judged, sympos};
use super::manifest::shadow_ids;
use crate::fidelity::Verdict;
use crate::options::Asked;
use crate::report::{
    AbsentReport, CallbackReport, FidelityReport, LayoutReport, MismatchReport, NewDatum,
    NewFunction, ObjectReport, PatchWarning, PatchedFunction, Report,
};
use lp_diff::explain::layout;
use lp_diff::report::Status;
use lp_klp::name::ObjName;
use std::collections::{BTreeMap, BTreeSet};

/// What is known of the patch before anything is done.
pub fn introduce(asked: &Asked, report: &mut Report) {
    let identity = &asked.identity;
    report.name = identity.name.to_string();
    report.version.clone_from(&identity.version);
    report.replace = identity.replace;
    report.states.clone_from(&identity.states);
    if let Some(describe) = &asked.describe {
        let note = format!("described by {}", describe.display());
        report.notes.push(note);
    }
}

/// Fills the report with what the objects come to; `besides` is patched even where none of its functions changed.
pub fn summarize(judged: &[Judged], besides: Option<&ObjName>, report: &mut Report) {
    let (callbacks, refusals) = Callbacks::gather(judged);
    report.refusals.extend(refusals);
    let mut objects: BTreeMap<&ObjName, Vec<PatchedFunction>> = BTreeMap::new();
    let named = callbacks.objects().chain(besides);
    objects.extend(named.map(|name| (name, Vec::new())));
    report.shadow_ids = shadow_ids(judged);
    for unit in judged {
        fidelity(unit, &mut report.fidelity);
        found(unit, report);
        let functions = redirected(unit);
        if !functions.is_empty() {
            objects.entry(&unit.object).or_default().extend(functions);
        }
    }
    let objects = objects.into_iter();
    report.objects = objects
        .map(|(name, functions)| ObjectReport {
            name: name.clone(),
            functions,
            callbacks: reported(&callbacks, name),
        })
        .collect();
}

fn reported(callbacks: &Callbacks, object: &ObjName) -> Vec<CallbackReport> {
    let report = |(kind, found): (_, &super::callbacks::Found)| CallbackReport {
        kind,
        function: found.function.clone(),
        source: found.source.clone(),
    };
    callbacks.of(object).map(report).collect()
}

fn redirected(unit: &Judged) -> Vec<PatchedFunction> {
    let functions = unit.changed().map(|function| PatchedFunction {
        name: function.name.clone(),
        sympos: sympos(function),
        source: unit.source.clone(),
        why: function.why.clone(),
        places: function.places.clone(),
    });
    functions.collect()
}

/// What the diff found in a unit besides.
fn found(unit: &Judged, report: &mut Report) {
    let source = &unit.source;
    let notes = unit.report.notes.iter();
    report
        .notes
        .extend(notes.map(|note| format!("{source}: {note}")));
    let warnings = unit.report.warnings.iter();
    report
        .patch_warnings
        .extend(warnings.map(|warning| PatchWarning {
            unit: source.clone(),
            warning: warning.clone(),
        }));
    let layout = unit.report.layout.iter();
    report.layout.extend(layout.map(|change| LayoutReport {
        unit: source.clone(),
        change: change.clone(),
    }));
    let functions = unit.report.functions.iter();
    let new = functions.filter(|function| function.status == Status::New);
    report.new_functions.extend(new.map(|function| NewFunction {
        name: function.name.clone(),
        source: source.clone(),
        why: function.why.clone(),
    }));
    let data = unit.report.data.iter();
    report.data.extend(data.map(|datum| NewDatum {
        name: datum.name.clone(),
        source: source.clone(),
        size: datum.size,
        writable: datum.writable,
    }));
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

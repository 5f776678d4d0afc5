//! What a patch relies on and is not what runs: a function that our build of the original gives other bytes than the
//! running binary has, or that it does not have at all.
//!
//! The functions that change count, and those whose code is merged into them. The tempting wrong way is to ask it of all functions
//! of the file: one that nobody touches may differ for all we care.

use crate::fidelity::{self, Fidelity, FunctionFidelity, Verdict};
use crate::report::RefusalReport;
use lp_diff::report::{Report as DiffReport, Status};
use lp_klp::name::ObjName;
use object::{Object, ObjectSymbol};
use std::collections::BTreeSet;

/// Weak functions of the original whose definition the running binary does not have: another file's is used there.
pub fn overridden(orig: &[u8], fidelity: &Fidelity) -> BTreeSet<usize> {
    let is_absent =
        |function: &&FunctionFidelity| matches!(function.verdict, Verdict::Absent { .. });
    let absent: BTreeSet<&str> = fidelity
        .functions
        .iter()
        .filter(is_absent)
        .map(|function| function.name.as_str())
        .collect();
    let Ok(file) = object::File::parse(orig) else {
        return BTreeSet::new();
    };
    let weak = file.symbols().filter(|symbol| symbol.is_weak());
    weak.filter(|symbol| symbol.name().is_ok_and(|name| absent.contains(name)))
        .map(|symbol| symbol.index().0)
        .collect()
}

/// A unit's objects, and what runs.
pub struct Halves<'a> {
    /// Its source.
    pub source: &'a str,
    /// The kernel, module, program or library that it is part of.
    pub object: &'a ObjName,
    /// Compiled from the original tree.
    pub orig: &'a [u8],
    /// Compiled from the patched tree.
    pub patched: &'a [u8],
    /// What runs.
    pub target: &'a fidelity::Target,
    /// What that is, for people.
    pub noun: &'static str,
}

/// The functions that a patch relies on and that are not what runs.
pub fn unproven(
    halves: &Halves<'_>,
    fidelity: &Fidelity,
    report: &DiffReport,
) -> Vec<RefusalReport> {
    let Halves {
        source,
        object,
        noun,
        ..
    } = halves;
    let relied = relied_on(halves.orig, report);
    let mut mismatches: Vec<RefusalReport> = fidelity
        .functions
        .iter()
        .filter(|function| relied.contains(&function.name))
        .filter_map(|function| match &function.verdict {
            Verdict::Mismatch { offset, ours, theirs } => Some(RefusalReport {
                code: "not-reproduced".to_owned(),
                place: format!("{source}: {}", function.name),
                message: format!(
                    "our build of the original differs from the running {object} at +{offset:#x}: we get '{ours}', it \
                     has '{theirs}'; use the {noun}'s own source and compiler, or --allow-mismatch"
                ),
                source: None,
            }),
            Verdict::Absent { why, .. } => Some(RefusalReport {
                code: "not-reproduced".to_owned(),
                place: format!("{source}: {}", function.name),
                message: format!(
                    "the running {object} does not have this function ({why}), so what it is to replace is not known; \
                     use the {noun}'s own source, configuration and compiler, or --allow-mismatch"
                ),
                source: None,
            }),
            Verdict::Reproduced => None,
        })
        .collect();
    if !fidelity.functions.is_empty() && fidelity.comparable() == 0 {
        mismatches.push(RefusalReport {
            code: "not-reproduced".to_owned(),
            place: (*source).to_owned(),
            message: format!(
                "the running {object} has none of its functions: is this the source and configuration of that {noun}?"
            ),
            source: None,
        });
    }
    if mismatches.is_empty() || !swapped(halves, &relied) {
        return mismatches;
    }
    let hint = "the patched tree gives the code that runs: --orig and --patched seem to be swapped";
    mismatches
        .into_iter()
        .map(|refusal| RefusalReport {
            message: hint.to_owned(),
            ..refusal
        })
        .collect()
}

/// The functions to be patched, and those whose code is merged into them.
fn relied_on(orig: &[u8], report: &DiffReport) -> BTreeSet<String> {
    let changed = report
        .functions
        .iter()
        .filter(|function| function.status == Status::Changed);
    let mut relied: BTreeSet<String> = changed.map(|function| function.name.clone()).collect();
    if let Ok(file) = object::File::parse(orig) {
        let symbol = |index: &usize| {
            file.symbol_by_index(object::SymbolIndex(*index))
                .ok()?
                .name()
                .ok()
                .map(str::to_owned)
        };
        relied.extend(report.touched.iter().filter_map(symbol));
    }
    relied
}

/// Whether the patched object, unlike the original, is what runs.
fn swapped(halves: &Halves<'_>, relied: &BTreeSet<String>) -> bool {
    let check = fidelity::check(halves.patched, halves.source, halves.target);
    check.is_ok_and(|fidelity| {
        let relied = fidelity
            .functions
            .iter()
            .filter(|function| relied.contains(&function.name));
        relied.fold(None, |all, function| {
            Some(all.unwrap_or(true) && matches!(function.verdict, Verdict::Reproduced))
        }) == Some(true)
    })
}

//! Judges one compiled unit: is the original the code that runs, and what of it changed?
//!
//! The proof comes first, because it also says where each local symbol of the original is in the running binary, which
//! the diff needs to tell equal names apart.

use super::pairs::Pair;
use super::sealed;
use super::target::{Binary, Targets};
use super::units::Unit;
use crate::fidelity::{self, Fidelity, FunctionFidelity, Verdict};
use crate::options::Options;
use crate::report::RefusalReport;
use anyhow::{Context, Result};
use lp_diff::Outcome;
use lp_diff::report::{Report as DiffReport, Status};
use lp_diff::show::{SideBySide, Wanted};
use lp_klp::name::ObjName;
use object::{Object, ObjectSymbol};
use std::collections::BTreeSet;

/// What became of a unit.
#[derive(Debug)]
pub struct Judged {
    /// Its source.
    pub source: String,
    /// The kernel or the module that it is part of.
    pub object: ObjName,
    /// Whether its original is the code that runs.
    pub fidelity: Fidelity,
    /// What the diff found.
    pub report: DiffReport,
    /// The object with the new code, if there is any.
    pub diff: Option<Vec<u8>>,
    /// Both versions of what changed, if they are to be shown.
    pub shown: Option<SideBySide>,
    /// Functions that the patch relies on and that do not reproduce.
    pub unproven: Vec<RefusalReport>,
    /// Functions that nothing may point at, and the new code does.
    pub sealed: Vec<RefusalReport>,
}

impl Judged {
    /// Whether a header brought it and nothing in it changed, so that there is nothing to say of it.
    pub fn is_noise(&self, pair: &Pair) -> bool {
        pair.unit.through.is_some() && self.report.verdict == lp_diff::Verdict::Same
    }
}

/// Judges a unit; with a page to write, both versions of what changed are shown as well.
pub fn judge(pair: &Pair, targets: &Targets, options: &Options) -> Result<Judged> {
    let unit = &pair.unit;
    let source = &unit.source;
    let binary = targets.binaries.get(&unit.object);
    let binary =
        binary.with_context(|| format!("{source}: its object {} was not opened", unit.object))?;
    let fidelity = fidelity::check(&pair.orig.object, source, &binary.target)
        .with_context(|| format!("{source}: comparing it with {}", binary.path.display()))?;
    let (outcome, shown) = diff(pair, binary, targets, &fidelity, options)
        .with_context(|| format!("comparing {source}"))?;
    let halves = Halves {
        source,
        object: &unit.object,
        orig: &pair.orig.object,
        patched: &pair.patched.object,
        target: &binary.target,
        noun: "kernel",
    };
    let unproven = unproven(&halves, &fidelity, &outcome.report);
    let sealed = match &outcome.object {
        Some(diff) => sealed::check(source, &unit.object, diff, &binary.path)?,
        None => Vec::new(),
    };
    Ok(Judged {
        source: source.clone(),
        object: unit.object.clone(),
        fidelity,
        report: outcome.report,
        diff: outcome.object,
        shown,
        unproven,
        sealed,
    })
}

fn diff(
    pair: &Pair,
    binary: &Binary,
    targets: &Targets,
    fidelity: &Fidelity,
    options: &Options,
) -> Result<(Outcome, Option<SideBySide>)> {
    let config = lp_diff::Config {
        flavour: Default::default(),
        object: pair.unit.object.clone(),
        entry_sizes: targets.entry_sizes.clone(),
        unit: unit_stem(&pair.unit),
        places: fidelity.places.clone(),
        overridden: overridden(&pair.orig.object, fidelity),
        allow_layout_change: options.allow_layout_change.clone(),
    };
    let (orig, patched) = (&pair.orig.object, &pair.patched.object);
    let (symbols, exports) = (&binary.symbols, &targets.exports);
    if options.html.is_some() {
        let wanted = Wanted::default();
        let (outcome, shown) =
            lp_diff::diff_and_show(orig, patched, symbols, exports, &config, &wanted)?;
        return Ok((outcome, Some(shown)));
    }
    let outcome = lp_diff::diff(orig, patched, symbols, exports, &config)?;
    Ok((outcome, None))
}

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

/// A name for the unit's own symbols: `fs/proc/meminfo.c` is `fs.proc.meminfo`, and where it is linked into
/// several modules, `MODULE.fs.proc.meminfo`.
fn unit_stem(unit: &Unit) -> String {
    let source = &unit.source;
    let mut stem = source
        .strip_suffix(".c")
        .unwrap_or(source)
        .replace('/', ".");
    if unit.shared {
        stem = format!("{}.{stem}", unit.object);
    }
    let legal = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == '_';
    stem.chars()
        .map(|c| if legal(c) { c } else { '_' })
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

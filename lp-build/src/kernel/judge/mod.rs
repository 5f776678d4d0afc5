//! Judges one compiled unit: is the original the code that runs, and what of it changed?
//!
//! The proof comes first, because it also says where each local symbol of the original is in the running binary, which
//! the diff needs to tell equal names apart.

pub mod assemble;
pub mod review;
pub mod states;

use crate::fidelity::{self, Fidelity};
use crate::kernel::compile::pairs::Pair;
use crate::kernel::running::sealed;
use crate::kernel::running::target::{Binary, Targets};
use crate::kernel::units::Unit;
use crate::options::Options;
use crate::patch::judged::Judged;
use crate::patch::unproven::{Halves, overridden, unproven};
use anyhow::{Context, Result};
use lp_diff::Outcome;
use lp_diff::show::{SideBySide, Wanted};

/// Whether a header brought a unit and nothing in it changed, so that there is nothing to say of it.
pub fn is_noise(judged: &Judged, pair: &Pair) -> bool {
    pair.unit.through.is_some() && judged.report.verdict == lp_diff::Verdict::Same
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
        allow_layout_change: options.asked.allow_layout_change.clone(),
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

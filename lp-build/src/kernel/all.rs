//! Compiles and judges all files: those that changed themselves, then those that changed headers reach.
//!
//! A header may reach half of the kernel. Where what changed itself is refused already, no patch can come of the rest, and the
//! person should not wait for it.

use super::compile::header;
use super::compile::moved;
use super::compile::objects::{self, Objects};
use super::compile::pairs::{self, Pair, Workshop};
use super::judge;
use super::running::target::{self, Targets};
use super::units::{Probe, Unit, Units};
use super::{Road, open_detours};
use crate::kernel::changed::Sources;
use crate::patch::judged::Judged;
use crate::patch::refuse;
use crate::progress::{Count, minutes, say};
use crate::report::Report;
use anyhow::Result;
use lp_klp::name::ObjName;
use rayon::prelude::*;
use std::collections::{BTreeSet, HashMap};
use std::sync::Mutex;

/// How long a file takes in both trees on one processor, before anything of a run is measured.
const SECONDS: f64 = 2.5;
/// The same for a file that a header reaches: of ten, nine are only preprocessed.
const SECONDS_REACHED: f64 = 1.0;
/// What headers reach is not worth a look of its own at what changed itself where it takes less than this.
const WORTH_WAITING: f64 = 10.0;

/// About how long files take on this machine.
pub(super) fn seconds(units: &[Unit]) -> f64 {
    let of = |units: &[Unit]| match units.first().is_some_and(|unit| unit.through.is_none()) {
        true => SECONDS,
        false => SECONDS_REACHED,
    };
    let all: f64 = pairs::by_command(units).map(of).sum();
    all / rayon::current_num_threads() as f64
}

/// Compiles and judges what the sources end up in.
pub(super) fn judge(
    road: &Road<'_>,
    sources: &Sources,
    units: &Units,
    report: &mut Report,
) -> Result<(Vec<Judged>, Targets)> {
    let is_header = !sources.headers.is_empty() && road.inputs.module.is_none();
    if is_header {
        say(format_args!(
            "           {} files of this kernel may see the change, about {} to compile",
            units.count(),
            minutes(seconds(&units.units))
        ));
    }
    open_detours(road, units)?;
    let (own, reached): (Vec<Unit>, Vec<Unit>) = units
        .units
        .iter()
        .cloned()
        .partition(|unit| unit.through.is_none());
    let shop = workshop(road, units)?;
    let at_once = own.is_empty() || seconds(&reached) < WORTH_WAITING || road.options.keep_going;
    if at_once {
        let everything = (units.units.as_slice(), units.probes.as_slice());
        let (judged, targets) = some(road, &shop, everything, None, report)?;
        count(is_header, units, judged.len(), report);
        return Ok((judged, targets));
    }
    let (mut judged, targets) = some(road, &shop, (&own, &[]), None, report)?;
    if refuse::is_refused(&road.options.asked, &judged) {
        report.notes.push(format!(
            "{} more files, which the changed headers reach, were not looked at, since the patch is refused already: --keep-going looks at them, too",
            pairs::by_command(&reached).count()
        ));
        return Ok((judged, targets));
    }
    let rest = (reached.as_slice(), units.probes.as_slice());
    let (others, targets) = some(road, &shop, rest, Some(targets), report)?;
    judged.extend(others);
    // In the order of the units: what is built must not depend on how many processors there are.
    let at: HashMap<(&str, &ObjName), usize> = units
        .units
        .iter()
        .enumerate()
        .map(|(at, unit)| ((unit.source.as_str(), &unit.object), at))
        .collect();
    judged.sort_by_key(|unit| at.get(&(unit.source.as_str(), &unit.object)).copied());
    count(is_header, units, judged.len(), report);
    Ok((judged, targets))
}

fn count(is_header: bool, units: &Units, differing: usize, report: &mut Report) {
    if is_header {
        report.notes.push(format!(
            "{} files of this kernel may see the changed headers, the code of {differing} differs",
            units.count()
        ));
    }
}

/// Compiles and judges some units and probes.
fn some(
    road: &Road<'_>,
    shop: &Workshop<'_>,
    (units, probes): (&[Unit], &[Probe]),
    targets: Option<Targets>,
    report: &mut Report,
) -> Result<(Vec<Judged>, Targets)> {
    let (inputs, changed) = (road.inputs, road.changed);
    // What a header reaches is mostly dropped: only what stays has its module opened.
    let own = units.iter().filter(|unit| unit.through.is_none());
    let own: BTreeSet<&ObjName> = own.map(|unit| &unit.object).collect();
    let ((pairs, refusals), targets) = road.progress.step("compiling both trees", || {
        rayon::join(
            || {
                rayon::join(
                    || pairs::compile(units, inputs, changed, shop),
                    || pairs::probe(probes, inputs, changed, shop),
                )
            },
            || targets.map_or_else(|| target::open(&inputs.files, own), Ok),
        )
    });
    report.refusals.extend(refusals);
    let (pairs, notes) = moved::join(pairs?, &shop.patched)?;
    report.notes.extend(notes);
    let mut targets = targets?;
    let names = pairs.iter().map(|pair| &pair.unit.object).collect();
    let judged = road
        .progress
        .step("comparing with the running kernel", || {
            targets.add(&inputs.files, names)?;
            let judge = |pair: &Pair| -> Result<Option<Judged>> {
                let judged = judge::judge(pair, &targets, road.options)?;
                Ok((!judge::is_noise(&judged, pair)).then_some(judged))
            };
            pairs.par_iter().map(judge).collect::<Result<Vec<_>>>()
        })?;
    Ok((judged.into_iter().flatten().collect(), targets))
}

fn workshop<'r>(road: &'r Road<'_>, units: &Units) -> Result<Workshop<'r>> {
    let scratch = road.scratch;
    let kept = road.cache.objects();
    objects::evict(&kept, objects::LIMIT);
    Ok(Workshop {
        make: road.make,
        orig: scratch.folder("orig")?,
        patched: scratch.folder("new")?,
        copy: scratch.folder("copies")?.join("build"),
        copying: Mutex::new(false),
        include: header::provide(scratch)?,
        every_includer: road.options.every_includer,
        count: Count::of(units.count()),
        launcher: road.options.launcher.clone(),
        named: road.inputs.module.clone(),
        objects: Objects::new(kept, &road.prepared.key, header::TEXT),
        names: objects::names(road.changed),
    })
}

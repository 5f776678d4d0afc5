//! A livepatch for a Linux kernel: the road through all phases.
//!
//! Every phase is a file and borrows the earlier ones' results. What cannot be patched is collected and said at the
//! end of the phase that finds it; only a whole module is ever written, by a rename.

mod all;
pub mod arch;
pub mod changed;
pub mod compile;
pub mod inputs;
pub mod judge;
pub mod kbuild;
pub mod reach;
pub mod running;
pub mod units;

use crate::cache::{Cache, Scratch};
use crate::module;
use crate::module::kbuild::Unresolved;
use crate::options::Options;
use crate::patch::publish::publish;
use crate::patch::refuse::{refuse, refuse_lineage, warn};
use crate::patch::summary;
use crate::progress::{Progress, say};
use crate::report::{RefusalReport, Report, Verdict};
use crate::tree::walk;
use anyhow::Result;
use changed::generated;
use changed::kconfig;
use changed::{Changed, Sources};
use inputs::Inputs;
use judge::assemble;
use judge::review;
use kbuild::detour;
use kbuild::key;
use kbuild::make::Make;
use kbuild::prepare;
use kbuild::prepare::Prepared;
use units::Units;
use units::external;

/// Builds the patch that the options describe; what is found on the way goes into the report.
pub fn build(options: &Options, progress: &Progress, report: &mut Report) -> Result<Verdict> {
    summary::introduce(&options.asked, report);
    report.kernel.clone_from(&options.release);
    let inputs = progress.step("checking trees and kernel", || inputs::open(options))?;
    if let Some(keep) = &options.asked.keep {
        inputs.check_outside(keep, "--keep")?;
    }
    if let Some(html) = &options.html {
        inputs.check_outside(html, "--html")?;
    }
    report.notes.extend(inputs.note());
    let cache = Cache::open(&options.asked.cache)?;
    let scratch = cache.scratch(options.asked.keep.as_deref())?;
    let changed = changed::find(options, &inputs, &scratch, progress)?;
    report.files = changed::stat(&inputs, &changed);
    warn(report, progress, &changed.warnings);
    report.notes.extend_from_slice(&changed.notes);
    if changed.changes.is_empty() {
        report.notes.push("the trees do not differ".to_owned());
        return Ok(Verdict::Same);
    }
    say(&report.files);
    let sources = changed::sources(&inputs, &changed, report);
    if !report.refusals.is_empty() {
        return Ok(Verdict::Refused);
    }
    if sources.is_empty() {
        return Ok(Verdict::Same);
    }
    let prepared = prepare(&inputs, &changed, &cache, progress)?;
    warn(
        report,
        progress,
        &prepared
            .drift
            .new
            .iter()
            .map(|option| format!("the configuration does not say {option}"))
            .collect::<Vec<_>>(),
    );
    let make = make(&inputs, &prepared);
    check_generated(
        &inputs,
        &changed,
        &prepared,
        (&sources, &scratch),
        progress,
        report,
    )?;
    if !report.refusals.is_empty() {
        return Ok(Verdict::Refused);
    }
    let road = Road {
        options,
        inputs: &inputs,
        changed: &changed,
        scratch: &scratch,
        cache: &cache,
        prepared: &prepared,
        make,
        progress,
    };
    check_configuration(&road, &sources, report)?;
    let Some(units) = find_units(&road, &sources, report)? else {
        return Ok(if report.refusals.is_empty() {
            Verdict::Same
        } else {
            Verdict::Refused
        });
    };
    if options.dry_run {
        report.plan = Some(units.plan(all::seconds(&units.units)));
        return Ok(Verdict::Planned);
    }
    let (judged, targets) = all::judge(&road, &sources, &units, report)?;
    assemble::summarize(&options.asked.identity, &judged, report);
    if let Some(html) = &options.html {
        let page = review::page(options, &judged, (inputs.root(), &changed.patched))?;
        publish(html, page.as_bytes())?;
        report.notes.push(format!(
            "both versions of what changed are in {}",
            html.display()
        ));
    }
    warn(
        report,
        progress,
        &summary::needless(&judged, &options.asked.allow_layout_change),
    );
    if refuse(&options.asked, &judged, report, progress) {
        return Ok(Verdict::Refused);
    }
    if report.objects.is_empty() {
        return Ok(Verdict::Same);
    }
    let parts = progress.step("describing the patch", || {
        assemble::parts(options, &inputs, judged, &targets, report)
    })?;
    let folder = scratch.folder("module")?;
    let built = module::build(
        options.asked.identity.name.as_str(),
        parts,
        &targets.exports,
        make,
        &folder,
        progress,
    );
    let module = match built.map_err(anyhow::Error::downcast::<Unresolved>) {
        Ok(module) => module,
        Err(Ok(unresolved)) => {
            report.refusals.push(RefusalReport {
                code: "unresolved".to_owned(),
                place: options.asked.identity.name.to_string(),
                message: unresolved.to_string(),
                source: None,
            });
            return Ok(Verdict::Refused);
        }
        Err(Err(error)) => return Err(error),
    };
    warn(report, progress, &module.warnings);
    if refuse_lineage(&options.asked, &module.bytes, report, progress)? {
        return Ok(Verdict::Refused);
    }
    publish(&options.output, &module.bytes)?;
    report.output = Some(options.output.clone());
    report.size = Some(module.bytes.len() as u64);
    Ok(Verdict::Built)
}

/// What the later phases share.
struct Road<'a> {
    options: &'a Options,
    inputs: &'a Inputs,
    changed: &'a Changed,
    scratch: &'a Scratch,
    cache: &'a Cache,
    prepared: &'a Prepared,
    make: Make<'a>,
    progress: &'a Progress,
}

impl Road<'_> {
    /// The patched tree's build, in the original's folder: it may only be asked what it would do.
    fn patched_make(&self) -> Make<'_> {
        Make {
            tree: &self.changed.patched,
            ..self.make
        }
    }
}

/// Refuses Kconfig files by which the configuration would be another one.
fn check_configuration(road: &Road<'_>, sources: &Sources, report: &mut Report) -> Result<()> {
    let Some(first) = sources.kconfigs.first() else {
        return Ok(());
    };
    let folder = road.scratch.folder("kconfig")?;
    let refusal = road.progress.step("configuring the patched tree", || {
        kconfig::check(
            &sources.kconfigs,
            road.prepared,
            road.patched_make(),
            &folder,
        )
    })?;
    match refusal {
        Some(refusal) => report.refusals.push(refusal),
        None => report.notes.push(format!(
            "{first} changed, the configuration of this kernel is the same with it"
        )),
    }
    Ok(())
}

fn prepare(
    inputs: &Inputs,
    changed: &Changed,
    cache: &Cache,
    progress: &Progress,
) -> Result<Prepared> {
    let Inputs {
        orig,
        files,
        compiler,
        arch,
        ..
    } = inputs;
    progress.step("finding or preparing the build folder", || {
        let of_tree = inputs.module.as_ref().map(|_| walk::list(&orig.root));
        let of_tree = of_tree.transpose()?;
        let listing = of_tree.as_ref().unwrap_or(&changed.listing);
        let key = key::key(orig, listing, files, compiler, arch)?;
        prepare::prepare(cache, key, orig, files, (compiler, arch), progress)
    })
}

fn make<'a>(inputs: &'a Inputs, prepared: &'a Prepared) -> Make<'a> {
    Make {
        tree: &prepared.tree,
        build: &prepared.folder,
        release: &inputs.files.release,
        compiler: &inputs.compiler.command,
    }
}

/// Refuses headers from which the prepared folder would be another one.
fn check_generated(
    inputs: &Inputs,
    changed: &Changed,
    prepared: &Prepared,
    (sources, scratch): (&Sources, &Scratch),
    progress: &Progress,
    report: &mut Report,
) -> Result<()> {
    if sources.headers.is_empty() || inputs.module.is_some() {
        return Ok(());
    }
    let products = scratch.folder("generated")?;
    let refusals = progress.step("checking what is made from the headers", || {
        generated::check(&sources.headers, inputs, changed, prepared, &products)
    });
    report.refusals.extend(refusals?);
    Ok(())
}

/// Keeps the commands of all units inside the patched tree where that is made of links.
fn open_detours(road: &Road<'_>, units: &Units) -> Result<()> {
    if road.inputs.patched.is_some() {
        return Ok(());
    }
    let patched = units.units.iter().filter_map(|unit| unit.patched.as_ref());
    let commands = units.units.iter().map(|unit| &unit.command).chain(patched);
    let probes = units.probes.iter().map(|probe| &probe.command);
    let trees = (road.inputs.root(), road.changed.patched.as_path());
    detour::open(trees, commands.chain(probes), &units.climbs)
}

/// Finds what to compile; none when there is nothing or something stands in the way.
fn find_units(road: &Road<'_>, sources: &Sources, report: &mut Report) -> Result<Option<Units>> {
    let Road {
        inputs,
        changed,
        progress,
        ..
    } = road;
    let key = &road.prepared.key;
    let build = units::Build {
        prepared: road.prepared,
        make: road.make,
        patched: road.patched_make(),
        files: &inputs.files,
        commands: &road.cache.commands(key),
        graph: &road.cache.graph(key),
        every_includer: road.options.every_includer,
    };
    let mut units = progress.step("finding how the files are built", || {
        if inputs.module.is_some() {
            return external::find(inputs, changed, sources, road.make);
        }
        let (tree, listing) = (&inputs.orig, &changed.listing);
        units::find(sources, tree, listing, inputs.arch, build)
    })?;
    for source in &units.absent {
        report.notes.push(format!(
            "{source} is not in this kernel: its configuration does not build it"
        ));
    }
    if !units.other_images.is_empty() {
        let paths: Vec<&str> = units.other_images.iter().map(String::as_str).collect();
        report.notes.push(format!(
            "the changed headers also reach other images (boot code, vDSO, firmware), which stay as they are: {}",
            changed::some(&paths)
        ));
    }
    report.notes.append(&mut units.notes);
    report.refusals.append(&mut units.refusals);
    let nothing = units.units.is_empty() && units.probes.is_empty();
    Ok((!nothing && report.refusals.is_empty()).then_some(units))
}

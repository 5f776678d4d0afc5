//! `cargo xtask e2e`: builds every case's patch and runs all of them in one boot.
//!
//! A case whose patch cannot be built fails alone; the others still run. One verdict line per case, and an error at the end if any
//! is not ok.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Result, bail};
use rayon::prelude::*;

use crate::case::{self, Case, Expect};
use crate::kernels::{self, Installed};
use crate::patch_build::{Order, Outside, PatchBuild};
use crate::vm::plan::{Job, Kind, Patches};
use crate::{sequence, system, tools, vm};

/// Options of `e2e`.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Args {
    /// Only cases with this in their name
    #[arg(default_value = "", hide_default_value = true)]
    filter: String,
    /// Build nothing: run the cases whose patch is in this folder, as NAME.ko
    #[arg(long, value_name = "DIR")]
    built: Option<PathBuf>,
    /// On this pinned kernel, whichever the cases name
    #[arg(long, value_name = "NAME")]
    kernel: Option<String>,
    #[command(flatten)]
    vm: vm::Args,
}

impl Args {
    /// All cases that can run on a kernel.
    pub(crate) fn all(kernel: &str, vm: vm::Args) -> Self {
        Self {
            filter: String::new(),
            built: None,
            kernel: Some(kernel.to_owned()),
            vm,
        }
    }
}

/// Runs the cases.
pub(crate) fn run(args: &Args) -> Result<()> {
    let mut cases = case::find(&args.filter)?;
    if let Some(folder) = &args.built {
        cases.retain(|case| !case.is_sequence() && built(folder, case).exists());
    }
    if let Some(kernel) = &args.kernel {
        let kernel = kernels::name(kernel)?;
        for case in cases.iter().filter(|case| !case.is_for(&kernel)) {
            println!(
                "{} left out: it is for {} alone",
                case.name, case.guest.kernel
            );
        }
        cases.retain(|case| case.is_for(&kernel));
        cases.iter_mut().for_each(|case| case.on(&kernel));
    }
    if cases.is_empty() {
        bail!(
            "no case under examples/ or tests/vm/ has `{}` in its name",
            args.filter
        );
    }
    system::ensure_packages()?;
    let lp_build = if args.built.is_some() {
        PathBuf::new()
    } else {
        tools::lp_build()?
    };
    let mut failed = Vec::new();
    for series in series_of(&cases) {
        let kernel = kernels::ensure(&series)?;
        let build = PatchBuild {
            lp_build: &lp_build,
            kernel: &kernel,
        };
        let of_series = || cases.iter().filter(|case| case.guest.kernel == series);
        if args.built.is_none() {
            failed.extend(refused_cases(&build, of_series()));
        }
        failed.extend(working_cases(&build, &kernel, of_series(), args)?);
    }
    match failed.as_slice() {
        [] => Ok(()),
        names => bail!(
            "{} of {} cases failed: {}",
            names.len(),
            cases.len(),
            names.join(", ")
        ),
    }
}

fn series_of(cases: &[Case]) -> Vec<String> {
    let mut series: Vec<String> = cases.iter().map(|case| case.guest.kernel.clone()).collect();
    series.sort();
    series.dedup();
    series
}

/// Cases that lp-build must refuse; the names of those that failed.
fn refused_cases<'a>(build: &PatchBuild<'_>, cases: impl Iterator<Item = &'a Case>) -> Vec<String> {
    let cases = cases.filter(|case| case.guest.expect == Expect::Refused);
    let failed = cases.collect::<Vec<_>>().into_par_iter().map(|case| {
        let code = case.guest.code.as_deref().unwrap_or_default();
        let refusal = order(case, build).and_then(|order| build.refusal(&order, code));
        match refusal {
            Ok(detail) => println!("{} ok ({detail})", case.name),
            Err(error) => {
                println!("{} FAIL {error:#}", case.name);
                return Some(case.name.clone());
            }
        }
        None
    });
    failed.flatten().collect()
}

/// Cases that must work in the guest; the names of those that failed.
fn working_cases<'a>(
    build: &PatchBuild<'_>,
    kernel: &Installed,
    cases: impl Iterator<Item = &'a Case>,
    args: &Args,
) -> Result<Vec<String>> {
    let cases = cases.filter(|case| case.guest.expect != Expect::Refused);
    // Each build is one of its own, as a user's: most of its time one processor has nothing to do.
    let made = cases.collect::<Vec<_>>().into_par_iter().map(|case| {
        let start = Instant::now();
        let made = made(build, case, args);
        match &made {
            Ok((_, _, verified)) => println!(
                "{}: built in {:.1} s{verified}",
                case.name,
                start.elapsed().as_secs_f64()
            ),
            Err(error) => println!("{} FAIL {error:#}", case.name),
        }
        (case, made)
    });
    let made: Vec<_> = made.collect();
    let (mut jobs, mut failed) = (Vec::new(), Vec::new());
    for (case, made) in made {
        match made {
            Ok((patches, outside, _)) => jobs.push(Job {
                outside,
                ..job(case, kind(case), patches)
            }),
            Err(_) => failed.push(case.name.clone()),
        }
    }
    if args.filter.is_empty() {
        jobs.extend(refusals_of_the_kernel(&jobs));
    }
    if !jobs.is_empty() {
        let outcome = vm::run(&format!("e2e-{}", kernel.release), kernel, jobs, &args.vm)?;
        failed.extend_from_slice(outcome.failed());
    }
    Ok(failed)
}

/// A case's patches, its own modules, and what lp-verify said, for people.
fn made(
    build: &PatchBuild<'_>,
    case: &Case,
    args: &Args,
) -> Result<(Patches, Vec<PathBuf>, String)> {
    let one = |patch| Patches::from([(case.name.clone(), patch)]);
    if let Some(folder) = &args.built {
        let outside = Outside::of(case, build)?.map(|outside| outside.inserted);
        let patches = one(built(folder, case));
        return Ok((patches, outside.unwrap_or_default(), String::new()));
    }
    if !case.is_sequence() {
        let order = order(case, build)?;
        let outside = order.outside.clone().map(|outside| outside.inserted);
        let patch = match case.guest.without_debug_package {
            true => build.build_without_debug_package(order)?,
            false => build.build(&order)?,
        };
        return Ok((one(patch), outside.unwrap_or_default(), String::new()));
    }
    let outside = Outside::of(case, build)?;
    let patches = sequence::build(build, case, outside.as_ref())?;
    let (yes, no) = sequence::verify(&tools::lp_verify()?, build.kernel, case, &patches)?;
    Ok((
        patches,
        outside.map(|outside| outside.inserted).unwrap_or_default(),
        format!(", lp-verify said yes to {yes} loads and no to {no}"),
    ))
}

fn order(case: &Case, build: &PatchBuild<'_>) -> Result<Order> {
    let outside = Outside::of(case, build)?;
    let order = Order::of(case, build.folder())?;
    Ok(Order { outside, ..order })
}

fn built(folder: &Path, case: &Case) -> PathBuf {
    folder.join(format!("{}.ko", case.name))
}

/// Beside the cases: how the kernel's own refusals are told, provoked with the first patch that it takes and that needs
/// no module.
fn refusals_of_the_kernel(jobs: &[Job]) -> Option<Job> {
    let is_plain = |job: &&Job| {
        matches!(job.kind, Kind::Cycle) && job.modules.is_empty() && job.outside.is_empty()
    };
    let first = jobs.iter().find(is_plain)?;
    Some(Job {
        kind: Kind::Refusals,
        name: "kernel-refusals".into(),
        ..first.clone()
    })
}

fn kind(case: &Case) -> Kind {
    match case.guest.expect {
        _ if case.is_sequence() => Kind::Steps,
        Expect::LoadFails => Kind::LoadFails,
        Expect::Works | Expect::Refused => Kind::Cycle,
    }
}

/// What the guest does with a case's patches.
pub(crate) fn job(case: &Case, kind: Kind, patches: Patches) -> Job {
    Job {
        kind,
        name: case.name.clone(),
        patches,
        modules: case.guest.modules.clone(),
        outside: Vec::new(),
        setup: case.guest.setup.clone(),
        probes: case.guest.probes.clone(),
        steps: case.guest.steps.clone(),
        allow_log: case.guest.allow_log.clone(),
        errno: case.guest.code.clone(),
    }
}

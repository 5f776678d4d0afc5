//! `cargo xtask bench build`: how long lp-build takes for a one-file change, cold and warm, and how much memory; beside the last run.
//! `cargo xtask bench diff`: the same for lp-diff. `cargo xtask bench fleet`: the same for lp-verify and a million machines.
//!
//! A benchmark and not a timed test: a limit in a test fails on a busy machine and hides what crept in on a fast one.

mod diff;
mod fleet;
mod memory;
#[path = "../../lp-diff/benches/synthetic/mod.rs"]
mod synthetic;
mod table;

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use clap::Subcommand;
use serde_json::Value;

use crate::case::{self, Case};
use crate::kernels;
use crate::patch_build::{Order, PatchBuild, Trees};
use crate::{paths, system, tools};
use table::{Run, Table};

/// Options of `bench`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// lp-build for a one-file change: once with an empty cache, then warm
    Build {
        /// The case whose patch is built
        #[arg(long, default_value = "meminfo-string")]
        case: String,
        /// How often with a warm cache
        #[arg(long, default_value_t = 3)]
        warm: usize,
    },
    /// lp-diff for synthetic pairs, and for real ones
    Diff {
        /// A folder with NAME.ORIG.o beside NAME.PATCHED.o
        #[arg(long, value_name = "DIR")]
        objects: Option<PathBuf>,
    },
    /// lp-verify for an inventory of a million machines
    Fleet,
}

/// Measures and prints.
pub(crate) fn run(args: &Args) -> Result<()> {
    match &args.what {
        What::Build { case, warm } => build(case, *warm),
        What::Diff { objects } => diff::run(objects.as_deref()),
        What::Fleet => fleet::run(),
    }
}

fn build(case: &str, warm: usize) -> Result<()> {
    let cases = case::find(case)?;
    let Some(case) = cases.iter().find(|found| found.name == case) else {
        bail!("there is no case {case}")
    };
    system::ensure_packages()?;
    let kernel = kernels::ensure(&case.guest.kernel)?;
    let lp_build = tools::lp_build()?;
    let build = PatchBuild {
        lp_build: &lp_build,
        kernel: &kernel,
    };
    let folder = paths::output("bench");
    let cache = folder.join("cache");
    if cache.exists() {
        fs::remove_dir_all(&cache).with_context(|| format!("remove {}", cache.display()))?;
    }
    fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
    let mut runs = vec![measure("cold", &build, case, &cache)?];
    for number in 1..=warm {
        runs.push(measure(&format!("warm {number}"), &build, case, &cache)?);
    }
    let table = Table {
        case: case.name.clone(),
        runs,
    };
    table.print_beside_last(&folder.join(format!("build-{}.json", case.name)))
}

fn measure(
    name: &str,
    build: &PatchBuild<'_>,
    case: &Case,
    cache: &std::path::Path,
) -> Result<Run> {
    let output = Order::of(case, paths::output("bench"))?.output;
    let fix = case.fix();
    let mut command: Command =
        build.command(&Trees::Patch(&fix), &case.description(), &output, cache);
    command
        .args(["--report", "json"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let start = Instant::now();
    let child = command.spawn().context("run lp-build")?;
    let watch = memory::Watch::start(child.id());
    let done = child.wait_with_output().context("wait for lp-build")?;
    let seconds = start.elapsed().as_secs_f64();
    let peak = watch.end();
    ensure!(
        done.status.success(),
        "lp-build: {}\n{}",
        done.status,
        String::from_utf8_lossy(&done.stderr)
    );
    let report: Value = serde_json::from_slice(&done.stdout).context("parse lp-build's report")?;
    Ok(Run {
        name: name.into(),
        seconds,
        own_mib: peak.own_mib,
        tree_mib: peak.tree_mib,
        steps: steps(&report),
    })
}

/// The `steps` of a report, their milliseconds as seconds.
fn steps(report: &Value) -> Vec<(String, f64)> {
    let steps = report
        .get("steps")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    let times = steps.filter_map(|step| {
        Some((
            step.get("name")?.as_str()?.to_owned(),
            step.get("ms")?.as_f64()? / 1000.0,
        ))
    });
    times.collect()
}

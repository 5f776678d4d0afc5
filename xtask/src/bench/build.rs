//! `cargo xtask bench build`: one file with an empty cache, then warm, then fifty files, a header with many users, and the load.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use super::change;
use super::memory;
use super::table::{Run, Table};
use crate::case::{self, Case};
use crate::kernels::{self, Installed};
use crate::patch_build::{Order, PatchBuild, Trees};
use crate::vm::plan::Job;
use crate::{paths, system, tools, vm};

/// How many files are many.
const FILES: usize = 50;
/// What lp-build exits with when no code changed.
const NOTHING: i32 = 3;

/// Measures and prints.
pub(super) fn run(case: &str, warm: usize) -> Result<()> {
    let cases = case::find(case)?;
    let Some(case) = cases.iter().find(|found| found.name == case) else {
        bail!("there is no case {case}")
    };
    system::ensure_packages()?;
    let kernel = kernels::ensure(&case.guest.kernel)?;
    let lp_build = tools::lp_build()?;
    let bench = Bench {
        build: PatchBuild {
            lp_build: &lp_build,
            kernel: &kernel,
        },
        case,
        folder: paths::output("bench"),
    };
    let mut runs = bench.one_file(warm)?;
    let one = Order::of(case, bench.folder.clone())?.output;
    runs.push(loaded("load, one file", &kernel, &one)?);
    let fifty = change::of_files(&kernel.source, FILES)?;
    runs.push(bench.change("fifty files", &fifty)?);
    let many = bench.output("fifty files");
    runs.push(loaded("load, fifty files", &kernel, &many)?);
    let header = change::of_header(&kernel.source)?;
    runs.push(bench.change("header", &header)?);
    runs.push(bench.change("header again", &header)?);
    let table = Table {
        case: case.name.clone(),
        runs,
    };
    table.print_beside_last(&bench.folder.join(format!("build-{}.json", case.name)))
}

struct Bench<'a> {
    build: PatchBuild<'a>,
    case: &'a Case,
    folder: PathBuf,
}

impl Bench<'_> {
    /// The case's patch with an empty cache, then as often as asked.
    fn one_file(&self, warm: usize) -> Result<Vec<Run>> {
        let cache = self.cache();
        if cache.exists() {
            fs::remove_dir_all(&cache).with_context(|| format!("remove {}", cache.display()))?;
        }
        fs::create_dir_all(&self.folder)
            .with_context(|| format!("create {}", self.folder.display()))?;
        let (fix, output) = (
            self.case.fix(),
            Order::of(self.case, self.folder.clone())?.output,
        );
        let mut runs = vec![self.measure("cold", &fix, &output)?];
        for number in 1..=warm {
            runs.push(self.measure(&format!("warm {number}"), &fix, &output)?);
        }
        Ok(runs)
    }

    /// A change that was made for this.
    fn change(&self, name: &str, text: &str) -> Result<Run> {
        let patch = self.output(name).with_extension("patch");
        fs::write(&patch, text).with_context(|| format!("write {}", patch.display()))?;
        self.measure(name, &patch, &self.output(name))
    }

    fn output(&self, name: &str) -> PathBuf {
        let name = name.replace(' ', "_");
        self.folder.join(format!("{name}.ko"))
    }

    fn cache(&self) -> PathBuf {
        self.folder.join("cache")
    }

    fn measure(&self, name: &str, patch: &Path, output: &Path) -> Result<Run> {
        let description = self.case.description();
        let trees = Trees::Patch(patch);
        let mut command: Command =
            (self.build).command(&trees, &description, output, &self.cache());
        if *patch != self.case.fix() {
            let stem = output.file_stem().and_then(|stem| stem.to_str());
            command.args(["--name", stem.context("a module has a name")?]);
        }
        command
            .args(["--report", "json"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        println!("{name} ..");
        let start = Instant::now();
        let child = command.spawn().context("run lp-build")?;
        let watch = memory::Watch::start(child.id());
        let done = child.wait_with_output().context("wait for lp-build")?;
        let seconds = start.elapsed().as_secs_f64();
        let peak = watch.end();
        ensure!(
            done.status.success() || done.status.code() == Some(NOTHING),
            "lp-build: {}\n{}",
            done.status,
            String::from_utf8_lossy(&done.stderr)
        );
        let report: Value =
            serde_json::from_slice(&done.stdout).context("parse lp-build's report")?;
        Ok(Run {
            name: name.into(),
            seconds,
            own_mib: peak.own_mib,
            tree_mib: peak.tree_mib,
            steps: steps(&report),
        })
    }
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

/// Loads a module in a virtual machine, with some work going on; the kernel's times.
fn loaded(name: &str, kernel: &Installed, module: &Path) -> Result<Run> {
    println!("{name} ..");
    let job = "bench".to_owned();
    let start = Instant::now();
    let jobs = vec![Job::sweep(job.clone(), module, Vec::new())];
    let outcome = vm::run(&job, kernel, jobs, &vm::Args::default())?;
    let detail = outcome.detail(&job);
    let said = detail.context("the machine said nothing")?;
    let said = said.as_ref().map_err(|why| anyhow::anyhow!("{why}"))?;
    Ok(Run {
        name: name.into(),
        seconds: start.elapsed().as_secs_f64(),
        own_mib: 0,
        tree_mib: 0,
        steps: milliseconds(said),
    })
}

/// `load 5 ms, transition 1200 ms, ..` in seconds.
fn milliseconds(said: &str) -> Vec<(String, f64)> {
    let parts = said.split(", ").filter_map(|part| {
        let (name, number) = part.strip_suffix(" ms")?.split_once(' ')?;
        Some((name.to_owned(), number.parse::<f64>().ok()? / 1000.0))
    });
    parts.collect()
}

//! One fix of one program: built both ways, made a patch, put in and taken out again and again under load.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::program::{Client, Fix, Program};
use super::server::{Asker, Memory, Server, per_mille};
use super::source::{self, Source, Trees};
use crate::command;

/// How long the program works before it is patched, to compare with.
const BEFORE: Duration = Duration::from_secs(10);
/// What a program's memory may grow between the first half of the cycles and the second: its work is not always the same.
const GROWTH_KIB: u64 = 512;

/// A fix to be tried.
pub(crate) struct Trial<'a> {
    pub(crate) program: &'a Program,
    pub(crate) source: &'a Source,
    pub(crate) fix: &'a Fix,
    pub(crate) lp_build: &'a Path,
    pub(crate) lp_ctl: &'a Path,
}

/// What was seen.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) cycles: usize,
    pub(crate) took: Duration,
    /// How long answers took without patching and with it, in rising order.
    pub(crate) before: Vec<Duration>,
    pub(crate) during: Vec<Duration>,
    /// How long the threads of a process stood, in rising order.
    pub(crate) stood: Vec<Duration>,
    pub(crate) mappings: usize,
    /// The most memory in the first half of the cycles, and in the second.
    pub(crate) kib: (u64, u64),
}

impl Seen {
    /// The row of a table; its heads are [`HEADS`].
    pub(crate) fn row(&self) -> Vec<String> {
        let us = |times: &[Duration], mille| per_mille(times, mille).as_micros();
        let both = |mille| {
            let (before, during) = (us(&self.before, mille), us(&self.during, mille));
            format!("{before} -> {during}")
        };
        vec![
            self.cycles.to_string(),
            format!("{:.1}", self.took.as_secs_f64()),
            both(500),
            both(999),
            both(1000),
            format!("{}, {}", us(&self.stood, 500), us(&self.stood, 1000)),
            self.mappings.to_string(),
            format!("{} -> {}", self.kib.0, self.kib.1),
        ]
    }
}

/// What the columns are.
pub(crate) const HEADS: [&str; 8] = [
    "cycles",
    "seconds",
    "p50 us",
    "p99.9 us",
    "longest us",
    "stood us: p50, longest",
    "mappings",
    "KiB",
];

impl Trial<'_> {
    /// Does it. The program is patched in all its processes.
    pub(crate) fn run(&self, cycles: usize) -> Result<Seen> {
        let trees = self.source.trees(self.fix)?;
        let built = self.built(&trees.orig)?;
        let patch = self.patch(&trees, &built)?;
        let binary = match &self.program.client {
            Some(client) => self.client(client, &built)?,
            None => built.join(self.program.binary),
        };
        let folder = self.source.folder.join("run");
        let mut server = Server::start(self.program, &built, &binary, &folder)?;
        let asker = Asker::start(self.program.probe);
        server.work(BEFORE)?;
        let answers = asker.end()?;
        // It answers before it has forked all that work for it.
        let pids = server.pids();
        // The first patch maps what stays: the control area, and where the next one's parts are found.
        self.cycle(&binary)?.put_in(&patch)?;
        let settled = server.memory();
        let asker = Asker::start(self.program.probe);
        let start = Instant::now();
        let mut seen = Seen {
            cycles,
            took: Duration::ZERO,
            before: answers,
            during: Vec::new(),
            stood: Vec::new(),
            mappings: settled.mappings,
            kib: (settled.kib, 0),
        };
        for number in 2..=cycles {
            let done = || format!("cycle {number}");
            let stood = self.cycle(&binary)?.put_in(&patch).with_context(done)?;
            seen.stood.extend(stood);
            server.check().with_context(done)?;
            ensure!(
                server.pids() == pids,
                "cycle {number}: a process is gone or new"
            );
            let kib = server.memory().kib;
            if number <= cycles / 2 {
                seen.kib.0 = seen.kib.0.max(kib);
            } else {
                seen.kib.1 = seen.kib.1.max(kib);
            }
        }
        seen.took = start.elapsed();
        seen.during = asker.end()?;
        seen.stood.sort_unstable();
        let after = server.memory();
        let said = server.end_load()?;
        ensure!(!is_error(&said), "the load had errors: {said}");
        check_memory(&settled, &after, &seen)?;
        Ok(seen)
    }

    /// The tree without the fix, built by the program's own build.
    fn built(&self, orig: &Path) -> Result<PathBuf> {
        let folder = self
            .source
            .folder
            .join(format!("built-{}", self.fix.patch_name()));
        if folder.join(self.program.binary).exists() {
            return Ok(folder);
        }
        if folder.exists() {
            fs::remove_dir_all(&folder).with_context(|| format!("remove {}", folder.display()))?;
        }
        println!("building {} without the fix", self.program.name);
        source::copy(orig, &folder)?;
        let mut build = Command::new("sh");
        build.args(["-c", self.program.build]).current_dir(&folder);
        command::quiet(&mut build)?;
        Ok(folder)
    }

    fn patch(&self, trees: &Trees, built: &Path) -> Result<PathBuf> {
        let name = self.fix.patch_name();
        let patch = self.source.folder.join(format!("{name}.lp"));
        let mut build = Command::new(self.lp_build);
        build.arg("process").arg("--orig").arg(&trees.orig);
        build.arg("--patched").arg(&trees.patched);
        build.args(["--build", self.program.build]);
        build.arg("--binary").arg(built.join(self.program.binary));
        build.args(["--name", &name]).arg("-o").arg(&patch);
        command::run(&mut build)?;
        Ok(patch)
    }

    /// The program that uses the library, linked with the one that was built.
    fn client(&self, client: &Client, built: &Path) -> Result<PathBuf> {
        let library = built.join(self.program.binary);
        let folder = library.parent().unwrap_or(built);
        let source = built.join("livepatch-client.c");
        fs::write(&source, client.source)?;
        fs::write(built.join("client.h"), client.header)?;
        let binary = built.join("livepatch-client");
        let mut compile = Command::new("gcc");
        compile.args(["-O2", "-Wall", "-pthread"]).arg("-I");
        compile.arg(built).arg("-o").arg(&binary).arg(&source);
        compile.arg(&library);
        compile.arg(format!("-Wl,-rpath,{}", folder.display()));
        command::quiet(&mut compile)?;
        // By its soname, which its own build may not have linked.
        let soname = soname(&library)?;
        let link = folder.join(&soname);
        if !link.exists() {
            std::os::unix::fs::symlink(library.file_name().unwrap_or_default(), &link)?;
        }
        Ok(binary)
    }

    fn cycle<'a>(&'a self, binary: &'a Path) -> Result<Cycle<'a>> {
        Ok(Cycle {
            lp_ctl: self.lp_ctl,
            binary,
            name: self.fix.patch_name(),
        })
    }
}

/// One load and one unload, in all processes that run the program.
struct Cycle<'a> {
    lp_ctl: &'a Path,
    binary: &'a Path,
    name: String,
}

impl Cycle<'_> {
    /// How long the threads stood, each time.
    fn put_in(&self, patch: &Path) -> Result<Vec<Duration>> {
        let mut stood = self.ctl("load", &patch.display().to_string())?;
        stood.extend(self.ctl("unload", &self.name)?);
        Ok(stood)
    }

    fn ctl(&self, what: &str, of: &str) -> Result<Vec<Duration>> {
        let mut ctl = Command::new(self.lp_ctl);
        ctl.args([what, of, "--format", "json", "--all"]);
        ctl.arg(self.binary);
        if what == "load" {
            // Nobody signs what has just been built here.
            ctl.arg("--allow-unsigned");
        }
        let output = command::output(&mut ctl)?;
        let said = String::from_utf8_lossy(&output.stdout);
        let errors = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "lp-ctl {what}: {said}{errors}");
        let said: Value = serde_json::from_str(&said).with_context(|| said.to_string())?;
        let processes = said["processes"].as_array().context("no processes")?;
        let stood = processes.iter().map(|one| one["stood_us"].as_u64());
        let stood = stood.map(|us| us.map(Duration::from_micros));
        stood.collect::<Option<_>>().context("no time is said")
    }
}

fn check_memory(before: &Memory, after: &Memory, seen: &Seen) -> Result<()> {
    ensure!(
        after.mappings <= before.mappings,
        "{} mappings after the first cycle, {} after the last",
        before.mappings,
        after.mappings
    );
    let (first, second) = seen.kib;
    ensure!(
        second <= first + GROWTH_KIB,
        "the memory grew from {first} to {second} KiB"
    );
    Ok(())
}

/// The name that a library gives itself.
fn soname(library: &Path) -> Result<String> {
    let text = command::capture(Command::new("readelf").args(["-d", "-W"]).arg(library))?;
    let line = text.lines().find(|line| line.contains("(SONAME)"));
    let name = line.and_then(|line| line.split(['[', ']']).nth(1));
    name.map(str::to_owned)
        .with_context(|| format!("{} has no soname", library.display()))
}

/// Whether a load's last words speak of a failed request (`wrk`: "Socket errors", "Non-2xx"; `redis-benchmark`: "Error").
fn is_error(said: &str) -> bool {
    ["rror", "Non-2xx", "wrong"]
        .iter()
        .any(|word| said.contains(word))
}

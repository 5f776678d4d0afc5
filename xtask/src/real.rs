//! `cargo xtask real`: real programs, built by their own build systems, patched and reverted again and again under load.
//!
//! Each fix is one of Debian's: the program runs without it, and gets it while requests come in. What must not happen: a
//! failed request, a crash, mappings or memory that grow.

mod program;
mod server;
mod source;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::{command, system, tools};
use program::{PROGRAMS, Program};
use server::{Asker, Server, per_mille};

/// How long the program works before it is patched, to compare with.
const BEFORE: Duration = Duration::from_secs(10);

/// Options of `real`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// redis or nginx; all without it
    program: Option<String>,
    /// Only fixes with this in their names
    #[arg(long, value_name = "TEXT")]
    fix: Option<String>,
    /// How often each fix is put in and taken out
    #[arg(long, value_name = "N", default_value_t = 200)]
    cycles: usize,
}

/// What came of one fix.
struct Shown {
    program: &'static str,
    fix: &'static str,
    outcome: Result<String>,
}

/// Does all that is asked for; an error if one of them went wrong.
pub(crate) fn run(args: &Args) -> Result<()> {
    let wanted = |program: &&Program| {
        let name = args.program.as_deref();
        name.is_none_or(|name| name == program.name)
    };
    let programs: Vec<&Program> = PROGRAMS.iter().filter(wanted).collect();
    ensure!(!programs.is_empty(), "there is no such program here");
    let (lp_build, lp_ctl) = (tools::lp_build()?, tools::lp_ctl()?);
    let mut all = Vec::new();
    for program in programs {
        system::ensure(program.packages)?;
        let patched = source::ensure(program.name)?;
        for fix in program.fixes {
            if args.fix.as_ref().is_some_and(|text| !fix.contains(text)) {
                continue;
            }
            let bench = Bench {
                program,
                fix,
                patched: &patched,
                lp_build: &lp_build,
                lp_ctl: &lp_ctl,
            };
            println!("\n== {} {fix}", program.name);
            let outcome = bench.run(args.cycles);
            match &outcome {
                Ok(text) => println!("{text}"),
                Err(error) => println!("FAILED: {error:#}"),
            }
            all.push(Shown {
                program: program.name,
                fix,
                outcome,
            });
        }
    }
    table(&all)
}

fn table(all: &[Shown]) -> Result<()> {
    println!();
    for shown in all {
        let text = match &shown.outcome {
            Ok(text) => text.clone(),
            Err(error) => format!("FAILED: {error:#}"),
        };
        println!("{:<6} {:<62} {text}", shown.program, shown.fix);
    }
    let failed = all.iter().filter(|shown| shown.outcome.is_err()).count();
    if failed > 0 {
        bail!("{failed} of {} failed", all.len());
    }
    println!("real: ok");
    Ok(())
}

struct Bench<'a> {
    program: &'a Program,
    fix: &'a str,
    /// The tree with the fix.
    patched: &'a Path,
    lp_build: &'a Path,
    lp_ctl: &'a Path,
}

impl Bench<'_> {
    fn run(&self, cycles: usize) -> Result<String> {
        let orig = source::without(self.program.name, self.fix, self.patched)?;
        let built = self.built(&orig)?;
        let patch = self.patch(&orig, &built)?;
        let folder = source::folder(self.program.name).join("run");
        let mut server = Server::start(self.program, &built, &folder)?;
        let asker = Asker::start(self.program.probe);
        std::thread::sleep(BEFORE);
        server.check()?;
        let before = asker.end()?;
        // The first patch maps what stays: where the next one's is found.
        self.cycle(&server, &patch)?;
        let memory = server.memory();
        let asker = Asker::start(self.program.probe);
        let start = Instant::now();
        for cycle in 2..=cycles {
            self.cycle(&server, &patch)
                .with_context(|| format!("cycle {cycle}"))?;
            server
                .check()
                .with_context(|| format!("after cycle {cycle}"))?;
        }
        let took = start.elapsed();
        let during = asker.end()?;
        let after = server.memory();
        let said = server.end_load()?;
        ensure!(!is_error(&said), "the load had errors: {said}");
        ensure!(
            after.0 <= memory.0,
            "{} mappings after the first cycle, {} after the last",
            memory.0,
            after.0
        );
        let us = |times: &[Duration], mille| per_mille(times, mille).as_micros();
        Ok(format!(
            "{cycles} times, {:.1} s; answer p50 {} -> {} us, p99.9 {} -> {} us, longest {} -> {} us; {} mappings, {} -> {} KiB",
            took.as_secs_f64(),
            us(&before, 500),
            us(&during, 500),
            us(&before, 999),
            us(&during, 999),
            us(&before, 1000),
            us(&during, 1000),
            after.0,
            memory.1,
            after.1,
        ))
    }

    /// The tree without the fix, built by the program's own build.
    fn built(&self, orig: &Path) -> Result<PathBuf> {
        let folder = source::folder(self.program.name).join(format!("built-{}", self.fix));
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

    fn patch(&self, orig: &Path, built: &Path) -> Result<PathBuf> {
        let folder = source::folder(self.program.name);
        let patch = folder.join(format!("{}.lp", self.name()));
        let mut build = Command::new(self.lp_build);
        build.arg("process").arg("--orig").arg(orig);
        build.arg("--patched").arg(self.patched);
        build.args(["--build", self.program.build]);
        build.arg("--binary").arg(built.join(self.program.binary));
        build.arg("--name").arg(self.name()).arg("-o").arg(&patch);
        command::run(&mut build)?;
        Ok(patch)
    }

    /// A patch's name has letters, digits and underscores.
    fn name(&self) -> String {
        let stem = self.fix.trim_end_matches(".patch");
        let at = stem.find("CVE").unwrap_or(0);
        let legal = |letter: char| letter.is_ascii_alphanumeric();
        stem[at..]
            .replace(|letter| !legal(letter), "_")
            .to_lowercase()
    }

    /// Puts the patch into each process and takes it out again.
    fn cycle(&self, server: &Server, patch: &Path) -> Result<()> {
        for pid in server.pids() {
            self.lp_ctl(&["load".as_ref(), patch, "--allow-unsigned".as_ref()], pid)?;
        }
        for pid in server.pids() {
            self.lp_ctl(&["unload".as_ref(), self.name().as_ref()], pid)?;
        }
        Ok(())
    }

    fn lp_ctl(&self, words: &[&Path], pid: u32) -> Result<()> {
        let mut ctl = Command::new(self.lp_ctl);
        ctl.args(words).args(["--pid", &pid.to_string()]);
        command::quiet(&mut ctl)
    }
}

/// Whether a load's last words speak of a failed request (`wrk`: "Socket errors", "Non-2xx"; `redis-benchmark`: "Error").
fn is_error(said: &str) -> bool {
    ["rror", "Non-2xx"].iter().any(|word| said.contains(word))
}

//! A patch put into one process and taken out again, as often as is asked for, by one loader.
//!
//! `cycles PID PATCH COUNT`; `cargo xtask real cycles` runs it while the process is kept busy. Neither the process nor the loader may have
//! more mappings, open files or (beyond what a page or two may do) memory at the end than after the first cycles.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use lp_runtime::process::prepare::patch_file::PatchFile;
use lp_runtime::process::{Options, Process};

/// Cycles until everything has been used once.
const FIRST: usize = 20;
/// What may come and go: a page of a stack that was not used before, a page of the allocator's.
const SLACK_KIB: u64 = 256;

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let mut next = || args.next().context("cycles PID PATCH COUNT");
    let (pid, patch, count) = (next()?, next()?, next()?);
    let (pid, count): (i32, usize) = (pid.parse()?, count.parse()?);
    let patch = PatchFile::parse(&fs::read(patch)?)?;
    let process = Process::attach(pid)?;
    let ours = i32::try_from(std::process::id())?;
    let mut before = None;
    // Written to now, so that what it takes is there before it is counted.
    let mut stood = vec![Duration::MAX; 2 * count];
    stood.clear();
    let start = Instant::now();
    for number in 1..=count {
        let done = || format!("cycle {number}");
        let load = process.load(&patch, Options::default());
        stood.push(load.with_context(done)?.window);
        let unload = process.unload(&patch.manifest.name, Options::default());
        stood.push(unload.with_context(done)?.window);
        if number == FIRST.min(count) {
            before = Some((Held::by(pid)?, Held::by(ours)?));
        }
    }
    let took = start.elapsed();
    let (theirs, own) = before.context("no cycle was asked for")?;
    println!("{count} cycles in {:.1} s", took.as_secs_f64());
    stood.sort_unstable();
    let us = |at: usize| stood.get(at).map_or(0, Duration::as_micros);
    println!(
        "all threads stood for {} us in the median, {} us at worst",
        us(stood.len() / 2),
        us(stood.len() - 1)
    );
    theirs.compare("the process", Held::by(pid)?)?;
    own.compare("the loader", Held::by(ours)?)
}

/// What a process has of the machine.
struct Held {
    mappings: usize,
    files: usize,
    kib: u64,
}

impl Held {
    fn by(pid: i32) -> Result<Self> {
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = resident.and_then(|text| text.split_whitespace().next()?.parse().ok());
        Ok(Self {
            mappings: fs::read_to_string(format!("/proc/{pid}/maps"))?
                .lines()
                .count(),
            files: fs::read_dir(format!("/proc/{pid}/fd"))?.count(),
            kib: kib.context("it has no memory")?,
        })
    }

    fn compare(&self, who: &str, now: Self) -> Result<()> {
        println!(
            "{who}: mappings {} -> {}, open files {} -> {}, KiB {} -> {}",
            self.mappings, now.mappings, self.files, now.files, self.kib, now.kib
        );
        ensure!(
            now.mappings <= self.mappings && now.files <= self.files,
            "{who} has more mappings or open files than before"
        );
        ensure!(
            now.kib <= self.kib + SLACK_KIB,
            "{who} has more memory than before"
        );
        Ok(())
    }
}

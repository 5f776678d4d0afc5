//! How long a process stands still while a patch goes in and out, beside the floor: a bare stop, write and resume; how long both take
//! in all; and what a call of a patched function costs.
//!
//! `cargo xtask bench process` builds the program and the patch, and runs `process_bench PROGRAM PATCH`. The program has so many
//! threads as its first argument says, of which one works all the time, and answers `time` by nanoseconds for each call
//! of the two functions that the patch replaces. What is printed is JSON: each name with a number.

use std::hint::black_box;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use lp_runtime::process::prepare::patch_file::PatchFile;
use lp_runtime::process::read::memory::ReadMemory;
use lp_runtime::process::touch::jump::JUMP_SIZE;
use lp_runtime::process::touch::write::{WriteMemory, read_many};
use lp_runtime::process::{Done, Options, Process};
use nix::sys::ptrace;
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;

const ROUNDS: usize = 30;

const THREADS: [usize; 4] = [1, 17, 129, 513];

fn main() -> Result<()> {
    let mut args = std::env::args_os().skip(1);
    let mut path = || args.next().context("process_bench PROGRAM PATCH");
    let (program, patch) = (path()?, path()?);
    let patch = PatchFile::parse(&std::fs::read(patch)?)?;
    let mut all = Vec::new();
    for threads in THREADS {
        let target = Target::start(Path::new(&program), threads)?;
        all.extend(target.windows(threads, &patch)?);
    }
    all.extend(Target::start(Path::new(&program), 1)?.costs(&patch)?);
    println!("{}", serde_json::to_string(&all)?);
    Ok(())
}

type Number = (String, f64);

struct Target {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    pid: i32,
    /// Of code that a jump may be written over.
    address: u64,
    memory: WriteMemory,
    process: Process,
}

impl Target {
    fn start(program: &Path, threads: usize) -> Result<Self> {
        let mut child = Command::new(program)
            .arg(threads.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let pid = i32::try_from(child.id())?;
        let input = child.stdin.take().context("its input is a pipe")?;
        let output = child.stdout.take().context("its output is a pipe")?;
        let mut output = BufReader::new(output);
        let mut line = String::new();
        output.read_line(&mut line)?;
        Ok(Self {
            child,
            input,
            output,
            pid,
            address: line.trim().parse()?,
            memory: WriteMemory::open(pid)?,
            process: Process::attach(pid)?,
        })
    }

    fn load(&self, patch: &PatchFile) -> Result<Done> {
        Ok(self.process.load(patch, Options::default())?)
    }

    fn unload(&self, patch: &PatchFile) -> Result<Done> {
        let name = &patch.manifest.name;
        Ok(self.process.unload(name, Options::default())?)
    }

    fn windows(&self, threads: usize, patch: &PatchFile) -> Result<Vec<Number>> {
        // The first one makes the control area.
        self.load(patch)?;
        self.unload(patch)?;
        let mut floor = Vec::new();
        let mut loads = Vec::new();
        let mut unloads = Vec::new();
        for _ in 0..ROUNDS {
            floor.push(self.floor()?);
            loads.push(self.load(patch)?);
            unloads.push(self.unload(patch)?);
        }
        let of = |what: &str, mut times: Vec<Duration>| {
            times.sort_unstable();
            let name = format!("{threads:>3} threads, {what}");
            let us = |at: usize| times[at].as_secs_f64() * 1e6;
            [("least", 0), ("median", ROUNDS / 2), ("worst", ROUNDS - 1)]
                .map(|(which, at)| (format!("{name}, {which} us"), us(at)))
        };
        let window = |of: &[Done]| of.iter().map(|done| done.window).collect();
        let took = |of: &[Done]| of.iter().map(|done| done.took).collect();
        Ok([
            of("bare stop, write and resume", floor),
            of("load, stood", window(&loads)),
            of("unload, stood", window(&unloads)),
            of("load, in all", took(&loads)),
            of("unload, in all", took(&unloads)),
        ]
        .concat())
    }

    /// Nanoseconds for each call, before, with and after the patch.
    fn costs(mut self, patch: &PatchFile) -> Result<Vec<Number>> {
        let before = self.cost()?;
        self.load(patch)?;
        let patched = self.cost()?;
        self.unload(patch)?;
        let after = self.cost()?;
        let of = |what: &str, [nothing, little]: [f64; 2]| {
            [
                (format!("a call that does nothing, {what}, ns"), nothing),
                (format!("a call that does a little, {what}, ns"), little),
            ]
        };
        let all = [
            ("unpatched", before),
            ("patched", patched),
            ("reverted", after),
        ];
        Ok(all
            .into_iter()
            .flat_map(|(what, cost)| of(what, cost))
            .collect())
    }

    fn cost(&mut self) -> Result<[f64; 2]> {
        writeln!(self.input, "time")?;
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        let (nothing, little) = line.trim().split_once(' ').context("two numbers")?;
        Ok([nothing.parse()?, little.parse()?])
    }

    fn floor(&self) -> Result<Duration> {
        // On a thread of its own that comes before others, as ours is.
        let bare = || {
            let _ = rustix::process::setpriority_process(None, -20);
            self.bare()
        };
        let floor = std::thread::scope(|scope| scope.spawn(bare).join());
        floor.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    fn bare(&self) -> Result<Duration> {
        let mut code = [0; JUMP_SIZE];
        self.memory.read(self.address, &mut code)?;
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.pid))?;
        let tids = tasks.map(|it| Ok(Pid::from_raw(it?.file_name().to_string_lossy().parse()?)));
        let tids: Vec<Pid> = tids.collect::<Result<_>>()?;
        for tid in &tids {
            ptrace::seize(*tid, ptrace::Options::empty())?;
        }
        let start = Instant::now();
        for tid in &tids {
            ptrace::interrupt(*tid)?;
        }
        for tid in &tids {
            waitpid(*tid, Some(WaitPidFlag::__WALL))?;
        }
        for tid in &tids {
            let registers = ptrace::getregs(*tid)?;
            black_box(read_many(self.pid, &[(registers.rsp, 8 << 10)]));
        }
        self.memory
            .write_text(tids[0].as_raw(), self.address, &code)?;
        for tid in &tids {
            ptrace::detach(*tid, None)?;
        }
        Ok(start.elapsed())
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

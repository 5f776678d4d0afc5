//! How long a process stands still while a jump is written, beside the floor: a bare stop, write and resume.
//!
//! `cargo run --release -p lp-runtime --example stop_window`. The program starts itself as the target, with one thread that calls a
//! function all the time and so many that wait. `cargo xtask bench process` runs it.

use std::hint::black_box;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Barrier;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use lp_runtime::process::check::{Busy, BusyRange, Checker};
use lp_runtime::process::jump::{JUMP_SIZE, TextChange, change_text};
use lp_runtime::process::maps::Maps;
use lp_runtime::process::memory::ReadMemory;
use lp_runtime::process::threads::with_threads;
use lp_runtime::process::unwind::UnwindTables;
use lp_runtime::process::write::{WriteMemory, read_many};
use nix::sys::ptrace::{self, Options};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;

const ROUNDS: usize = 30;

const PATIENCE: Duration = Duration::from_secs(5);

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    if let Some(threads) = args.next() {
        return target(threads.parse()?);
    }
    println!(
        "threads  floor (us): least median worst    ours: least median worst    ratio of least, of medians"
    );
    for threads in [1, 17, 129, 513] {
        let target = Target::start(threads)?;
        let mut floor = measure(|| target.floor())?;
        let mut ours = measure(|| target.ours())?;
        floor.sort_unstable();
        ours.sort_unstable();
        let of = |times: &[Duration]| [0, ROUNDS / 2, ROUNDS - 1].map(|at| times[at].as_micros());
        let ([a, b, c], [d, e, f]) = (of(&floor), of(&ours));
        let ratio = |ours: u128, floor: u128| ours as f64 / floor.max(1) as f64;
        let ratios = (ratio(d, a), ratio(e, b));
        println!(
            "{threads:>7}  {a:>17} {b:>6} {c:>6}    {d:>11} {e:>6} {f:>6}    {:.2} {:.2}",
            ratios.0, ratios.1
        );
    }
    Ok(())
}

fn measure(mut once: impl FnMut() -> Result<Duration>) -> Result<Vec<Duration>> {
    (0..ROUNDS).map(|_| once()).collect()
}

/// What the target's one busy thread calls.
#[inline(never)]
extern "C" fn called(number: u64) -> u64 {
    black_box(number).wrapping_mul(3).wrapping_add(1)
}

fn target(threads: usize) -> Result<()> {
    let barrier: &Barrier = Box::leak(Box::new(Barrier::new(threads)));
    for _ in 1..threads {
        std::thread::spawn(|| {
            barrier.wait();
            loop {
                std::thread::park();
            }
        });
    }
    barrier.wait();
    println!("{}", called as extern "C" fn(u64) -> u64 as usize);
    let mut number = 1;
    loop {
        number = called(black_box(number));
    }
}

struct Target {
    child: Child,
    pid: i32,
    address: u64,
    memory: WriteMemory,
}

impl Target {
    fn start(threads: usize) -> Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg(threads.to_string())
            .stdout(Stdio::piped())
            .spawn()?;
        let pid = i32::try_from(child.id())?;
        let mut line = String::new();
        let output = child.stdout.take().context("its output is a pipe")?;
        BufReader::new(output).read_line(&mut line)?;
        Ok(Self {
            child,
            pid,
            address: line.trim().parse()?,
            memory: WriteMemory::open(pid)?,
        })
    }

    fn code(&self) -> Result<[u8; JUMP_SIZE]> {
        let mut code = [0; JUMP_SIZE];
        self.memory.read(self.address, &mut code)?;
        Ok(code)
    }

    fn floor(&self) -> Result<Duration> {
        // On a thread of its own, as ours is.
        let floor = std::thread::scope(|scope| scope.spawn(|| self.bare()).join());
        floor.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    fn bare(&self) -> Result<Duration> {
        let code = self.code()?;
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.pid))?;
        let tids = tasks.map(|it| Ok(Pid::from_raw(it?.file_name().to_string_lossy().parse()?)));
        let tids: Vec<Pid> = tids.collect::<Result<_>>()?;
        for tid in &tids {
            ptrace::seize(*tid, Options::empty())?;
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

    fn ours(&self) -> Result<Duration> {
        let code = self.code()?;
        let maps = Maps::read(self.pid)?;
        let tables = UnwindTables::read(self.pid, &maps, &self.memory);
        // Not the function that runs: then it would have to be tried again and again.
        let busy = Busy::new([BusyRange {
            range: 16..32,
            function: "none".into(),
        }]);
        let change = TextChange {
            address: self.address,
            old: code,
            new: code,
        };
        let switched = with_threads(self.pid, |threads| -> Result<Duration> {
            let mut checker = Checker::new(self.pid, &maps, &self.memory, &tables);
            threads.seize(PATIENCE)?;
            let start = Instant::now();
            threads.stop_all(PATIENCE)?;
            let in_the_way = checker.in_the_way(threads, &busy);
            let in_the_way =
                in_the_way.map_err(|(tid, errno)| anyhow::anyhow!("{tid}: {errno}"))?;
            ensure!(in_the_way.is_empty(), "{in_the_way:?}");
            change_text(&self.memory, self.pid, &[change])?;
            threads.resume_all();
            Ok(start.elapsed())
        });
        switched?
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

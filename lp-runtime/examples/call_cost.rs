//! What a call of a patched function costs: unpatched, patched, and while threads switch one by one, on either side.
//!
//! `cargo run --release -p lp-runtime --example call_cost`. The program starts itself as the target, which times calls whose arguments
//! depend on the one before; the least of many rounds counts.

use std::hint::black_box;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use lp_runtime::process::kept::area::Area;
use lp_runtime::process::per_thread::moved::{Body, Moved};
use lp_runtime::process::per_thread::trampoline::{Way, trampoline};
use lp_runtime::process::prepare::place::{Want, place};
use lp_runtime::process::read::maps::Maps;
use lp_runtime::process::read::memory::{ReadMemory, read_vec};
use lp_runtime::process::touch::jump::{JUMP_SIZE, jump};
use lp_runtime::process::touch::syscall::Gate;
use lp_runtime::process::touch::threads::with_threads;
use lp_runtime::process::touch::write::WriteMemory;
use nix::sys::ptrace;
use nix::unistd::Pid;

const CALLS: u64 = 2_000_000;
const ROUNDS: usize = 40;
const PATIENCE: Duration = Duration::from_secs(5);
/// Bytes of the function that are looked at.
const CODE: u64 = 16;
/// Offset of the trampoline in its page, whose first two bytes are the cells.
const HEAD: u64 = 64;

fn main() -> Result<()> {
    if std::env::args().nth(1).is_some() {
        return target();
    }
    let mut target = Target::start()?;
    let unpatched = target.ask()?;
    println!("unpatched                 {unpatched:.3} ns a call");
    let show =
        |what: &str, time: f64| println!("{what} {time:.3} ns a call, {:+.3}", time - unpatched);
    let page = target.plant()?;
    target.enter(page + HEAD)?;
    show("in transition, old side  ", target.ask()?);
    target.cell(page + 1)?;
    show("in transition, new side  ", target.ask()?);
    target.enter(target.other)?;
    show("patched                  ", target.ask()?);
    Ok(())
}

#[inline(never)]
extern "C" fn called(number: u64) -> u64 {
    number.wrapping_mul(5).wrapping_add(black_box(7))
}

#[inline(never)]
extern "C" fn other(number: u64) -> u64 {
    number.wrapping_mul(5).wrapping_add(black_box(9))
}

fn target() -> Result<()> {
    let address = |function: extern "C" fn(u64) -> u64| function as usize;
    println!("{} {}", address(called), address(other));
    for _ in std::io::stdin().lines() {
        let round = || {
            let start = Instant::now();
            let mut number = 1;
            for _ in 0..CALLS {
                number = called(number);
            }
            black_box(number);
            start.elapsed()
        };
        let least = (0..ROUNDS).map(|_| round()).min().unwrap_or_default();
        println!("{}", least.as_secs_f64() * 1e9 / CALLS as f64);
    }
    Ok(())
}

struct Target {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    memory: WriteMemory,
    called: u64,
    other: u64,
}

impl Target {
    fn start() -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("target");
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let input = child.stdin.take().context("no input")?;
        let mut output = BufReader::new(child.stdout.take().context("no output")?);
        let mut line = String::new();
        output.read_line(&mut line)?;
        let (called, other) = line.trim().split_once(' ').context("two addresses")?;
        Ok(Self {
            called: called.parse()?,
            other: other.parse()?,
            memory: WriteMemory::open(child.id() as i32)?,
            child,
            input,
            output,
        })
    }

    /// The time of a call, in nanoseconds.
    fn ask(&mut self) -> Result<f64> {
        writeln!(self.input)?;
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        Ok(line.trim().parse()?)
    }

    fn pid(&self) -> i32 {
        self.child.id() as i32
    }

    /// Gives the target's thread a cell on the old side, and a trampoline to the function that is not reached yet.
    fn plant(&self) -> Result<u64> {
        let (pid, memory) = (self.pid(), &self.memory);
        let maps = Maps::read(pid)?;
        let gate = Gate::find(pid, &maps, memory)?;
        let want = Want {
            object: "the target".into(),
            near: self.called..self.called + CODE,
            size: 4096,
            low: false,
        };
        let page = place(&maps, &[want])?.first().copied().context("a place")?;
        let moved = Moved::of(&Body {
            jump_at: self.called,
            parts: vec![(self.called, read_vec(memory, self.called, CODE, CODE)?)],
            memory,
            shadow_stack: false,
        })?;
        let made = trampoline(page + HEAD, Way::Original(&moved), Way::Code(self.other))?;
        with_threads(pid, |threads| -> Result<()> {
            threads.stop_all(PATIENCE)?;
            threads.mmap(gate, pid, page, 4096, Area::Text)?;
            memory.write_text(pid, page, &[0, 1])?;
            memory.write_text(pid, page + HEAD, &made.bytes)?;
            Ok(())
        })??;
        self.cell(page)?;
        Ok(page)
    }

    fn cell(&self, cell: u64) -> Result<()> {
        let pid = self.pid();
        with_threads(pid, |threads| -> Result<()> {
            threads.stop_all(PATIENCE)?;
            let mut registers = ptrace::getregs(Pid::from_raw(pid))?;
            registers.gs_base = cell;
            Ok(ptrace::setregs(Pid::from_raw(pid), registers)?)
        })?
    }

    /// Has the function's entry lead elsewhere.
    fn enter(&self, to: u64) -> Result<()> {
        let pid = self.pid();
        let bytes: [u8; JUMP_SIZE] = jump(self.called, to)?;
        with_threads(pid, |threads| -> Result<()> {
            threads.stop_all(PATIENCE)?;
            self.memory.write_text(pid, self.called, &bytes)?;
            let mut found = [0; JUMP_SIZE];
            Ok(self.memory.read(self.called, &mut found)?)
        })?
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

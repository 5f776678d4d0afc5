//! Runs QEMU: the kernel's console on one serial port, the guest's report on another, until it is off, broken or out of time.
//!
//! QEMU's stdout is the report, its stderr the console. It cannot outlive us: `setpriv` asks the kernel to kill it when this process
//! ends, however that happens; a handler for ctrl-c alone would leave it running after a crash of ours.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::arch::Arch;
use super::watch::{self, Sign};

/// After a fatal line the rest of its trace is still wanted.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// A host that is a virtual machine itself may stand still for minutes, and the guest's clock goes on: that is no stall and no lockup
/// of the guest's kernel. What really hangs there, the job's own limit tells.
const PATIENT: &str = "rcupdate.rcu_cpu_stall_timeout=300 nosoftlockup";

/// Since this one a transition changes every `cond_resched()` of the kernel while it runs (`klp_cond_resched_enable()`). An emulator
/// of several threads before QEMU 8.1 translates code without its page's lock, so that one may go on with the breakpoint that another
/// has taken away: `Oops: int3` in functions that no patch has touched. One thread for two processors does not, but takes a minute for a
/// transition, in which each waits for the other some thousand times.
const POKES_HOT_CODE: (u64, u64) = (6, 3);

/// A machine to be run.
#[derive(Debug)]
pub(crate) struct Machine {
    pub(crate) arch: Arch,
    pub(crate) kernel: PathBuf,
    /// As `uname -r` has it.
    pub(crate) release: String,
    pub(crate) initrd: PathBuf,
    /// Where the console's lines are kept.
    pub(crate) console_log: PathBuf,
    pub(crate) show_console: bool,
    pub(crate) kvm: bool,
    pub(crate) clock: Clock,
    /// Wall-clock.
    pub(crate) limit: Duration,
}

/// How the machine's time goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Clock {
    /// As ours does.
    Wall,
    /// With the instructions that its one processor runs; where that has nothing to do, straight to the next timer. So a test that
    /// waits for the kernel's own timers costs no time. Emulation only.
    Jumping,
}

/// How a run ended.
#[derive(Debug)]
pub(crate) struct End {
    /// Why it was stopped; `None` when the guest switched itself off.
    pub(crate) stopped: Option<String>,
    /// The kernel's last lines.
    pub(crate) console: Vec<String>,
    pub(crate) console_log: PathBuf,
}

enum Line {
    Console(String),
    Report(String),
}

/// Kills QEMU on every way out.
struct Guard(Child);

impl Drop for Guard {
    fn drop(&mut self) {
        // Fails only if it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Machine {
    /// Boots and waits for the end; `on_report` gets the guest's lines.
    pub(crate) fn run(&self, on_report: &mut dyn FnMut(&str)) -> Result<End> {
        let log = File::create(&self.console_log);
        let mut log = log.with_context(|| format!("create {}", self.console_log.display()))?;
        let mut command = self.command();
        let child = command
            .spawn()
            .with_context(|| format!("run {}", self.arch.qemu))?;
        let mut qemu = Guard(child);
        let lines = lines_of(&mut qemu.0)?;
        let mut deadline = Instant::now() + self.limit;
        let mut end = End {
            stopped: None,
            console: Vec::new(),
            console_log: self.console_log.clone(),
        };
        loop {
            match lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(Line::Report(line)) => on_report(&line),
                Ok(Line::Console(line)) => {
                    writeln!(log, "{line}").context("write the console's log")?;
                    if self.show_console {
                        println!("    | {line}");
                    }
                    if end.stopped.is_none() && watch::judge(&line) == Sign::Fatal {
                        end.stopped = Some(format!("the kernel is broken: {line}"));
                        deadline = Instant::now() + LAST_WORDS;
                    }
                    end.console.push(line);
                }
                Err(RecvTimeoutError::Disconnected) => return Ok(end),
                Err(RecvTimeoutError::Timeout) => {
                    let limit = self.limit.as_secs();
                    end.stopped
                        .get_or_insert_with(|| format!("out of time after {limit} s"));
                    return Ok(end);
                }
            }
        }
    }

    fn command(&self) -> Command {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--", self.arch.qemu]);
        // Strings that are fast in hardware are copied byte by byte when it is emulated: a third of the time went there.
        // Behind an emulated cmpxchg16b (QEMU 7.2) the flags are garbage, by which a kernel since 6.5 jumps (mm/slub.c).
        let (accel, processor, processors) = match (self.clock, self.kvm) {
            (Clock::Jumping, _) => ("tcg,thread=single", "max,-cx16,-erms,-fsrm", "1"),
            (Clock::Wall, true) => ("kvm", "max", "2"),
            (Clock::Wall, false) if pokes_hot_code(&self.release) => {
                ("tcg,thread=single", "max,-cx16", "1")
            }
            (Clock::Wall, false) => ("tcg,thread=multi", "max,-cx16", "2"),
        };
        if self.clock == Clock::Jumping {
            command.args(["-icount", "shift=2,sleep=off"]);
        }
        command.args([
            "-machine",
            self.arch.machine,
            "-accel",
            accel,
            "-cpu",
            processor,
            "-smp",
            processors,
            "-m",
            "768",
        ]);
        command.args([
            "-nodefaults",
            "-no-user-config",
            "-display",
            "none",
            "-monitor",
            "none",
            "-no-reboot",
        ]);
        command.args([
            "-chardev",
            "file,id=console,path=/dev/stderr",
            "-serial",
            "chardev:console",
        ]);
        command.args([
            "-chardev",
            "stdio,id=report,signal=off",
            "-serial",
            "chardev:report",
        ]);
        command
            .arg("-kernel")
            .arg(&self.kernel)
            .arg("-initrd")
            .arg(&self.initrd);
        // panic=-1: reboot at once, which `-no-reboot` turns into QEMU's end. No KASLR: traces can be compared.
        // A busy host makes the emulated timer late, which the kernel would take for a broken one.
        let append = format!(
            "console={} panic=-1 nokaslr no_timer_check rdinit=/init {PATIENT}",
            self.arch.console
        );
        command.args(["-append", &append]);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }
}

fn lines_of(qemu: &mut Child) -> Result<Receiver<Line>> {
    let (sender, lines) = mpsc::channel();
    let console = qemu.stderr.take().context("QEMU has no stderr")?;
    let report = qemu.stdout.take().context("QEMU has no stdout")?;
    forward(console, sender.clone(), Line::Console);
    forward(report, sender, Line::Report);
    Ok(lines)
}

fn forward(stream: impl Read + Send + 'static, sender: Sender<Line>, kind: fn(String) -> Line) {
    thread::spawn(move || {
        let mut stream = BufReader::new(stream);
        let mut line = Vec::new();
        while matches!(stream.read_until(b'\n', &mut line), Ok(1..)) {
            let text = String::from_utf8_lossy(&line);
            // Nobody listens any more once the run was stopped.
            if sender.send(kind(text.trim_end().to_owned())).is_err() {
                break;
            }
            line.clear();
        }
    });
}
fn pokes_hot_code(release: &str) -> bool {
    let mut numbers = release
        .split(|sign: char| !sign.is_ascii_digit())
        .map_while(|number| number.parse().ok());
    numbers
        .next()
        .zip(numbers.next())
        .is_none_or(|version| version >= POKES_HOT_CODE)
}

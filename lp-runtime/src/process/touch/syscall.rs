//! A system call made by the process for us, in one of its stopped threads.
//!
//! The thread is sent to a `syscall` instruction that is there already, in the vdso or else in any code, and stopped by the kernel
//! at both borders of the call. No code is written, nothing is put on its stack, and no trap is raised, whose signal the program might
//! block or ignore (the kernel then resets its handler). The tempting wrong ways: a poked `syscall; int3` over code that other
//! threads may run, and PTRACE_SINGLESTEP, which raises SIGTRAP.

use std::time::{Duration, Instant};

use crate::process::kept::area::Area;
use nix::errno::Errno;
use thiserror::Error;

use crate::process::read::maps::{Mapping, Maps};
use crate::process::read::memory::ReadMemory;
use crate::process::touch::ptrace::{self, Event};
use crate::process::touch::registers::{self, Registers, Saved};
use crate::process::touch::threads::task::Status;
use crate::process::touch::threads::{Pause, StopError, Threads, Tid};

const INSTRUCTION: [u8; 2] = [0x0f, 0x05];

/// A call that we make does not wait for anything.
const PATIENCE: Duration = Duration::from_secs(2);

/// `PR_SET_VMA` and `PR_SET_VMA_ANON_NAME` (include/uapi/linux/prctl.h).
const PR_SET_VMA: u64 = 0x53564d41;
const PR_SET_VMA_ANON_NAME: u64 = 0;

/// Why a process did not do something for us.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum InjectError {
    /// A filter could deny it, or kill for it.
    #[error(
        "thread {tid} is under seccomp ({}), which might kill it for a system call: \
         run lp-ctl with CAP_SYS_ADMIN, which suspends the filter", if *.mode == 1 { "strict" } else { "a filter" }
    )]
    Seccomp {
        /// The thread.
        tid: Tid,
        /// The `Seccomp` line of its `status`.
        mode: i32,
    },
    /// No thread can be used.
    #[error(
        "no thread of process {pid} can be sent elsewhere now (each ends, or is inside a restartable sequence): try again"
    )]
    NoThread {
        /// The process.
        pid: i32,
    },
    /// There is no `syscall` instruction.
    #[error("process {pid} has no system call instruction in its vdso or in any code")]
    NoInstruction {
        /// The process.
        pid: i32,
    },
    /// The call was made and failed.
    #[error("{call} in the process failed: {errno}")]
    Failed {
        /// Which call.
        call: &'static str,
        /// Its error.
        errno: Errno,
    },
    /// The thread did not come back.
    #[error("thread {tid} did not come back from what it did for us")]
    Lost {
        /// The thread.
        tid: Tid,
    },
    /// What the thread did for us raised a signal.
    #[error("what thread {tid} did for us ended at {pc:#x} by signal {signal}")]
    Crashed {
        /// The thread.
        tid: Tid,
        /// The signal: SIGSEGV and its like.
        signal: i32,
        /// Where.
        pc: u64,
    },
    /// A request failed.
    #[error("thread {tid} cannot be directed: {errno}")]
    Ptrace {
        /// The thread.
        tid: Tid,
        /// What the kernel said.
        errno: Errno,
    },
    /// The process is not what it was.
    #[error(transparent)]
    Stop(#[from] StopError),
}

/// A `syscall` instruction in the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gate(u64);

impl Gate {
    /// Finds one, in the vdso first: that is never unmapped.
    ///
    /// # Errors
    /// Where there is none.
    pub fn find(pid: i32, maps: &Maps, memory: &dyn ReadMemory) -> Result<Self, InjectError> {
        let code = |it: &&Mapping| it.perms.exec && it.perms.read;
        let vdso = |it: &&Mapping| it.path.as_os_str() == "[vdso]";
        let first = maps.iter().filter(code).filter(vdso);
        let then = maps.iter().filter(code).filter(|it| !vdso(it));
        let found = first.chain(then).find_map(|it| search(it, memory));
        found.map(Self).ok_or(InjectError::NoInstruction { pid })
    }
}

fn search(mapping: &Mapping, memory: &dyn ReadMemory) -> Option<u64> {
    const CHUNK: u64 = 64 << 10;
    let mut at = mapping.range.start;
    while at < mapping.range.end {
        let mut bytes = vec![0; (mapping.range.end - at).min(CHUNK) as usize];
        memory.read(at, &mut bytes).ok()?;
        if let Some(found) = bytes.windows(2).position(|two| two == INSTRUCTION) {
            return Some(at + found as u64);
        }
        at += CHUNK;
    }
    None
}

impl Threads {
    /// A stopped thread that can do something for us: best one that is not in a call which the kernel restarts from where it was, since
    /// it remembers that for one call alone.
    ///
    /// # Errors
    /// Where all of them are under seccomp, or none can be used at the moment.
    pub fn helper(&self, memory: &dyn ReadMemory) -> Result<Tid, InjectError> {
        let mut denied = None;
        let mut second = None;
        for tid in self.tids().filter(|tid| self.is_stopped(*tid)) {
            if !can_suspend(tid) {
                let status = Status::of_thread(self.pid(), tid);
                let mode = status.and_then(|it| it.number("Seccomp")).unwrap_or(0);
                if mode != 0 {
                    denied.get_or_insert(InjectError::Seccomp { tid, mode });
                    continue;
                }
            }
            let Ok(registers) = Registers::of(tid) else {
                continue;
            };
            if registers::in_restartable_sequence(tid, registers.pc(), memory) {
                continue;
            }
            if !registers.has_restart_block() {
                return Ok(tid);
            }
            second.get_or_insert(tid);
        }
        let none = || denied.unwrap_or(InjectError::NoThread { pid: self.pid() });
        second.ok_or_else(none)
    }

    /// A stopped thread that is only needed to be one, and makes no system call.
    ///
    /// # Errors
    /// Where none is stopped.
    pub fn a_stopped_one(&self) -> Result<Tid, InjectError> {
        let found = self.tids().find(|tid| self.is_stopped(*tid));
        found.ok_or(InjectError::NoThread { pid: self.pid() })
    }

    /// Maps anonymous memory at exactly this address.
    ///
    /// # Errors
    /// Where something is mapped there already, or the process may not.
    pub fn mmap(
        &mut self,
        gate: Gate,
        tid: Tid,
        address: u64,
        size: u64,
        area: Area,
    ) -> Result<(), InjectError> {
        // Without reserved swap space, which is rare, so that a later loader knows it again (`journal/evidence`).
        let flags = libc::MAP_PRIVATE
            | libc::MAP_ANONYMOUS
            | libc::MAP_FIXED_NOREPLACE
            | libc::MAP_NORESERVE;
        let args = [address, size, area.protection(), flags as u64, u64::MAX, 0];
        let mapped = self.syscall(gate, tid, "mmap", libc::SYS_mmap, args)?;
        if mapped == address {
            return Ok(());
        }
        // A kernel before 4.17 takes the address for a hint.
        self.munmap(gate, tid, mapped, size)?;
        Err(InjectError::Failed {
            call: "mmap",
            errno: Errno::EEXIST,
        })
    }

    /// Unmaps.
    ///
    /// # Errors
    /// Where the process may not.
    pub fn munmap(
        &mut self,
        gate: Gate,
        tid: Tid,
        address: u64,
        size: u64,
    ) -> Result<(), InjectError> {
        let args = [address, size, 0, 0, 0, 0];
        self.syscall(gate, tid, "munmap", libc::SYS_munmap, args)
            .map(drop)
    }

    /// Gives an anonymous mapping a name, which `/proc/PID/maps` shows as `[anon:NAME]`. The name is read from
    /// `name_at` in the process, zero-terminated. Kernels before 5.17, and those without CONFIG_ANON_VMA_NAME, refuse.
    ///
    /// # Errors
    /// Where the kernel has no such names.
    pub fn name_mapping(
        &mut self,
        gate: Gate,
        tid: Tid,
        (address, size): (u64, u64),
        name_at: u64,
    ) -> Result<(), InjectError> {
        let args = [PR_SET_VMA, PR_SET_VMA_ANON_NAME, address, size, name_at, 0];
        self.syscall(gate, tid, "prctl", libc::SYS_prctl, args)
            .map(drop)
    }

    /// Makes a system call in a stopped thread.
    ///
    /// # Errors
    /// When the call fails, and when the thread cannot be directed.
    pub fn syscall(
        &mut self,
        gate: Gate,
        tid: Tid,
        call: &'static str,
        number: libc::c_long,
        args: [u64; 6],
    ) -> Result<u64, InjectError> {
        let failed = |errno| InjectError::Ptrace { tid, errno };
        let suspended = ptrace::suspend_seccomp(tid, true).is_ok();
        let saved = Saved::for_syscall(tid).map_err(failed)?;
        let mut registers = saved.elsewhere(gate.0);
        registers.rax = number as u64;
        [
            registers.rdi,
            registers.rsi,
            registers.rdx,
            registers.r10,
            registers.r8,
            registers.r9,
        ] = args;
        let answer = ptrace::set_registers(tid, &registers)
            .map_err(failed)
            .and_then(|()| self.through_syscall(tid, gate.0, Instant::now() + PATIENCE));
        let back = match answer {
            Ok(_) => Ok(()),
            Err(_) => self.bring_to_the_border(tid, Instant::now() + PATIENCE),
        };
        let restored = saved.restore().map_err(failed);
        if suspended {
            ptrace::suspend_seccomp(tid, false).map_err(failed)?;
        }
        let answer = answer?;
        back.and(restored)?;
        match answer as i64 {
            error @ -4095..0 => Err(InjectError::Failed {
                call,
                errno: Errno::from_raw(-error as i32),
            }),
            _ => Ok(answer),
        }
    }

    /// Lets a thread run until it has made the system call at `gate`, and gives its result. It then stands at the border to user
    /// space: it was told so in the call, which saves a stop at the call's end.
    fn through_syscall(
        &mut self,
        tid: Tid,
        gate: u64,
        deadline: Instant,
    ) -> Result<u64, InjectError> {
        let failed = |errno| InjectError::Ptrace { tid, errno };
        self.until_syscall(tid, gate, deadline)?;
        ptrace::interrupt(tid).map_err(failed)?;
        ptrace::resume(tid, 0).map_err(failed)?;
        self.until_the_border(tid, deadline)?;
        let registers = ptrace::registers(tid).map_err(failed)?;
        if registers.rip == gate + INSTRUCTION.len() as u64 {
            Ok(registers.rax)
        } else {
            Err(InjectError::Lost { tid })
        }
    }

    /// Lets a thread run to the next border of the system call at `gate`; gives `rax`.
    pub(crate) fn until_syscall(
        &mut self,
        tid: Tid,
        gate: u64,
        deadline: Instant,
    ) -> Result<u64, InjectError> {
        let failed = |errno| InjectError::Ptrace { tid, errno };
        let mut signal = 0;
        loop {
            ptrace::resume_to_syscall(tid, signal).map_err(failed)?;
            signal = 0;
            match self.next_event(tid, deadline)? {
                Event::Syscall => {
                    let registers = ptrace::registers(tid).map_err(failed)?;
                    if registers.rip == gate + INSTRUCTION.len() as u64 {
                        return Ok(registers.rax);
                    }
                }
                Event::Signal(it) if registers::is_fault(it) => {
                    let pc = ptrace::registers(tid).map_err(failed)?.rip;
                    return Err(InjectError::Crashed {
                        tid,
                        signal: it,
                        pc,
                    });
                }
                // All others are blocked but SIGSTOP, which takes hold when the thread is let go.
                Event::Signal(it) => signal = it,
                Event::Stop { .. } | Event::Made(_) | Event::Other => {}
                Event::Exec | Event::Gone => return Err(InjectError::Lost { tid }),
            }
        }
    }

    /// Brings a thread from wherever it stopped, or from its run, to the border to user space.
    pub(crate) fn bring_to_the_border(
        &mut self,
        tid: Tid,
        deadline: Instant,
    ) -> Result<(), InjectError> {
        let failed = |errno| InjectError::Ptrace { tid, errno };
        if ptrace::poll(tid).map_err(failed)?.is_none() {
            ptrace::interrupt(tid).map_err(failed)?;
        }
        self.until_the_border(tid, deadline)
    }

    /// Waits until a thread that was told to stop stands at the border to user space.
    fn until_the_border(&mut self, tid: Tid, deadline: Instant) -> Result<(), InjectError> {
        let failed = |errno| InjectError::Ptrace { tid, errno };
        loop {
            match self.next_event(tid, deadline)? {
                Event::Stop { .. } => return Ok(()),
                Event::Gone | Event::Exec => return Err(InjectError::Lost { tid }),
                Event::Signal(signal) => {
                    ptrace::interrupt(tid).map_err(failed)?;
                    let pass = if registers::is_fault(signal) {
                        0
                    } else {
                        signal
                    };
                    ptrace::resume(tid, pass).map_err(failed)?;
                }
                Event::Syscall | Event::Made(_) | Event::Other => {
                    ptrace::interrupt(tid).map_err(failed)?;
                    ptrace::resume(tid, 0).map_err(failed)?;
                }
            }
        }
    }

    /// Waits for what a thread does next, and answers for those others that run.
    fn next_event(&mut self, tid: Tid, deadline: Instant) -> Result<Event, InjectError> {
        let mut pause = Pause::default();
        loop {
            match ptrace::poll(tid) {
                Ok(Some(event)) => {
                    if let Event::Made(made) = event {
                        self.adopt(made);
                    }
                    return Ok(event);
                }
                Ok(None) if Instant::now() > deadline => return Err(InjectError::Lost { tid }),
                Ok(None) => {
                    pause.rest();
                    self.take_events(false)?;
                }
                Err(errno) => return Err(InjectError::Ptrace { tid, errno }),
            }
        }
    }
}

/// Whether we may take a thread's filters away for the time of a call. It is tried, and undone.
fn can_suspend(tid: Tid) -> bool {
    ptrace::suspend_seccomp(tid, true).is_ok() && ptrace::suspend_seccomp(tid, false).is_ok()
}

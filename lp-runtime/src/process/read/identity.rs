//! Which process a number means.
//!
//! A pid is used again once its process is gone; with the time at which the process started (`/proc/PID/stat`, field 22, in clock
//! ticks since the machine started) it is not. Both are read at the beginning and again before anything is done.

use serde::{Deserialize, Serialize};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use thiserror::Error;

/// `e_machine` of x86-64.
const EM_X86_64: u16 = 62;
/// Flag of a task that the kernel made for itself (`include/linux/sched.h`).
const PF_KTHREAD: u64 = 0x0020_0000;

/// A process, and not another one that has its number later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Identity {
    /// Its number.
    pub pid: i32,
    /// When it started, in clock ticks since the machine did.
    pub start_time: u64,
}

/// Why a process cannot be a target.
#[derive(Debug, Error)]
pub enum IdentityError {
    /// There is none of this number.
    #[error("there is no process {0}")]
    Gone(i32),
    /// Another process has its number now.
    #[error("process {0} has ended, and another one has its number now")]
    Reused(i32),
    /// It has ended, and its parent does not know yet.
    #[error("process {0} has ended: it is a zombie")]
    Zombie(i32),
    /// A kernel thread has no memory of its own.
    #[error("process {0} is a thread of the kernel: patch the kernel instead")]
    KernelThread(i32),
    /// The kernel does not let us look.
    #[error(
        "process {pid} cannot be looked at: {source}; it takes the right to trace it (same user, or CAP_SYS_PTRACE)"
    )]
    Denied {
        /// The process.
        pid: i32,
        /// What the kernel said.
        source: io::Error,
    },
    /// A program for another processor, or 32-bit.
    #[error(
        "process {pid} runs a program for another architecture ({found}): only x86-64 can be patched"
    )]
    Architecture {
        /// The process.
        pid: i32,
        /// What its ELF header says.
        found: String,
    },
}

/// What is known of a process without looking into its memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    /// Which one.
    pub identity: Identity,
    /// Its executable, as the process saw it.
    pub exe: PathBuf,
    /// Its effective user.
    pub uid: u32,
}

impl Identity {
    /// The process that has this number now.
    ///
    /// # Errors
    /// Where there is none that lives.
    pub fn of(pid: i32) -> Result<Self, IdentityError> {
        let stat = std::fs::read(format!("/proc/{pid}/stat"));
        let stat = stat.map_err(|source| failed(pid, source))?;
        let stat = parse_stat(&stat).ok_or(IdentityError::Gone(pid))?;
        if matches!(stat.state, b'Z' | b'X') {
            return Err(IdentityError::Zombie(pid));
        }
        let start_time = stat.start_time;
        Ok(Self { pid, start_time })
    }

    /// Whether the number still means this process.
    ///
    /// # Errors
    /// Where it does not.
    pub fn check(self) -> Result<(), IdentityError> {
        if Self::of(self.pid)? == self {
            Ok(())
        } else {
            Err(IdentityError::Reused(self.pid))
        }
    }

    /// More about it, when it is a process that could be patched.
    ///
    /// # Errors
    /// Where it is none, or we may not look.
    pub fn about(self) -> Result<About, IdentityError> {
        let pid = self.pid;
        let folder = PathBuf::from(format!("/proc/{pid}"));
        let link = folder.join("exe");
        let exe = std::fs::read_link(&link).map_err(|source| match source.kind() {
            // A kernel thread's link leads nowhere, though the process is there; so does that of one that is ending.
            io::ErrorKind::NotFound if is_kernel_thread(pid) => IdentityError::KernelThread(pid),
            _ => failed(pid, source),
        });
        let exe = exe?;
        check_architecture(pid, &link)?;
        let uid = folder.metadata().map_err(|source| failed(pid, source))?;
        self.check()?;
        Ok(About {
            identity: self,
            exe,
            uid: uid.uid(),
        })
    }
}

fn check_architecture(pid: i32, exe: &std::path::Path) -> Result<(), IdentityError> {
    use std::io::Read;
    let mut head = Vec::new();
    let file = std::fs::File::open(exe).map_err(|source| failed(pid, source))?;
    let read = file.take(20).read_to_end(&mut head);
    read.map_err(|source| failed(pid, source))?;
    let wrong = |found: String| IdentityError::Architecture { pid, found };
    let &[0x7f, b'E', b'L', b'F', class, data, .., low, high] = head.as_slice() else {
        return Err(wrong("no ELF file".into()));
    };
    let machine = u16::from_le_bytes([low, high]);
    if (class, data, machine) != (2, 1, EM_X86_64) {
        return Err(wrong(format!(
            "ELF class {class}, data {data}, machine {machine}"
        )));
    }
    Ok(())
}

fn failed(pid: i32, source: io::Error) -> IdentityError {
    match source.kind() {
        io::ErrorKind::NotFound => IdentityError::Gone(pid),
        _ if source.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error()) => {
            IdentityError::Gone(pid)
        }
        _ => IdentityError::Denied { pid, source },
    }
}

/// Whether it has no memory since it never had any.
pub(in crate::process) fn is_kernel_thread(pid: i32) -> bool {
    let stat = std::fs::read(format!("/proc/{pid}/stat")).unwrap_or_default();
    parse_stat(&stat).is_some_and(|stat| stat.flags & PF_KTHREAD != 0)
}

/// What `/proc/PID/stat` says.
struct Stat {
    state: u8,
    flags: u64,
    start_time: u64,
}

/// The name in parentheses may hold anything, parentheses too: fields count from the last one.
fn parse_stat(stat: &[u8]) -> Option<Stat> {
    let end = stat.iter().rposition(|byte| *byte == b')')?;
    let rest = std::str::from_utf8(stat.get(end + 1..)?).ok()?;
    let mut fields = rest.split_ascii_whitespace();
    // The state is field 3, the flags are field 9, the start time is field 22.
    Some(Stat {
        state: fields.next()?.bytes().next()?,
        flags: fields.nth(5)?.parse().ok()?,
        start_time: fields.nth(12)?.parse().ok()?,
    })
}

//! Why a process cannot be traced, and why its threads cannot be stopped.

use nix::errno::Errno;
use thiserror::Error;

use super::Tid;
use super::denied::Denial;
use super::task::Sluggish;

/// Why the threads of a process cannot be seized.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SeizeError {
    /// There is none of this number.
    #[error("there is no process {pid}")]
    NoSuchProcess {
        /// The number.
        pid: i32,
    },
    /// The number is that of a thread.
    #[error("{tid} is a thread of process {pid}: name the process")]
    NotAProcess {
        /// The number.
        tid: Tid,
        /// The process that it belongs to.
        pid: i32,
    },
    /// It has ended.
    #[error("process {pid} has ended: it is a zombie")]
    Zombie {
        /// The process.
        pid: i32,
    },
    /// It has no memory of its own.
    #[error("process {pid} is a thread of the kernel: patch the kernel instead")]
    KernelThread {
        /// The process.
        pid: i32,
    },
    /// A process cannot stop itself and go on.
    #[error("process {pid} is this one: a process cannot patch itself, start lp-ctl beside it")]
    Ourselves {
        /// The process.
        pid: i32,
    },
    /// A debugger, or another loader, has it.
    #[error(
        "process {pid} is traced by process {tracer} ({name}) already: wait until that lets go"
    )]
    AlreadyTraced {
        /// The process.
        pid: i32,
        /// Who traces it.
        tracer: i32,
        /// Its name.
        name: String,
    },
    /// The kernel does not let us.
    #[error("process {pid} may not be traced: {why}")]
    NotPermitted {
        /// The process.
        pid: i32,
        /// The likely reason.
        why: Denial,
    },
    /// Stopping its threads would not stop all who run its code.
    #[error(
        "process {other} shares the memory of process {pid} (clone with CLONE_VM, or vfork): it would run code that is being written; \
         try again when it has ended"
    )]
    SharedMemory {
        /// The process.
        pid: i32,
        /// The other one.
        other: i32,
    },
    /// Something else.
    #[error("thread {tid} cannot be traced: {errno}")]
    Other {
        /// The thread.
        tid: Tid,
        /// What the kernel said.
        errno: Errno,
    },
}

/// Why the threads did not all stop.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StopError {
    /// One did not in time.
    #[error("{0}")]
    Timeout(Sluggish),
    /// There is nobody left.
    #[error("process {pid} ended")]
    Ended {
        /// The process.
        pid: i32,
    },
    /// It is another program now.
    #[error("process {pid} became another program (execve)")]
    Exec {
        /// The process.
        pid: i32,
    },
    /// A thread that appeared cannot be traced.
    #[error(transparent)]
    Seize(SeizeError),
    /// Waiting failed.
    #[error("thread {tid} cannot be waited for: {errno}")]
    Wait {
        /// The thread.
        tid: Tid,
        /// What the kernel said.
        errno: Errno,
    },
}

impl StopError {
    /// Whether it may be better soon: a thread waits for a disk, or for a vfork child.
    pub(crate) fn may_pass(&self) -> bool {
        matches!(
            self,
            Self::Timeout(_) | Self::Seize(SeizeError::SharedMemory { .. })
        )
    }
}

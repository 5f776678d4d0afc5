//! Why the kernel did not let us trace: it says EPERM and no more, so the likely reason is found by looking
//! (`__ptrace_may_access`, kernel/ptrace.c).

use std::fmt;
use std::fs;
use std::os::unix::fs::MetadataExt;

use nix::errno::Errno;
use rustix::process::geteuid;

use super::Tid;
use super::error::SeizeError;
use super::task::{self, Status};

/// The likely reason for an EPERM.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Denial {
    /// It runs as somebody else.
    OtherUser {
        /// Its user.
        theirs: u32,
        /// Ours.
        ours: u32,
    },
    /// Yama lets no one trace but parents, or no one at all.
    Yama {
        /// `/proc/sys/kernel/yama/ptrace_scope`.
        scope: u32,
    },
    /// It asked not to be looked into, or changed its user or runs a program that may not be read.
    NotDumpable,
    /// A security module, a user namespace, capabilities that we lack.
    Unknown,
}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OtherUser { theirs, ours } => write!(
                f,
                "it runs as user {theirs} and we as {ours}; run lp-ctl as that user, or with CAP_SYS_PTRACE"
            ),
            Self::Yama { scope } => write!(
                f,
                "Yama forbids it (kernel.yama.ptrace_scope is {scope}); run lp-ctl with CAP_SYS_PTRACE"
            ),
            Self::NotDumpable => f.write_str(
                "it is not dumpable (prctl(PR_SET_DUMPABLE), a set-user-id program, or one that may not be read); \
                 run lp-ctl with CAP_SYS_PTRACE",
            ),
            Self::Unknown => f.write_str(
                "a security module, a user namespace or a missing capability forbids it; run lp-ctl with CAP_SYS_PTRACE",
            ),
        }
    }
}

pub(super) fn explain(pid: i32, tid: Tid, errno: Errno) -> SeizeError {
    if errno != Errno::EPERM && errno != Errno::EACCES {
        return SeizeError::Other { tid, errno };
    }
    let status = Status::of_thread(pid, tid);
    let number = |key| status.as_ref().and_then(|it| it.number(key));
    if let Some(tracer) = number("TracerPid").filter(|it| *it != 0) {
        return task::already_traced(pid, tracer);
    }
    let theirs = number("Uid").and_then(|it| u32::try_from(it).ok());
    SeizeError::NotPermitted {
        pid,
        why: reason(pid, theirs),
    }
}

fn reason(pid: i32, theirs: Option<u32>) -> Denial {
    let ours = geteuid().as_raw();
    if let Some(theirs) = theirs.filter(|it| *it != ours) {
        return Denial::OtherUser { theirs, ours };
    }
    // The folder of a process that is not dumpable belongs to root.
    let owner = fs::metadata(format!("/proc/{pid}")).map(|it| it.uid());
    if owner.is_ok_and(|owner| Some(owner) != theirs) {
        return Denial::NotDumpable;
    }
    let scope = fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope");
    match scope.ok().and_then(|it| it.trim().parse().ok()) {
        Some(scope) if scope > 0 => Denial::Yama { scope },
        _ => Denial::Unknown,
    }
}

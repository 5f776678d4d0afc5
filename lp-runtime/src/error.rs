//! What can go wrong with a live target.
//!
//! Two layers: the outer says what was being done to which patch, the inner what the kernel answered (errno and log). The
//! message is one line; [`Error::kernel_log`] and [`Error::advice`] carry what a person needs besides it.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use rustix::io::Errno;
use thiserror::Error;

use crate::kernel::advice::{Operation, advice, errno_name};
use crate::kernel::{Direction, Host, Task};

/// Why an operation on a live target did not succeed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// The kernel was asked and said no.
    #[error("{0}")]
    Refused(Box<Refusal>),
    /// Time is up and tasks are left.
    #[error("{0}")]
    Stalled(Box<Stall>),
    /// The transition ended on the other side.
    #[error("{name}: someone reversed the transition while it was {}", going(*.direction))]
    Reversed {
        /// The patch.
        name: String,
        /// Where it was going.
        direction: Direction,
    },
    /// There is no patch of that name.
    #[error("{name}: no such patch is installed{}", if *.loaded { ", though its module is still loaded" } else { "" })]
    NotInstalled {
        /// The name asked for.
        name: String,
        /// A module of that name is loaded: the patch was disabled or replaced.
        loaded: bool,
    },
    /// It cannot be unloaded yet.
    #[error("{name}: the patch is still {}", if *.enabled { "enabled" } else { "in transition" })]
    StillInstalled {
        /// The patch.
        name: String,
        /// Enabled, otherwise being disabled.
        enabled: bool,
    },
    /// There is nothing to force.
    #[error("{name}: the patch is not in transition, there is nothing to force")]
    NoTransition {
        /// The patch.
        name: String,
    },
    /// The kernel has no livepatching.
    #[error("{}: not there, so this kernel cannot be livepatched", .path.display())]
    NoLivepatchSupport {
        /// The folder that should be there.
        path: PathBuf,
    },
    /// A kernel module, but not a patch.
    #[error("{}: a kernel module, but not a livepatch (its .modinfo has no `livepatch=Y`)", .file.display())]
    NotALivepatch {
        /// The module file.
        file: PathBuf,
    },
    /// A patch for another kernel.
    #[error("{}: built for {built_for}, but {running} is running", .file.display())]
    OtherKernel {
        /// The patch module.
        file: PathBuf,
        /// The release in its vermagic.
        built_for: String,
        /// The kernel's.
        running: String,
    },
    /// Not a kernel module.
    #[error("{}: {why}", .file.display())]
    BadModule {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// Not a module name.
    #[error("`{name}` is no patch name: {why}")]
    BadName {
        /// As given.
        name: String,
        /// The rule it breaks.
        why: &'static str,
    },
    /// A file of the kernel has something else than a number in it.
    #[error("{}: expected a number, found `{text}`", .path.display())]
    BadAttribute {
        /// The file.
        path: PathBuf,
        /// Its text.
        text: String,
    },
    /// A file could not be read or written.
    #[error("{}: {source}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// The kernel's answer to an operation that it refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What was asked.
    pub operation: Operation,
    /// The file or patch it was asked for.
    pub subject: String,
    /// What the system call returned.
    pub errno: Errno,
    /// The lines of the kernel's log about it.
    pub log: Vec<String>,
    /// What to do.
    pub advice: Option<String>,
}

impl Refusal {
    pub(crate) fn new(
        host: &Host,
        operation: Operation,
        subject: &str,
        errno: Errno,
        log: Vec<String>,
    ) -> Self {
        let advice = advice(operation, errno, &log, host.release().as_deref());
        Self {
            operation,
            subject: subject.to_owned(),
            errno,
            log,
            advice,
        }
    }

    /// The errno's name, such as `EINVAL`.
    pub fn errno_name(&self) -> &'static str {
        errno_name(self.errno)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The standard library adds the errno's number, which says less than its name.
        let text = io::Error::from(self.errno).to_string();
        let text = text.split(" (os error").next().unwrap_or_default();
        write!(
            f,
            "the kernel refused to {} {}: {text} ({})",
            self.operation.verb(),
            self.subject,
            self.errno_name()
        )
    }
}

/// A transition that did not end in time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stall {
    /// The patch.
    pub name: String,
    /// Where it goes.
    pub direction: Direction,
    /// For how long.
    pub waited: Duration,
    /// Who has not switched.
    pub tasks: Vec<Task>,
}

impl fmt::Display for Stall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, seconds, left) = (&self.name, self.waited.as_secs_f64(), self.tasks.len());
        let going = going(self.direction);
        write!(
            f,
            "{name}: still {going} after {seconds:.1} s, {left} task{} left",
            if left == 1 { "" } else { "s" }
        )
    }
}

impl Error {
    /// The kernel decided this, as opposed to a mistake in the call: a refusal, or a transition that does not end.
    pub fn is_the_kernels(&self) -> bool {
        matches!(
            self,
            Error::Refused(_) | Error::Stalled(_) | Error::Reversed { .. }
        )
    }

    /// The lines of the kernel's log that go with it.
    pub fn kernel_log(&self) -> &[String] {
        match self {
            Error::Refused(refusal) => &refusal.log,
            _ => &[],
        }
    }

    /// The tasks that hold a transition up.
    pub fn tasks(&self) -> &[Task] {
        match self {
            Error::Stalled(stall) => &stall.tasks,
            _ => &[],
        }
    }

    /// What to do about it.
    pub fn advice(&self) -> Option<String> {
        match self {
            Error::Refused(refusal) => refusal.advice.clone(),
            Error::Stalled(stall) => Some(stall_advice(stall)),
            Error::NotInstalled { loaded: true, name } => Some(format!(
                "the kernel cannot enable a patch again once it is disabled; `lp-ctl unload {name}`, then load its file"
            )),
            Error::NotInstalled { loaded: false, .. } => {
                Some("`lp-ctl list` shows what is installed".into())
            }
            Error::StillInstalled {
                enabled: true,
                name,
            } => Some(format!("`lp-ctl disable {name}` first")),
            Error::StillInstalled {
                enabled: false,
                name,
            } => Some(format!(
                "wait until it has ended, see `lp-ctl status {name}`"
            )),
            Error::OtherKernel { running, .. } => Some(format!("build the patch for {running}")),
            Error::NoLivepatchSupport { .. } => {
                Some("it needs a kernel built with CONFIG_LIVEPATCH, and /sys mounted".into())
            }
            _ => None,
        }
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        Error::Refused(Box::new(refusal))
    }
}

fn going(direction: Direction) -> &'static str {
    match direction {
        Direction::Patching => "being enabled",
        Direction::Unpatching => "being disabled",
    }
}

fn stall_advice(stall: &Stall) -> String {
    let (name, back) = match stall.direction {
        Direction::Patching => (&stall.name, "disable"),
        Direction::Unpatching => (&stall.name, "enable"),
    };
    format!(
        "the kernel goes on trying, see `lp-ctl status {name}`; `lp-ctl {back} {name}` turns it back; stopping or waking \
         the tasks named lets it end"
    )
}

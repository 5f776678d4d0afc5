//! What can go wrong with a process, in the order in which it is found out.

use std::time::Duration;

use lp_klp::errno::Errno;
use lp_klp::state::Incompatible;
use thiserror::Error;

use super::per_thread::moved::MoveRefusal;
use crate::process::kept::control::ControlError;
use crate::process::kept::journal::TransactionError;
use crate::process::late::watch::WatchError;
use crate::process::prepare::patch_file::PatchError;
use crate::process::prepare::place::NoPlace;
use crate::process::prepare::plan::Refusal;
use crate::process::read::identity::IdentityError;
use crate::process::read::images::ImagesError;
use crate::process::read::maps::MapsError;
use crate::process::read::memory::MemoryError;
use crate::process::touch::check::BusyThread;
use crate::process::touch::syscall::InjectError;
use crate::process::touch::threads::{SeizeError, StopError};
use crate::process::touch::write::WriteError;

/// Why something was not done to a process.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ProcessError {
    /// The process cannot be a target.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// Its mappings.
    #[error(transparent)]
    Maps(#[from] MapsError),
    /// Its memory.
    #[error(transparent)]
    Memory(#[from] MemoryError),
    /// Its memory cannot be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// Its objects.
    #[error(transparent)]
    Images(#[from] ImagesError),
    /// The patch file.
    #[error(transparent)]
    Patch(#[from] PatchError),
    /// The control area.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// A patch of the same name.
    #[error(
        "patch {name} is in the process already{}", if *.enabled { "" } else { ", replaced by a later one: unload it first" }
    )]
    Installed {
        /// The name.
        name: String,
        /// In use, or replaced.
        enabled: bool,
    },
    /// There is no patch of that name.
    #[error("there is no patch {name} in the process")]
    NotInstalled {
        /// The name.
        name: String,
    },
    /// The states do not fit.
    #[error("patch {name} does not suit what is installed: {}", list(reasons))]
    Incompatible {
        /// The patch.
        name: String,
        /// All of them.
        reasons: Vec<Incompatible>,
    },
    /// Nothing of the process would be patched.
    #[error(
        "it has none of the objects of patch {name} ({}): is it the right process? With --late the patch waits for them",
        objects.join(", ")
    )]
    NothingHere {
        /// The patch.
        name: String,
        /// Its objects' files.
        objects: Vec<String>,
    },
    /// The patch cannot go into this process.
    #[error("{}", list(.0))]
    Refused(Vec<Refusal>),
    /// There is no room.
    #[error(transparent)]
    Place(#[from] NoPlace),
    /// The process cannot be traced.
    #[error(transparent)]
    Seize(#[from] SeizeError),
    /// It cannot be stopped.
    #[error(transparent)]
    Stop(#[from] StopError),
    /// A thread cannot do something for us.
    #[error(transparent)]
    Inject(#[from] InjectError),
    /// A change of the process failed; it is as it was.
    #[error(transparent)]
    Transaction(#[from] TransactionError),
    /// Threads stayed inside what changes.
    #[error(
        "patch {name}: after {:.1} s threads are still inside code that changes, and all is as it was: {}",
        after.as_secs_f64(),
        list(threads)
    )]
    Busy {
        /// The patch.
        name: String,
        /// How long it was tried.
        after: Duration,
        /// Who was in the way at last.
        threads: Vec<BusyThread>,
    },
    /// Threads are left that have not switched; those that have stay so.
    #[error(
        "patch {name}: still being {} after {:.1} s, {} left: {}\n  those that have switched stay so: `lp-ctl {} {name} --pid` goes on, \
         `lp-ctl {} {name} --pid` turns it back, `lp-ctl status --pid` shows who is left",
        if *.patched { "enabled" } else { "disabled" },
        after.as_secs_f64(),
        count(threads.len()),
        list(threads),
        if *.patched { "enable" } else { "disable" },
        if *.patched { "disable" } else { "enable" },
    )]
    Stalled {
        /// The patch.
        name: String,
        /// Whether threads go to it.
        patched: bool,
        /// How long it was tried.
        after: Duration,
        /// Who is left.
        threads: Vec<BusyThread>,
    },
    /// Threads go to or from a patch one by one.
    #[error(
        "patch {name} is still being {}, thread by thread: `lp-ctl enable {name} --pid` or `lp-ctl disable {name} --pid` brings it to an \
         end first",
        if *.patched { "enabled" } else { "disabled" }
    )]
    InTransition {
        /// The patch.
        name: String,
        /// Whether threads go to it.
        patched: bool,
    },
    /// There is nothing to go on with, to turn back or to force.
    #[error("patch {name} is not in transition")]
    NoTransition {
        /// The patch.
        name: String,
    },
    /// Its memory must stay.
    #[error(
        "patch {name} was left by force: a thread may still be inside its code, so its memory stays until the process ends"
    )]
    Forced {
        /// The patch.
        name: String,
    },
    /// The threads' cells have no place.
    #[error(
        "thread {tid} uses its gs register (base {base:#x}), which switching thread by thread needs: load the patch without \
         `--consistency per-thread`"
    )]
    GsInUse {
        /// The thread.
        tid: i32,
        /// Where it points.
        base: u64,
    },
    /// Old code cannot be called under a jump.
    #[error("{}", list(.0))]
    CannotMove(Vec<Immovable>),
    /// It is out of use, and threads stayed inside its code.
    #[error(
        "patch {name} is out of use, but after {:.1} s threads are still inside its code, so its memory stays: unload it again \
         later: {}",
        after.as_secs_f64(),
        list(threads)
    )]
    StillInside {
        /// The patch.
        name: String,
        /// How long it was tried.
        after: Duration,
        /// Who was inside at last.
        threads: Vec<BusyThread>,
    },
    /// Something failed, and what had been done could not be undone at once.
    #[error("{failure}; it could not be undone yet ({undoing}): the next load or unload does it")]
    NotUndone {
        /// What failed.
        failure: Box<Self>,
        /// Why the process is not as it was.
        undoing: Box<Self>,
    },
    /// The patch's own code said no.
    #[error("patch {name}: its pre_patch said no ({errno}); all is as it was")]
    Veto {
        /// The patch.
        name: String,
        /// What it answered.
        errno: Errno,
    },
    /// It cannot be watched.
    #[error(transparent)]
    Watch(#[from] WatchError),
    /// Another loader is at it.
    #[error("another lp-ctl is at process {pid}: try again when it has done")]
    Locked {
        /// The process.
        pid: i32,
    },
    /// An object came later, and what is to be put in is not at hand.
    #[error(
        "patch {name}: its file is not kept in the process, or is damaged there: unload the patch and load it again"
    )]
    NoFile {
        /// The patch.
        name: String,
    },
    /// The livepatch core said no.
    #[error("patch {name}: {errno}")]
    Core {
        /// The patch.
        name: String,
        /// Its error.
        errno: Errno,
    },
}

/// A function whose old code cannot be called while a jump lies over its entry.
#[derive(Debug, Error)]
#[error(
    "{function}: threads cannot switch one by one, since its first instructions cannot be moved: {error}; load the patch without \
     `--consistency per-thread`"
)]
pub struct Immovable {
    /// The function.
    pub function: String,
    /// Why.
    pub error: MoveRefusal,
}

fn count(threads: usize) -> String {
    match threads {
        1 => "1 thread".into(),
        _ => format!("{threads} threads"),
    }
}

/// Reasons, one a line where there are several.
fn list<T: std::fmt::Display>(reasons: &[T]) -> String {
    let reasons: Vec<String> = reasons.iter().map(ToString::to_string).collect();
    match reasons.as_slice() {
        [one] => one.clone(),
        all => all.iter().map(|one| format!("\n  {one}")).collect(),
    }
}

impl ProcessError {
    /// Whether the process or the patch was looked at and the answer is no, rather than that something did not work.
    pub fn is_refusal(&self) -> bool {
        matches!(
            self,
            Self::Installed { .. }
                | Self::Incompatible { .. }
                | Self::Refused(_)
                | Self::Place(_)
                | Self::Busy { .. }
                | Self::StillInside { .. }
                | Self::Stalled { .. }
                | Self::InTransition { .. }
                | Self::NoTransition { .. }
                | Self::Forced { .. }
                | Self::GsInUse { .. }
                | Self::CannotMove(_)
                | Self::Veto { .. }
                | Self::NoFile { .. }
                | Self::NothingHere { .. }
                | Self::Watch(_)
                | Self::Core { .. }
        )
    }
}

//! What can go wrong with a process, in the order in which it is found out.

use std::time::Duration;

use lp_klp::errno::Errno;
use lp_klp::state::Incompatible;
use thiserror::Error;

use super::check::BusyThread;
use super::control::ControlError;
use super::identity::IdentityError;
use super::images::ImagesError;
use super::journal::TransactionError;
use super::maps::MapsError;
use super::memory::MemoryError;
use super::patch_file::PatchError;
use super::place::NoPlace;
use super::plan::Refusal;
use super::syscall::InjectError;
use super::threads::{SeizeError, StopError};

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
    /// Others are on top of it.
    #[error("patch {name} is below {above}, which was loaded later: unload that first")]
    Below {
        /// The patch.
        name: String,
        /// The newest one.
        above: String,
    },
    /// The states do not fit.
    #[error("patch {name} does not suit what is installed: {}", list(reasons))]
    Incompatible {
        /// The patch.
        name: String,
        /// All of them.
        reasons: Vec<Incompatible>,
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
    /// The patch's own code said no.
    #[error("patch {name}: its pre_patch said no ({errno}); all is as it was")]
    Veto {
        /// The patch.
        name: String,
        /// What it answered.
        errno: Errno,
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
                | Self::Below { .. }
                | Self::Incompatible { .. }
                | Self::Refused(_)
                | Self::Place(_)
                | Self::Busy { .. }
                | Self::Veto { .. }
                | Self::Core { .. }
        )
    }
}

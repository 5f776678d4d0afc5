//! Catching up with what happened to a process's objects while nobody watched: the patches let go of those that have gone, and
//! take those that have come.
//!
//! Whoever loads or unloads a patch does this first, so that the livepatch core sees what is there.

use std::fmt;
use std::time::Duration;

use lp_klp::name::ObjName;
use lp_klp::target::Callback;

use crate::process::error::ProcessError;
use crate::process::late::coming;
use crate::process::late::going::let_go;
use crate::process::late::presence::Changes;
use crate::process::prepare::plan::Warning;
use crate::process::session::{View, Work};

/// What became of an object of an installed patch.
#[derive(Debug)]
#[non_exhaustive]
pub enum Happened {
    /// It has gone, and the patches let go of it.
    Gone {
        /// The object.
        object: ObjName,
    },
    /// Callbacks that did not run when objects had gone, by patch: they refer to the object itself, or failed without it.
    NotCalled {
        /// The patch.
        patch: String,
        /// Which one.
        callback: Callback,
    },
    /// It has come and is patched.
    Patched {
        /// The object.
        object: ObjName,
        /// The longest time that all threads stood.
        window: Duration,
        /// What the operator should know.
        warnings: Vec<Warning>,
    },
    /// It has come and runs as it is.
    NotPatched {
        /// The object.
        object: ObjName,
        /// Why.
        error: ProcessError,
    },
}

impl Happened {
    /// Whether an object has come and was patched.
    pub fn is_patched(&self) -> bool {
        matches!(self, Self::Patched { .. })
    }

    /// The longest time that all threads stood for it.
    pub fn window(&self) -> Duration {
        match self {
            Self::Patched { window, .. } => *window,
            _ => Duration::ZERO,
        }
    }
}

impl fmt::Display for Happened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gone { object } => write!(f, "{object} has gone; its part of the patch waits"),
            Self::NotCalled { patch, callback } => {
                write!(
                    f,
                    "patch {patch}: {callback} did not run, since its object has gone"
                )
            }
            Self::Patched { object, .. } => write!(f, "{object} has come and is patched"),
            Self::NotPatched { object, error } => {
                write!(f, "{object} has come and is NOT patched: {error}")
            }
        }
    }
}

/// Does what is to be done.
pub(in crate::process) fn catch_up(
    work: &mut Work<'_, '_>,
    view: &mut View,
) -> Result<Vec<Happened>, ProcessError> {
    let pid = work.threads.pid();
    let mut happened = Vec::new();
    if view.contents().transition.is_some() {
        // Some threads run old, some new code: an object that is patched now would be new to all.
        return Ok(happened);
    }
    let changes = Changes::of(&view.contents(), &view.images, work.memory);
    if !changes.gone.is_empty() || changes.left {
        let skipped = let_go(work, view, &changes.gone)?.into_iter();
        happened.extend(skipped.map(|(patch, callback)| Happened::NotCalled { patch, callback }));
        *view = View::read(pid, work.memory)?;
    }
    let gone = changes.gone.into_iter();
    happened.extend(gone.map(|object| Happened::Gone { object }));
    let changes = Changes::of(&view.contents(), &view.images, work.memory);
    for object in changes.come {
        match coming::patch(work, view, &object) {
            Ok((window, warnings)) => happened.push(Happened::Patched {
                object,
                window,
                warnings,
            }),
            Err(error @ ProcessError::NotUndone { .. }) => return Err(error),
            Err(error) => happened.push(Happened::NotPatched { object, error }),
        }
        *view = View::read(pid, work.memory)?;
    }
    Ok(happened)
}

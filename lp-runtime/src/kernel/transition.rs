//! Waits until every task has switched, and says who has not.
//!
//! The end shows in the patch's own files: `transition` is 0 again, or the whole folder is gone, as it is after disabling. A patch
//! that ended on the other side was reversed by someone else meanwhile; to call that success would be the tempting mistake.
//! Nothing is undone when time is up: the kernel goes on trying (it signals the stragglers every 15 seconds), and whether to wait,
//! reverse or force is the operator's decision.

use std::time::{Duration, Instant};

use serde::Serialize;

use super::host::Host;
use super::name::PatchName;
use super::sysfs::{self, Patch};
use super::tasks::{Task, holding_up};
use crate::error::{Error, Stall};

/// Where a transition goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// Tasks go to the new code.
    Patching,
    /// Tasks go back to the code before.
    Unpatching,
}

impl Direction {
    /// The `patch_state` of a task that has not switched yet.
    pub(super) fn state_left(self) -> i32 {
        match self {
            Direction::Patching => 0,
            Direction::Unpatching => 1,
        }
    }
}

/// How long to wait and how often to look.
#[derive(Debug, Clone)]
pub struct Wait {
    /// After this the wait ends with [`Error::Stalled`].
    pub timeout: Duration,
    /// The pause between two looks at the patch.
    pub poll: Duration,
    /// The pause between two reports; listing all tasks costs more than one look.
    pub report: Duration,
}

impl Default for Wait {
    fn default() -> Self {
        let milliseconds = Duration::from_millis;
        // 60 s: the kernel's third signal to the stragglers has then long been sent.
        Self {
            timeout: milliseconds(60_000),
            poll: milliseconds(20),
            report: milliseconds(500),
        }
    }
}

/// What is told during the wait.
#[derive(Debug)]
pub struct Progress<'a> {
    /// Since the wait began.
    pub elapsed: Duration,
    /// Where it goes.
    pub direction: Direction,
    /// Who has not switched yet.
    pub tasks: &'a [Task],
}

/// Waits for the end of a transition; returns how long that took.
pub fn wait(
    host: &Host,
    name: &PatchName,
    direction: Direction,
    limits: &Wait,
    on_progress: &mut dyn FnMut(&Progress<'_>),
) -> Result<Duration, Error> {
    let start = Instant::now();
    let mut next_report = limits.report;
    loop {
        if ended(sysfs::patch(host, name)?, name, direction)? {
            return Ok(start.elapsed());
        }
        let elapsed = start.elapsed();
        if elapsed >= limits.timeout {
            let tasks = holding_up(host, direction);
            return Err(Error::Stalled(Box::new(Stall {
                name: name.to_string(),
                direction,
                waited: elapsed,
                tasks,
            })));
        }
        if elapsed >= next_report {
            on_progress(&Progress {
                elapsed,
                direction,
                tasks: &holding_up(host, direction),
            });
            next_report = elapsed + limits.report;
        }
        std::thread::sleep(limits.poll);
    }
}

/// The transition has ended where it was going; an error if it ended on the other side.
fn ended(patch: Option<Patch>, name: &PatchName, direction: Direction) -> Result<bool, Error> {
    let reversed = || Error::Reversed {
        name: name.to_string(),
        direction,
    };
    match (patch, direction) {
        (None, Direction::Unpatching) => Ok(true),
        (None, Direction::Patching) => Err(reversed()),
        (Some(patch), Direction::Patching) => match (patch.enabled, patch.transition) {
            (true, transition) => Ok(!transition),
            (false, _) => Err(reversed()),
        },
        // Not yet the end when only `transition` is 0: the kernel still holds the module until the folder is removed.
        (Some(patch), Direction::Unpatching) if patch.enabled => Err(reversed()),
        (Some(_), Direction::Unpatching) => Ok(false),
    }
}

//! Does what the arguments ask for; prints nothing itself.

use std::time::Duration;

use anyhow::{Result, bail};
use lp_klp::inventory::Inventory;
use lp_runtime::error::Error;
use lp_runtime::kernel::{self, Host, Patch, PatchName, Task, Wait};
use serde::Serialize;

use super::args::{Args, Command, Limit};
use super::process;
use super::progress::Spinner;
use super::watch;

/// What came of a command.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case", tag = "done")]
pub(crate) enum Outcome {
    Loaded {
        name: PatchName,
        load_ms: u64,
        transition_ms: u64,
    },
    Disabled {
        name: PatchName,
        transition_ms: u64,
    },
    Enabled {
        name: PatchName,
        transition_ms: u64,
    },
    Unloaded {
        name: PatchName,
    },
    Forced {
        name: PatchName,
    },
    List {
        patches: Vec<Patch>,
    },
    /// Printed as it is, not as an outcome.
    #[serde(skip)]
    Inventory(Vec<Inventory>),
    Status {
        patches: Vec<Status>,
    },
    /// What was done to each process, or why not.
    Processes {
        processes: Vec<process::One>,
    },
    /// How watching a process ended.
    Watched {
        pid: i32,
        ended: &'static str,
    },
    /// What is installed in each process.
    Installed {
        processes: Vec<process::Listed>,
    },
    /// The same, with who holds a transition up.
    ProcessStatus {
        processes: Vec<process::Listed>,
    },
}

impl Outcome {
    /// Whether a process was left as it was.
    pub(crate) fn failure(&self) -> Option<Failure> {
        let Self::Processes { processes } = self else {
            return None;
        };
        processes.iter().filter_map(|one| one.failure).max()
    }
}

/// How something failed; a refusal is the worse news.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Failure {
    /// It did not work.
    Error,
    /// The answer was no.
    Refused,
}

/// A patch and those who hold it up.
#[derive(Debug, Serialize)]
pub(crate) struct Status {
    #[serde(flatten)]
    pub(crate) patch: Patch,
    pub(crate) held_up_by: Vec<Task>,
}

pub(crate) fn run(args: &Args) -> Result<Outcome> {
    let host = Host::at(&args.root);
    let outcome = match &args.command {
        Command::Load {
            file,
            limit,
            place,
            switch,
            trust,
            late,
            dry_run,
        } if place.is_process() => {
            let how = process::How {
                timeout: limit.timeout,
                consistency: switch.consistency,
                late: *late,
                dry_run: *dry_run,
            };
            process::load(file, place, trust, &how)?
        }
        Command::Load { dry_run: true, .. } => bail!(
            "--dry-run is for processes: give --pid or --all. Of a module lp-verify says whether this kernel would take it"
        ),
        Command::Unload {
            name,
            limit,
            place,
            switch,
        }
        | Command::Disable {
            name,
            limit,
            place,
            switch,
        } if place.is_process() => {
            process::unload(name.as_str(), place, limit.timeout, switch.consistency)?
        }
        Command::Enable { name, limit, place } if place.is_process() => {
            process::enable(name.as_str(), place, limit.timeout)?
        }
        Command::Force { name, place } if place.is_process() => {
            process::force(name.as_str(), place)?
        }
        Command::Status { name, place } if place.is_process() => {
            process::status(name.as_ref().map(PatchName::as_str), place)?
        }
        Command::List { place } if place.is_process() => process::list(place)?,
        Command::Watch { pid } => watch::watch(*pid, args.format)?,
        Command::Load { file, .. } if process::is_patch(file) => bail!(
            "{}: a patch for processes: say for which, with --pid PID or --all EXECUTABLE",
            file.display()
        ),
        Command::Load { file, limit, .. } => {
            let loaded = watched(|progress| kernel::load(&host, file, &wait(limit), progress))?;
            let (load_ms, transition_ms) =
                (milliseconds(loaded.load), milliseconds(loaded.transition));
            Outcome::Loaded {
                name: loaded.name,
                load_ms,
                transition_ms,
            }
        }
        Command::Disable { name, limit, .. } => {
            let time = watched(|progress| kernel::disable(&host, name, &wait(limit), progress))?;
            Outcome::Disabled {
                name: name.clone(),
                transition_ms: milliseconds(time),
            }
        }
        Command::Enable { name, limit, .. } => {
            let time = watched(|progress| kernel::enable(&host, name, &wait(limit), progress))?;
            Outcome::Enabled {
                name: name.clone(),
                transition_ms: milliseconds(time),
            }
        }
        Command::Unload { name, .. } => {
            kernel::unload(&host, name)?;
            Outcome::Unloaded { name: name.clone() }
        }
        Command::List { .. } => Outcome::List {
            patches: kernel::patches(&host)?,
        },
        Command::Inventory { place } if place.is_process() => {
            Outcome::Inventory(process::inventory(place)?)
        }
        Command::Inventory { .. } => Outcome::Inventory(vec![kernel::inventory(&host)?]),
        Command::Status { name, .. } => Outcome::Status {
            patches: status(&host, name.as_ref())?,
        },
        Command::Force { name, .. } => {
            kernel::force(&host, name)?;
            Outcome::Forced { name: name.clone() }
        }
    };
    Ok(outcome)
}

fn status(host: &Host, only: Option<&PatchName>) -> Result<Vec<Status>, Error> {
    let patches = match only {
        None => kernel::patches(host)?,
        Some(name) => {
            let loaded = host.module(name.as_str()).is_dir();
            let missing = || Error::NotInstalled {
                name: name.to_string(),
                loaded,
            };
            vec![kernel::patch(host, name)?.ok_or_else(missing)?]
        }
    };
    let with_tasks = |patch: Patch| Status {
        held_up_by: if patch.transition {
            kernel::holding_up(host, patch.direction())
        } else {
            Vec::new()
        },
        patch,
    };
    Ok(patches.into_iter().map(with_tasks).collect())
}

fn watched<T>(
    operation: impl FnOnce(&mut dyn FnMut(&kernel::Progress<'_>)) -> Result<T, Error>,
) -> Result<T, Error> {
    let spinner = Spinner::new();
    let result = operation(&mut |progress| spinner.show(progress));
    spinner.clear();
    result
}

fn wait(limit: &Limit) -> Wait {
    Wait {
        timeout: limit.timeout,
        ..Wait::default()
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

//! Disables a patch, turns a transition back, or forces it to its end: writes to `enabled` and `force`.
//!
//! The rules are the kernel's (kernel/livepatch/core.c, `enabled_store`, 6.1): only one transition at a time; a patch that is in
//! transition is reversed by writing the other value; a patch whose disabling has ended is gone and cannot be enabled again except by
//! unloading and loading its module. What can be seen beforehand is said beforehand, in words: the errno for all of it is EINVAL.

use std::time::Duration;

use super::advice::Operation;
use super::host::Host;
use super::log::Mark;
use super::name::PatchName;
use super::sysfs::{self, Patch};
use super::transition::{self, Direction, Progress, Wait};
use crate::error::{Error, Refusal};

/// Disables an installed patch, or reverses its enabling, and waits until all tasks have left it.
pub fn disable(
    host: &Host,
    name: &PatchName,
    limits: &Wait,
    on_progress: &mut dyn FnMut(&Progress<'_>),
) -> Result<Duration, Error> {
    if installed(host, name)?.enabled {
        write(host, name, Operation::Disable, "enabled", "0")?;
    }
    // A patch that is there and not enabled is already on its way out: waiting is all that is left.
    transition::wait(host, name, Direction::Unpatching, limits, on_progress)
}

/// Reverses the disabling of a patch that is still in transition, and waits until all tasks run it again.
pub fn enable(
    host: &Host,
    name: &PatchName,
    limits: &Wait,
    on_progress: &mut dyn FnMut(&Progress<'_>),
) -> Result<Duration, Error> {
    if !installed(host, name)?.enabled {
        write(host, name, Operation::Enable, "enabled", "1")?;
    }
    transition::wait(host, name, Direction::Patching, limits, on_progress)
}

/// Ends a transition at once, whether or not the tasks that are left are in the code to be changed. The kernel then never
/// lets the modules concerned be unloaded, as it cannot know that no task is still in them.
pub fn force(host: &Host, name: &PatchName) -> Result<(), Error> {
    if !installed(host, name)?.transition {
        return Err(Error::NoTransition {
            name: name.to_string(),
        });
    }
    write(host, name, Operation::Force, "force", "1")
}

fn installed(host: &Host, name: &PatchName) -> Result<Patch, Error> {
    sysfs::patch(host, name)?.ok_or_else(|| Error::NotInstalled {
        name: name.to_string(),
        loaded: host.module(name.as_str()).is_dir(),
    })
}

fn write(
    host: &Host,
    name: &PatchName,
    operation: Operation,
    attribute: &str,
    value: &str,
) -> Result<(), Error> {
    let mut mark = Mark::now(host);
    sysfs::write(host, name, attribute, value).map_err(|error| {
        match rustix::io::Errno::from_io_error(&error) {
            Some(errno) => {
                let log = mark.lines_about(name.as_str());
                Refusal::new(host, operation, name.as_str(), errno, log).into()
            }
            None => Error::Read {
                path: host.livepatch().join(name.as_str()).join(attribute),
                source: error,
            },
        }
    })
}

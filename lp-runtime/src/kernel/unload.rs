//! Removes the module of a patch that is disabled: `delete_module`.
//!
//! The kernel lets go of the module a moment after the patch's folder in `/sys` has gone (kernel/livepatch/core.c,
//! `klp_free_patch_finish`), and answers EAGAIN until then: so this is tried for a short while. The flag that waits in the kernel, or
//! the one that forces, would hang or break the machine where a forced patch keeps its module for ever.

use std::ffi::CString;
use std::time::{Duration, Instant};

use rustix::fs::OFlags;
use rustix::io::Errno;

use super::advice::Operation;
use super::host::Host;
use super::log::Mark;
use super::name::PatchName;
use super::sysfs;
use crate::error::{Error, Refusal};

/// How long the kernel may take to let go of a disabled patch.
const PATIENCE: Duration = Duration::from_secs(3);

/// Unloads a patch's module. It must have been disabled before.
pub fn unload(host: &Host, name: &PatchName) -> Result<(), Error> {
    if let Some(patch) = sysfs::patch(host, name)? {
        return Err(Error::StillInstalled {
            name: patch.name,
            enabled: patch.enabled,
        });
    }
    if !host.module(name.as_str()).is_dir() {
        return Err(Error::NotInstalled {
            name: name.to_string(),
            loaded: false,
        });
    }
    let mut mark = Mark::now(host);
    delete(name).map_err(|errno| {
        let log = mark.lines_about(name.as_str());
        Refusal::new(host, Operation::Unload, name.as_str(), errno, log).into()
    })
}

fn delete(name: &PatchName) -> Result<(), Errno> {
    let name = CString::new(name.as_str()).map_err(|_| Errno::INVAL)?;
    let start = Instant::now();
    loop {
        match rustix::system::delete_module(&name, OFlags::NONBLOCK.bits() as i32) {
            Err(Errno::AGAIN | Errno::BUSY) if start.elapsed() < PATIENCE => {
                std::thread::sleep(Duration::from_millis(10));
            }
            result => return result,
        }
    }
}

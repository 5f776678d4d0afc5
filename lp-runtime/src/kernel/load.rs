//! Loads a patch module: `finit_module`, then the wait for its transition.
//!
//! The module's own init enables the patch (`klp_enable_patch`), so when the system call returns the transition has begun, and
//! when it fails nothing is left behind. The file is handed over as it is: no decompression, no flags that would let the kernel
//! overlook a wrong version.
//!
//! The release is compared here, as the kernel does not: with CONFIG_MODVERSIONS it skips the release in `vermagic` and trusts the
//! checksums of the exports (kernel/module/version.c, `same_magic`, 6.1). Those say nothing of the functions that a patch
//! replaces by name, so the kernel would take a patch made from another version's source. Seen on Debian's 6.1.

use std::fs::File;
use std::path::Path;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::advice::Operation;
use super::host::Host;
use super::log::Mark;
use super::modinfo::{self, ModInfo};
use super::name::PatchName;
use super::transition::{self, Direction, Progress, Wait};
use crate::error::{Error, Refusal};

/// A patch that is loaded and whose transition has ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Loaded {
    /// The module's name.
    pub name: PatchName,
    /// What the system call took.
    pub load: Duration,
    /// What the switch of all tasks took after it.
    pub transition: Duration,
}

/// Loads a patch and waits until all tasks run it.
pub fn load(
    host: &Host,
    file: &Path,
    limits: &Wait,
    on_progress: &mut dyn FnMut(&Progress<'_>),
) -> Result<Loaded, Error> {
    let info = modinfo::read(file)?;
    if !info.livepatch {
        return Err(Error::NotALivepatch { file: file.into() });
    }
    check_release(host, file, &info)?;
    let load = insert(host, file, &info)?;
    let transition = transition::wait(host, &info.name, Direction::Patching, limits, on_progress)?;
    Ok(Loaded {
        name: info.name,
        load,
        transition,
    })
}

fn check_release(host: &Host, file: &Path, info: &ModInfo) -> Result<(), Error> {
    let (Some(built_for), Some(running)) = (info.release(), host.release()) else {
        return Ok(());
    };
    if built_for == running {
        return Ok(());
    }
    Err(Error::OtherKernel {
        file: file.into(),
        built_for: built_for.to_owned(),
        running,
    })
}

fn insert(host: &Host, file: &Path, info: &ModInfo) -> Result<Duration, Error> {
    let handle = File::open(file).map_err(|source| Error::Read {
        path: file.into(),
        source,
    })?;
    let mut mark = Mark::now(host);
    let start = Instant::now();
    match rustix::system::finit_module(&handle, c"", 0) {
        Ok(()) => Ok(start.elapsed()),
        Err(errno) => {
            let subject = file.display().to_string();
            let log = mark.lines_about(info.name.as_str());
            Err(Refusal::new(host, Operation::Load, &subject, errno, log).into())
        }
    }
}

//! One loader at a time: a lock on the process, held while its control area is read and written.
//!
//! It is an advisory lock (`flock`) on the process's own `/proc/PID/mem`: nothing is left behind, and the kernel opens it when its
//! holder ends, however. The tempting wrong way is a file of our own: a loader that is killed leaves it, and another mount
//! namespace does not see it.

use std::fs::File;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};

use crate::process::error::ProcessError;
use crate::process::read::memory::MemoryError;

/// How long to wait for another loader.
const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(2);

/// The lock; dropped, it is open.
#[derive(Debug)]
pub(in crate::process) struct Lock {
    _file: File,
}

impl Lock {
    /// Takes it.
    pub(in crate::process) fn of(pid: i32) -> Result<Self, ProcessError> {
        let file = File::open(format!("/proc/{pid}/mem"));
        let file = file.map_err(|source| MemoryError::Open { pid, source })?;
        let start = Instant::now();
        loop {
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(Self { _file: file }),
                Err(rustix::io::Errno::WOULDBLOCK | rustix::io::Errno::INTR)
                    if start.elapsed() < PATIENCE =>
                {
                    std::thread::sleep(PAUSE);
                }
                Err(rustix::io::Errno::WOULDBLOCK) => return Err(ProcessError::Locked { pid }),
                Err(errno) => {
                    let source = errno.into();
                    return Err(MemoryError::Open { pid, source }.into());
                }
            }
        }
    }
}

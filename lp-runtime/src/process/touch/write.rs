//! Writing a process's memory, and reading many places of it at once.
//!
//! Data is written by `process_vm_writev`, which obeys the pages' protection; text through `/proc/PID/mem`, which writes where
//! the process itself may not, so that no page is ever writable and executable. Where the kernel forbids that
//! (`proc_mem.force_override`), PTRACE_POKEDATA does the same, eight bytes at a time. What was written is read back. The
//! tempting wrong way is `mprotect` in the process: a moment of writable code, and no way at all under PR_SET_MDWE.

use std::fs::{File, OpenOptions};
use std::io::{self, IoSlice, IoSliceMut};
use std::os::unix::fs::FileExt;

use nix::errno::Errno;
use nix::sys::uio::{RemoteIoVec, process_vm_readv, process_vm_writev};
use nix::unistd::Pid;
use thiserror::Error;

use crate::process::read::memory::{MemoryError, ReadMemory};
use crate::process::touch::ptrace;
use crate::process::touch::threads::Tid;

/// The most ranges that one call takes (`UIO_MAXIOV`).
const RANGES: usize = 1024;

/// Why memory was not written.
#[derive(Debug, Error)]
pub enum WriteError {
    /// The kernel said no, or nothing is mapped there.
    #[error("{size} bytes at {address:#x} of the process cannot be written: {source}")]
    Write {
        /// Where.
        address: u64,
        /// How many bytes.
        size: usize,
        /// What the kernel said.
        source: io::Error,
    },
    /// It was written, and is not there.
    #[error("what was written at {address:#x} of the process is not what is read there now")]
    Differs {
        /// Where.
        address: u64,
    },
    /// It cannot be read back.
    #[error(transparent)]
    Read(#[from] MemoryError),
}

/// A process's memory, to be read and written.
#[derive(Debug)]
pub struct WriteMemory {
    pid: i32,
    file: File,
}

impl WriteMemory {
    /// Opens it.
    ///
    /// # Errors
    /// Without the right to trace the process.
    pub fn open(pid: i32) -> Result<Self, MemoryError> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(format!("/proc/{pid}/mem"));
        match file {
            Ok(file) => Ok(Self { pid, file }),
            Err(source) => Err(MemoryError::Open { pid, source }),
        }
    }

    /// Writes where the process may write, too.
    ///
    /// # Errors
    /// Where not all of it can be written, or it does not stay.
    pub fn write_data(&self, address: u64, bytes: &[u8]) -> Result<(), WriteError> {
        // The file is that of the program that it was opened for; `process_vm_writev` goes by the number.
        self.read(address, &mut [0])?;
        let mut done = 0;
        while let Some(rest) = bytes.get(done..).filter(|rest| !rest.is_empty()) {
            let at = address.wrapping_add(done as u64);
            let to = [RemoteIoVec {
                base: at as usize,
                len: rest.len(),
            }];
            match process_vm_writev(Pid::from_raw(self.pid), &[IoSlice::new(rest)], &to) {
                Ok(0) => return Err(failed(at, rest.len(), Errno::EFAULT.into())),
                Ok(written) => done += written,
                Err(errno) => return Err(failed(at, rest.len(), errno.into())),
            }
        }
        self.verify(address, bytes)
    }

    /// Writes whatever the pages' protection; `tid` is a thread that we trace and that is stopped.
    ///
    /// # Errors
    /// Where not all of it can be written, or it does not stay.
    pub fn write_text(&self, tid: Tid, address: u64, bytes: &[u8]) -> Result<(), WriteError> {
        match self.write_over(address, bytes) {
            // Without memory it is another program by now, which must not be written.
            Err(WriteError::Write { source, .. }) if source.kind() != io::ErrorKind::WriteZero => {
                self.poke(tid, address, bytes)?;
                self.verify(address, bytes)
            }
            written => written,
        }
    }

    /// Writes whatever the pages' protection, where the kernel lets us do that to a process that runs.
    ///
    /// # Errors
    /// As those of [`Self::write_text`], and where it must be traced for it.
    pub fn write_over(&self, address: u64, bytes: &[u8]) -> Result<(), WriteError> {
        let written = self.file.write_all_at(bytes, address);
        written.map_err(|source| failed(address, bytes.len(), source))?;
        self.verify(address, bytes)
    }

    /// Writes in whole words, with what is around the bytes as it was.
    fn poke(&self, tid: Tid, address: u64, bytes: &[u8]) -> Result<(), WriteError> {
        let start = address & !7;
        let before = (address - start) as usize;
        let mut words = vec![0; (before + bytes.len()).next_multiple_of(8)];
        self.read(start, &mut words)?;
        words[before..before + bytes.len()].copy_from_slice(bytes);
        for (word, at) in words.chunks_exact(8).zip((start..).step_by(8)) {
            let word = u64::from_le_bytes(word.try_into().unwrap_or_default());
            ptrace::poke(tid, at, word).map_err(|errno| failed(at, 8, errno.into()))?;
        }
        Ok(())
    }

    fn verify(&self, address: u64, bytes: &[u8]) -> Result<(), WriteError> {
        let mut there = vec![0; bytes.len()];
        self.read(address, &mut there)?;
        if there == bytes {
            Ok(())
        } else {
            Err(WriteError::Differs { address })
        }
    }
}

impl ReadMemory for WriteMemory {
    fn read(&self, address: u64, buffer: &mut [u8]) -> Result<(), MemoryError> {
        let size = buffer.len();
        let read = self.file.read_exact_at(buffer, address);
        read.map_err(|source| MemoryError::Read {
            address,
            size,
            source,
        })
    }
}

/// Reads many ranges, as many as possible by one call. A range that cannot be read whole comes back shorter.
pub fn read_many(pid: i32, ranges: &[(u64, usize)]) -> Vec<Vec<u8>> {
    let mut all: Vec<Vec<u8>> = ranges.iter().map(|(_, size)| vec![0; *size]).collect();
    let mut next = 0;
    while next < ranges.len() {
        let end = ranges.len().min(next + RANGES);
        let from: Vec<RemoteIoVec> = ranges[next..end].iter().map(remote).collect();
        let mut to: Vec<IoSliceMut<'_>> = all[next..end]
            .iter_mut()
            .map(|buffer| IoSliceMut::new(buffer))
            .collect();
        let read = process_vm_readv(Pid::from_raw(pid), &mut to, &from).unwrap_or(0);
        next = keep(&mut all, next, end, read);
    }
    all
}

/// Cuts the range at which the kernel gave up, and says where to go on.
fn keep(all: &mut [Vec<u8>], mut next: usize, end: usize, mut read: usize) -> usize {
    while next < end {
        let size = all[next].len();
        if read < size {
            all[next].truncate(read);
            return next + 1;
        }
        read -= size;
        next += 1;
    }
    next
}

fn remote(range: &(u64, usize)) -> RemoteIoVec {
    RemoteIoVec {
        base: range.0 as usize,
        len: range.1,
    }
}

fn failed(address: u64, size: usize, source: io::Error) -> WriteError {
    WriteError::Write {
        address,
        size,
        source,
    }
}

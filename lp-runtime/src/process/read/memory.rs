//! Reading a process's memory.
//!
//! `/proc/PID/mem` needs the right to trace the process and nothing of the process itself; it also reads what is mapped
//! without read permission. The tempting wrong way is to believe a size that was read from the process:
//! [`read_vec`] takes a limit.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use thiserror::Error;

/// Why memory cannot be read.
#[derive(Debug, Error)]
pub enum MemoryError {
    /// The kernel said no, or nothing is mapped there.
    #[error("{size} bytes at {address:#x} of the process cannot be read: {source}")]
    Read {
        /// Where.
        address: u64,
        /// How many bytes.
        size: usize,
        /// What the kernel said.
        source: io::Error,
    },
    /// More is asked for than can be meant.
    #[error(
        "{size} bytes at {address:#x} of the process are more than the {limit} that can be meant"
    )]
    TooLarge {
        /// Where.
        address: u64,
        /// How many bytes.
        size: u64,
        /// The limit.
        limit: u64,
    },
    /// The process cannot be looked into at all.
    #[error(
        "the memory of process {pid} cannot be opened: {source}; it takes the right to trace it"
    )]
    Open {
        /// The process.
        pid: i32,
        /// What the kernel said.
        source: io::Error,
    },
}

/// Something with addresses.
pub trait ReadMemory {
    /// Fills the buffer from an address on.
    ///
    /// # Errors
    /// Where not all of it can be read.
    fn read(&self, address: u64, buffer: &mut [u8]) -> Result<(), MemoryError>;
}

/// A process's memory, by `/proc/PID/mem`, opened for reading alone.
#[derive(Debug)]
pub struct ProcessMemory(File);

impl ProcessMemory {
    /// Opens it.
    ///
    /// # Errors
    /// Without the right to trace the process.
    pub fn open(pid: i32) -> Result<Self, MemoryError> {
        let file = File::open(format!("/proc/{pid}/mem"));
        file.map(Self)
            .map_err(|source| MemoryError::Open { pid, source })
    }
}

impl ReadMemory for ProcessMemory {
    fn read(&self, address: u64, buffer: &mut [u8]) -> Result<(), MemoryError> {
        let size = buffer.len();
        self.0
            .read_exact_at(buffer, address)
            .map_err(|source| MemoryError::Read {
                address,
                size,
                source,
            })
    }
}

/// Reads so many bytes, where they are no more than `limit`.
///
/// # Errors
/// Where they are more, or cannot be read.
pub fn read_vec(
    memory: &dyn ReadMemory,
    address: u64,
    size: u64,
    limit: u64,
) -> Result<Vec<u8>, MemoryError> {
    let too_large = MemoryError::TooLarge {
        address,
        size,
        limit,
    };
    let wanted = usize::try_from(size).ok().filter(|_| size <= limit);
    let mut bytes = vec![0; wanted.ok_or(too_large)?];
    memory.read(address, &mut bytes)?;
    Ok(bytes)
}

/// Reads a 64-bit word.
///
/// # Errors
/// Where it cannot be read.
pub fn read_u64(memory: &dyn ReadMemory, address: u64) -> Result<u64, MemoryError> {
    let mut bytes = [0; 8];
    memory.read(address, &mut bytes)?;
    Ok(u64::from_le_bytes(bytes))
}

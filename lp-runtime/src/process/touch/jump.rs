//! The jump at a function's entry: `e9 rel32`, written while all threads stand still.
//!
//! The bytes that are replaced are looked at again under the stop: they must be those that were planned for, or the jump of the patch
//! below. The tempting wrong ways: fourteen bytes (`ff 25` and an address) over whatever follows, and to write what was
//! read a while ago.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::process::read::memory::{MemoryError, ReadMemory};
use crate::process::touch::threads::Tid;
use crate::process::touch::write::{WriteError, WriteMemory};

/// Bytes of a jump.
pub const JUMP_SIZE: usize = 5;

/// A change of bytes in the process's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TextChange {
    /// Where.
    pub address: u64,
    /// What is there.
    pub old: [u8; JUMP_SIZE],
    /// What will be there.
    pub new: [u8; JUMP_SIZE],
}

impl TextChange {
    /// Whether what is there is what was there before.
    pub(in crate::process) fn is_still_to_be_made(&self, memory: &dyn ReadMemory) -> bool {
        let mut found = [0; JUMP_SIZE];
        memory.read(self.address, &mut found).is_ok() && found == self.old
    }
}

/// Why text was not changed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum JumpError {
    /// The destination is more than 2 GiB away.
    #[error("{to:#x} cannot be reached by a jump at {from:#x}")]
    TooFar {
        /// The jump.
        from: u64,
        /// Where it should lead.
        to: u64,
    },
    /// Somebody else changed the code.
    #[error(
        "the code at {address:#x} is {found:02x?} and not {expected:02x?}: something else has changed it"
    )]
    Unexpected {
        /// Where.
        address: u64,
        /// What should be there.
        expected: [u8; JUMP_SIZE],
        /// What is.
        found: [u8; JUMP_SIZE],
    },
    /// The code cannot be read.
    #[error(transparent)]
    Read(#[from] MemoryError),
    /// It cannot be written. What had been written before is as it was.
    #[error(transparent)]
    Write(#[from] WriteError),
}

/// The bytes of a jump.
///
/// # Errors
/// Where the way is too far.
pub fn jump(from: u64, to: u64) -> Result<[u8; JUMP_SIZE], JumpError> {
    let next = from.wrapping_add(JUMP_SIZE as u64);
    let distance = to.wrapping_sub(next) as i64;
    let distance = i32::try_from(distance).map_err(|_| JumpError::TooFar { from, to })?;
    let [a, b, c, d] = distance.to_le_bytes();
    Ok([0xe9, a, b, c, d])
}

/// Where a jump leads; none where the bytes are none.
pub fn destination(from: u64, bytes: [u8; JUMP_SIZE]) -> Option<u64> {
    let [0xe9, distance @ ..] = bytes else {
        return None;
    };
    let next = from.wrapping_add(JUMP_SIZE as u64);
    Some(next.wrapping_add_signed(i32::from_le_bytes(distance).into()))
}

/// Makes all changes, or none. All threads must be stopped, and no one's next instruction inside the bytes; `tid` is one
/// of them.
///
/// # Errors
/// Where something else is there, or it cannot be written.
pub fn change_text(
    memory: &WriteMemory,
    tid: Tid,
    changes: &[TextChange],
) -> Result<(), JumpError> {
    for change in changes {
        let mut found = [0; JUMP_SIZE];
        memory.read(change.address, &mut found)?;
        if found != change.old {
            return Err(JumpError::Unexpected {
                address: change.address,
                expected: change.old,
                found,
            });
        }
    }
    for (done, change) in changes.iter().enumerate() {
        if let Err(error) = memory.write_text(tid, change.address, &change.new) {
            // The one that failed may be half written.
            for back in &changes[..=done] {
                memory.write_text(tid, back.address, &back.old)?;
            }
            return Err(error.into());
        }
    }
    Ok(())
}

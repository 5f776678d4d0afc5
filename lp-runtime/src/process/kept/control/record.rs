//! The description of a record: its generation, its length, and a checksum of both and of its bytes.

use super::checksum;
use crate::process::read::memory::{MemoryError, ReadMemory, read_vec};

/// Bytes of a description.
pub(super) const SIZE: usize = 24;

/// The description of a record.
#[derive(Debug, Clone, Copy)]
pub(super) struct Record {
    /// Higher than that of the other one, when it is the newer.
    pub(super) generation: u64,
    length: u64,
    checksum: u64,
}

impl Record {
    /// Describes these bytes.
    pub(super) fn of(generation: u64, body: &[u8]) -> Self {
        let length = body.len() as u64;
        Self {
            generation,
            length,
            checksum: sum(generation, length, body),
        }
    }

    pub(super) fn to_bytes(self) -> [u8; SIZE] {
        let mut bytes = [0; SIZE];
        let words = [self.generation, self.length, self.checksum];
        for (to, word) in bytes.chunks_exact_mut(8).zip(words) {
            to.copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }

    pub(super) fn from_bytes(bytes: [u8; SIZE]) -> Self {
        let word = |at: usize| {
            let mut word = [0; 8];
            word.copy_from_slice(&bytes[at..at + 8]);
            u64::from_le_bytes(word)
        };
        Self {
            generation: word(0),
            length: word(8),
            checksum: word(16),
        }
    }

    /// The bytes that it describes, where they are there whole.
    pub(super) fn body(
        &self,
        memory: &dyn ReadMemory,
        at: u64,
        limit: u64,
    ) -> Result<Option<Vec<u8>>, MemoryError> {
        if self.length > limit {
            return Ok(None);
        }
        let body = read_vec(memory, at, self.length, limit)?;
        let whole = sum(self.generation, self.length, &body) == self.checksum;
        Ok(whole.then_some(body))
    }
}

fn sum(generation: u64, length: u64, body: &[u8]) -> u64 {
    checksum(&[&generation.to_le_bytes(), &length.to_le_bytes(), body])
}

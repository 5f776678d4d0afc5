//! The system states as a patch's code sees them: `struct lp_state __lp_states[]` (templates/lp_state.h).

use super::ControlError;
use crate::process::read::memory::ReadMemory;
use crate::process::touch::write::WriteMemory;

/// A state of the patch in transition.
pub const IN_TRANSITION: u32 = 1;

/// A state of the newest patch installed below it that has this id.
pub const BELOW: u32 = 2;

/// Bytes of `struct lp_state`.
const SIZE: usize = 24;

/// How many there can be, the end not counted: a page's worth.
pub const MAX: usize = 4096 / SIZE - 1;

/// `struct lp_state`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LpState {
    /// `unsigned long id`
    pub id: u64,
    /// `unsigned int version`
    pub version: u32,
    /// `unsigned int flags`
    pub flags: u32,
    /// `void *data`, which the patch's code sets.
    pub data: u64,
}

/// The element behind the last.
const END: LpState = LpState {
    id: 0,
    version: 0,
    flags: u32::MAX,
    data: 0,
};

/// Writes the array at an address, and its end.
///
/// # Errors
/// Where there are too many, or they cannot be written.
pub fn write(memory: &WriteMemory, address: u64, states: &[LpState]) -> Result<(), ControlError> {
    if states.len() > MAX {
        return Err(ControlError::TooLarge {
            size: states.len() * SIZE,
        });
    }
    let all = states.iter().chain([&END]);
    let bytes: Vec<u8> = all.flat_map(|it| it.to_bytes()).collect();
    Ok(memory.write_data(address, &bytes)?)
}

/// Reads the array at an address.
///
/// # Errors
/// Where it has no end, or cannot be read.
pub fn read(memory: &dyn ReadMemory, address: u64) -> Result<Vec<LpState>, ControlError> {
    let mut bytes = [0; (MAX + 1) * SIZE];
    memory.read(address, &mut bytes)?;
    let (elements, _) = bytes.as_chunks::<SIZE>();
    let all: Vec<LpState> = elements.iter().map(LpState::from_bytes).collect();
    match all.iter().position(|it| it.flags == END.flags) {
        Some(end) => Ok(all[..end].to_vec()),
        None => Err(ControlError::Damaged {
            address,
            why: "its states have no end",
        }),
    }
}

impl LpState {
    fn to_bytes(self) -> [u8; SIZE] {
        let mut bytes = [0; SIZE];
        bytes[..8].copy_from_slice(&self.id.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.version.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.flags.to_le_bytes());
        bytes[16..].copy_from_slice(&self.data.to_le_bytes());
        bytes
    }

    fn from_bytes(bytes: &[u8; SIZE]) -> Self {
        let wide = |at: usize| {
            let mut word = [0; 8];
            word.copy_from_slice(&bytes[at..at + 8]);
            u64::from_le_bytes(word)
        };
        Self {
            id: wide(0),
            version: wide(8) as u32,
            flags: (wide(8) >> 32) as u32,
            data: wide(16),
        }
    }
}

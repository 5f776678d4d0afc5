//! What memory of a patch is for. There is no kind that is both written and executed.

use serde::{Deserialize, Serialize};

/// What may be done with an area of a process's memory, in the order in which they are placed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Area {
    /// Code: written by us, never by the process.
    Text,
    /// Constants: likewise.
    ReadOnly,
    /// Data.
    Data,
}

impl Area {
    /// The protection of its pages (`PROT_*`).
    pub(in crate::process) fn protection(self) -> u64 {
        let bits = match self {
            Self::Text => libc::PROT_READ | libc::PROT_EXEC,
            Self::ReadOnly => libc::PROT_READ,
            Self::Data => libc::PROT_READ | libc::PROT_WRITE,
        };
        bits as u64
    }
}

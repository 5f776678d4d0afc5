//! What a control area says of a watcher: a process on our side that patches objects before they run.

use serde::{Deserialize, Serialize};

use super::contents::AreaRecord;
use crate::process::read::identity::Identity;
use crate::process::touch::jump::JUMP_SIZE;

/// A watcher, and what it has in the process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watching {
    /// The watcher: the thread that watches.
    pub by: Identity,
    /// The process that it watches: a child that was made since has this record, too.
    pub of: Identity,
    /// Where the jump is, in the dynamic linker.
    pub hook: u64,
    /// What the linker came with there.
    pub original: [u8; JUMP_SIZE],
    /// Where the jump leads: the stub.
    pub text: AreaRecord,
    /// The words by which stub and watcher speak.
    pub words: AreaRecord,
}

impl Watching {
    /// Whether the watcher lives, and this is the process that it watches.
    pub fn is_live(&self, process: Identity) -> bool {
        self.of == process && self.by.check().is_ok()
    }
}

//! What cannot be done, as values: each refusal has a code for machines, a place and a sentence on what to do.
//!
//! All of them are collected, so that an author sees the whole list at once.

use serde::{Deserialize, Serialize};
use std::fmt;

/// The kinds of refusals; the serialized names are stable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RefusalCode {
    /// The initial value of a datum that is already in use differs.
    ChangedData,
    /// A datum that the running system shares with the patch has another size.
    ChangedSize,
    /// A section differs that is neither code nor data we can take apart.
    ChangedSection,
    /// Code or data that the kernel frees after start differs, or is needed.
    InitCode,
    /// A function to be patched has no site for ftrace at its entry.
    NoFentry,
    /// A function or datum that must be included is in a COMDAT group.
    Comdat,
    /// Static variables of a function cannot be told apart.
    StaticLocal,
    /// A symbol cannot be found in the target, or not told from others of its name.
    Unresolved,
    /// A special section cannot be read.
    SpecialSection,
    /// A jump label's key lives in a module.
    JumpLabel,
    /// Code counts on a constant that the kernel writes into it as it boots.
    BootConstant,
    /// A type that patched code uses has another layout.
    LayoutChange,
    /// A short branch into another function of the same section.
    ShortBranch,
    /// A callback is declared that the livepatch core cannot be given.
    Callback,
}

/// One thing that cannot be done.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Refusal {
    /// Which kind.
    pub code: RefusalCode,
    /// Symbol, or section+offset.
    pub place: String,
    /// What is wrong and what to do.
    pub message: String,
}

impl Refusal {
    /// A refusal.
    pub fn new(code: RefusalCode, place: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            code,
            place: place.into(),
            message: message.into(),
        }
    }
}

impl fmt::Display for RefusalCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The serialized name is the one name of a code.
        match serde_json::to_value(self) {
            Ok(serde_json::Value::String(name)) => f.write_str(&name),
            _ => Err(fmt::Error),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} [{}]", self.place, self.message, self.code)
    }
}

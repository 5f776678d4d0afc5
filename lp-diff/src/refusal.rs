//! What cannot be done, as values: each refusal has a code for machines, a place and a sentence on what to do.
//!
//! All of them are collected, so that an author sees the whole list at once.

use crate::dwarf::line::SourcePlace;
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
    /// The address of a function is taken that the running system lets nobody call through a pointer.
    SealedFunction,
    /// A type that patched code uses has another layout.
    LayoutChange,
    /// A short branch into another function of the same section.
    ShortBranch,
    /// A name that other files use belongs to another function or variable.
    MovedName,
    /// A callback is declared that the livepatch core cannot be given.
    Callback,
    /// Data of which each thread has its own is new.
    ThreadLocal,
    /// A function has landing pads for exceptions.
    LandingPads,
    /// A function has no entry in the unwind table.
    NoUnwind,
    /// A relocation of a kind that a patch for a process cannot have.
    RelocationKind,
}

/// One thing that cannot be done.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Refusal {
    /// Which kind.
    pub code: RefusalCode,
    /// Symbol, symbol+offset, `symbol in section`, or section.
    pub place: String,
    /// What is wrong and what to do.
    pub message: String,
    /// The line of the source that it is about, as far as the debug information says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<SourcePlace>,
    /// Where that is in the patched object, or, of what only that has, in the original.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<ObjectPlace>,
}

/// A place in an object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ObjectPlace {
    /// The section's name.
    pub section: String,
    /// Bytes from its start.
    pub offset: u64,
}

impl Refusal {
    /// A refusal.
    pub fn new(code: RefusalCode, place: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            code,
            place: place.into(),
            message: message.into(),
            source: None,
            at: None,
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
        if let Some(source) = &self.source {
            write!(f, "{source}: ")?;
        }
        write!(f, "{}: {} [{}]", self.place, self.message, self.code)
    }
}

//! What can be done to the livepatch core, in a word or two: so are cases written, and failures told.

use std::fmt;
use std::str::FromStr;

use anyhow::{Context, Result, bail};

/// One operation; numbers are places in the pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// Load a patch's module, which enables it.
    Load(usize),
    /// Remove its module.
    Unload(usize),
    /// Write 0 to its `enabled`: disable it, or reverse its transition.
    Disable(usize),
    /// Write 1 to its `enabled`: reverse its transition, and nothing else.
    Enable(usize),
    /// Write 1 to its `force`.
    Force(usize),
    /// Load the module that comes and goes.
    InsertLate,
    /// Remove it.
    RemoveLate,
    /// Have a task sleep in the function that holds it.
    Hold,
    /// Let it go.
    Release,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Load(patch) => write!(f, "load {patch}"),
            Self::Unload(patch) => write!(f, "unload {patch}"),
            Self::Disable(patch) => write!(f, "disable {patch}"),
            Self::Enable(patch) => write!(f, "enable {patch}"),
            Self::Force(patch) => write!(f, "force {patch}"),
            Self::InsertLate => f.write_str("insert-late"),
            Self::RemoveLate => f.write_str("remove-late"),
            Self::Hold => f.write_str("hold"),
            Self::Release => f.write_str("release"),
        }
    }
}

impl FromStr for Operation {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let (word, patch) = text.split_once(' ').unwrap_or((text, ""));
        let patch = || {
            let number = patch.trim().parse();
            number.with_context(|| format!("`{text}`: which patch?"))
        };
        Ok(match word {
            "load" => Self::Load(patch()?),
            "unload" => Self::Unload(patch()?),
            "disable" => Self::Disable(patch()?),
            "enable" => Self::Enable(patch()?),
            "force" => Self::Force(patch()?),
            "insert-late" => Self::InsertLate,
            "remove-late" => Self::RemoveLate,
            "hold" => Self::Hold,
            "release" => Self::Release,
            _ => bail!("`{text}` is no operation"),
        })
    }
}

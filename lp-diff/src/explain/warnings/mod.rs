//! The warnings of a patch author's guide, made automatic: what is patched as asked, and is often a mistake.
//!
//! Each rule is a file. A rule that cries wolf teaches authors to read none, so each one keeps silent where the object
//! does not say enough.

use super::units::Pair;
use crate::compare::{Comparer, Comparison};
use crate::dwarf::line::SourcePlace;
use crate::include::Selection;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The kinds of warnings; the serialized names are stable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WarningCode {
    /// The patch brings data that the system writes to.
    NewWritableData,
}

/// Something that is often a mistake.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Warning {
    /// Which kind.
    pub code: WarningCode,
    /// Function, variable or type.
    pub place: String,
    /// Where the patched source has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<SourcePlace>,
    /// What is to be feared, and what to do.
    pub message: String,
}

/// All warnings about a patch, in order of their place in the source.
pub fn find(
    _comparer: &Comparer<'_, '_>,
    _comparison: &Comparison,
    _selection: &Selection,
    _pairs: &[Pair<'_, '_, '_, '_>],
) -> Vec<Warning> {
    Vec::new()
}

impl fmt::Display for WarningCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The serialized name is the one name of a code.
        match serde_json::to_value(self) {
            Ok(serde_json::Value::String(name)) => f.write_str(&name),
            _ => Err(fmt::Error),
        }
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.place)?;
        if let Some(source) = &self.source {
            write!(f, " ({source})")?;
        }
        write!(f, ": {} [{}]", self.message, self.code)
    }
}

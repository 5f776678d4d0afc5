//! What speaks against a patch, or should be known before it is loaded: what, where, and what to do about it.

use crate::promise::Promise;
use serde::Serialize;
use std::fmt;

/// How much a finding weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// A promise does not hold: the patch may not be installed.
    Error,
    /// It may be installed, with a consequence that nobody should meet unprepared.
    Warning,
    /// Good to know.
    Note,
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How much it weighs.
    pub severity: Severity,
    /// The promise that it is about.
    pub promise: Promise,
    /// The module's file or its part, or the machine.
    pub place: String,
    /// What is found, and the way out.
    pub message: String,
}

impl Finding {
    /// A promise that does not hold.
    pub fn new(promise: Promise, place: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            promise,
            place: place.into(),
            message: message.into(),
        }
    }

    /// A consequence.
    pub fn warning(promise: Promise, place: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Warning,
            ..Self::new(promise, place, message)
        }
    }

    /// Something good to know.
    pub fn note(promise: Promise, place: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Note,
            ..Self::new(promise, place, message)
        }
    }

    /// Whether the patch may not be installed for it.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
        })
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.promise, self.place, self.message)
    }
}

//! What breaks a promise: which one, where, and what to do about it.

use crate::promise::Promise;
use serde::Serialize;
use std::fmt;

/// One thing for which a patch is refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The promise that does not hold.
    pub promise: Promise,
    /// The module's file or its part.
    pub place: String,
    /// What is wrong, and the way out.
    pub message: String,
}

impl Finding {
    /// A finding about a part of a module.
    pub fn new(promise: Promise, place: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            promise,
            place: place.into(),
            message: message.into(),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.promise, self.place, self.message)
    }
}

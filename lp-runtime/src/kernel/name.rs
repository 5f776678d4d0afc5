//! The name of a loaded patch, which is its module's name.
//!
//! The kernel names a module after its file with `-` turned into `_` (scripts/Makefile.lib, `name-fix`), so people type both.
//! The name becomes part of a path under `/sys`: nothing that could leave that folder is let through.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

use crate::error::Error;

/// `MODULE_NAME_LEN` is 56 with its zero byte on 64-bit kernels (include/linux/moduleparam.h).
const LONGEST: usize = 55;

/// A valid module name, `-` already replaced by `_`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct PatchName(String);

impl PatchName {
    /// The name as the kernel writes it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for PatchName {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let bad = |why| Error::BadName {
            name: text.to_owned(),
            why,
        };
        if text.is_empty() {
            return Err(bad("it is empty"));
        }
        if text.ends_with(".ko") {
            return Err(bad("this is a file; give the module's name, without `.ko`"));
        }
        if text.len() > LONGEST {
            return Err(bad("module names have at most 55 bytes"));
        }
        let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        if !text.chars().all(allowed) {
            return Err(bad("module names consist of letters, digits, `_` and `-`"));
        }
        Ok(Self(text.replace('-', "_")))
    }
}

impl fmt::Display for PatchName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

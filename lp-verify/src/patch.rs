//! A patch as far as it is known, whatever it was read from: a manifest, the tables of a module, a running system.

use crate::reader::tables::{Known, Unknown};
use lp_klp::core::{KlpObject, KlpPatch};
use lp_klp::state::KlpState;

/// A patch, some of whose parts may not be known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Patch {
    /// The module's name.
    pub name: String,
    /// The author's version of it; empty where nobody gave one.
    pub version: String,
    /// The kernel release that it is for; empty where that is not known.
    pub release: String,
    /// Whether it replaces what is installed before it.
    pub replace: Known<bool>,
    /// The system states that it changes.
    pub states: Known<Vec<KlpState>>,
    /// What it patches.
    pub objects: Known<Vec<KlpObject>>,
}

impl Patch {
    /// The patches that this one may turn out to be: one, or two where `replace` is set when it is loaded.
    ///
    /// # Errors
    /// Where its states cannot be known, and why.
    pub fn possible(&self) -> Result<Vec<KlpPatch>, Unknown> {
        let states = self.states.clone()?;
        let patch = |replace| KlpPatch {
            name: self.name.clone(),
            version: self.version.clone(),
            replace,
            states: states.clone(),
            objects: self.objects.clone().unwrap_or_default(),
        };
        Ok(match self.replace {
            Ok(replace) => vec![patch(replace)],
            Err(_) => vec![patch(false), patch(true)],
        })
    }
}

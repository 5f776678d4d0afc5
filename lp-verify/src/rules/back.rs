//! Can one go back?
//!
//! The same rule in the other direction: an older patch, loaded again over the new one.

use super::states;
use crate::finding::Finding;
use crate::installed::Installed;
use crate::patch::Patch;
use crate::promise::Promise::States;

/// Installed patches that could not be loaded over the new one again.
pub fn check(new: &Patch, installed: &Installed) -> Vec<Finding> {
    let over = std::slice::from_ref(new);
    let stuck = installed
        .patches
        .iter()
        .filter(|old| states::check(old, over).iter().any(Finding::is_error));
    stuck
        .map(|old| {
            let message = format!("there is no way back to '{}' by loading it over this one: its states are older. To go back, disable this one first", old.name);
            Finding::note(States, new.place.clone(), message)
        })
        .collect()
}

//! Does something stay undone because a replaced patch's callbacks do not run?
//!
//! When a patch is replaced, only the new one's callbacks run (`Documentation/livepatch/cumulative-patches.rst`).

use crate::finding::Finding;
use crate::installed::Installed;
use crate::patch::Patch;
use crate::promise::Promise::Callbacks;
use lp_klp::target::Callback;

/// Unpatch callbacks of what the new patch replaces.
pub fn check(new: &Patch, installed: &Installed) -> Vec<Finding> {
    if new.replace == Ok(false) {
        return Vec::new();
    }
    let undone = |old: &&Patch| {
        let mut kinds = old.callbacks.iter().map(|(_, kind)| *kind);
        kinds.any(|kind| matches!(kind, Callback::PreUnpatch | Callback::PostUnpatch))
    };
    let replaced = installed.patches.iter().filter(undone);
    replaced
        .map(|old| {
            let message = format!("it replaces '{}', whose unpatch callbacks will not run: what those undo must be taken over by its own callbacks (klp_get_prev_state)", old.name);
            Finding::warning(Callbacks, new.place.clone(), message)
        })
        .collect()
}

//! Can the new patch deal with what the installed ones changed?
//!
//! The rule itself is the kernel's, in [`lp_klp::state`].

use crate::finding::Finding;
use crate::promise::Promise::States;
use crate::reader::Module;
use lp_klp::state::incompatibilities;

/// Every state that stops the new patch.
pub fn check(new: &Module, installed: &[Module]) -> Vec<Finding> {
    let installed: Vec<_> = installed
        .iter()
        .map(|module| module.manifest.patch())
        .collect();
    let stopped = incompatibilities(&new.manifest.patch(), &installed);
    let finding = |incompatible: &lp_klp::state::Incompatible| {
        let message = format!(
            "{incompatible}: the kernel would answer -EINVAL; declare the state in that version or a later one"
        );
        Finding::new(States, new.path.display().to_string(), message)
    };
    stopped.iter().map(finding).collect()
}

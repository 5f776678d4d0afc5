//! Is a transition under way?
//!
//! There is one at a time: until it ends, `__klp_enable_patch` answers -EBUSY (`kernel/livepatch/core.c`, 6.1).

use crate::finding::Finding;
use crate::installed::Installed;
use crate::patch::Patch;
use crate::promise::Promise::Transition;

/// The installed patch that is in transition.
pub fn check(new: &Patch, installed: &Installed) -> Vec<Finding> {
    let busy = installed.patches.iter().filter(|patch| patch.transition);
    busy.map(|busy| {
        let message = format!(
            "installed patch '{0}' is in transition: {1}; wait for it, see 'lp-ctl status {0}'",
            busy.name,
            new.answer("-EBUSY")
        );
        Finding::new(Transition, new.place.clone(), message)
    })
    .collect()
}

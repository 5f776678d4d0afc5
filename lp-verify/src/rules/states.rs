//! Can the new patch deal with what the installed ones changed?
//!
//! The rule itself is the kernel's, in [`lp_klp::state`]. Where a part of a patch is set only when it is loaded, every
//! value that it may have must be fine.

use crate::finding::Finding;
use crate::patch::Patch;
use crate::promise::Promise::States;
use lp_klp::core::KlpPatch;
use lp_klp::state::incompatibilities;

/// Every state that stops the new patch; `installed` in any order.
pub fn check(new: &Patch, installed: &[Patch]) -> Vec<Finding> {
    let finding = |message: String| Finding::new(States, new.place.clone(), message);
    let (known, unknown): (Vec<_>, Vec<_>) =
        installed.iter().partition(|patch| patch.states.is_ok());
    let mut findings: Vec<Finding> = unknown
        .iter()
        .map(|old| finding(unknown_states(old)))
        .collect();
    let known: Vec<KlpPatch> = known
        .iter()
        .flat_map(|old| old.possible().ok()?.pop())
        .collect();
    match new.possible() {
        Ok(possible) => {
            let stopped = possible.iter().flat_map(|patch| incompatibilities(patch, &known));
            let mut messages: Vec<String> = stopped
                .map(|stopped| format!("{stopped}: {}; declare the state in that version or a later one", new.answer("-EINVAL")))
                .collect();
            messages.sort();
            messages.dedup();
            findings.extend(messages.into_iter().map(finding));
        }
        // Whatever the states are, over none all are fine.
        Err(_) if known.iter().all(|old| old.states.is_empty()) => {}
        Err(why) => findings.push(finding(format!("its states are not known: {why}. Whether it can deal with those of the installed patches cannot be told"))),
    }
    findings
}

fn unknown_states(old: &Patch) -> String {
    let why = old
        .states
        .as_ref()
        .err()
        .map(ToString::to_string)
        .unwrap_or_default();
    format!(
        "the states of the installed patch '{}' are not known: {why}. Whether the new one can deal with them cannot be told",
        old.name
    )
}

//! Which functions change hands?

use crate::finding::Finding;
use crate::installed::Installed;
use crate::patch::Patch;
use crate::promise::Promise::Overlap;
use lp_klp::name::ObjName;
use std::collections::BTreeSet;

type Functions = BTreeSet<(ObjName, String, u32)>;

/// Functions that go back to the original, or that two patches redirect without one replacing the other.
pub fn check(new: &Patch, installed: &Installed) -> Vec<Finding> {
    let own = new.functions();
    let mut findings = Vec::new();
    for old in &installed.patches {
        let theirs = old.functions();
        let (reverted, shared): (Functions, Functions) = theirs
            .into_iter()
            .partition(|function| !own.contains(function));
        if new.replace != Ok(false) && !reverted.is_empty() {
            let message = format!(
                "it replaces '{}' without its fix to {}: back to the original code",
                old.name,
                list(&reverted)
            );
            findings.push(Finding::warning(Overlap, new.place.clone(), message));
        }
        if new.replace != Ok(true) && !shared.is_empty() {
            let message = format!(
                "it and '{}' both redirect {}, and neither replaces the other: the newest wins, and whoever is disabled changes what runs",
                old.name,
                list(&shared)
            );
            findings.push(Finding::warning(Overlap, new.place.clone(), message));
        }
    }
    findings
}

/// The first few, and how many more.
fn list(functions: &Functions) -> String {
    const SHOWN: usize = 5;
    let names: Vec<&str> = functions
        .iter()
        .take(SHOWN)
        .map(|(_, name, _)| name.as_str())
        .collect();
    let more = functions.len().saturating_sub(SHOWN);
    match more {
        0 => names.join(", "),
        more => format!("{} and {more} more", names.join(", ")),
    }
}

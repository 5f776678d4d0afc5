//! The rules, one a file; each says which promise it keeps.

pub mod identity;
pub mod release;
pub mod relocations;
pub mod states;
pub mod tables;

use crate::finding::Finding;
use crate::reader::Module;

/// Everything that speaks against installing `new` over `installed`, which is ordered from the oldest to the
/// newest. Nothing found means that all promises hold.
pub fn check(new: &Module, installed: &[Module]) -> Vec<Finding> {
    let mut findings = identity::check(new, installed);
    findings.extend(release::check(new, installed));
    findings.extend(states::check(new, installed));
    findings.extend(relocations::check(new));
    findings.extend(tables::check(new));
    findings
}

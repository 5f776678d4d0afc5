//! The rules, one a file; each says which promise it keeps.

pub mod back;
pub mod callbacks;
pub mod functions;
pub mod identity;
pub mod kprobes;
pub mod machine;
pub mod overlap;
pub mod release;
pub mod relocations;
pub mod states;
pub mod symbols;
pub mod tables;
pub mod transition;

use crate::finding::Finding;
use crate::installed::Installed;
use crate::kernel::Kernel;
use crate::reader::Module;

/// Everything to be said of installing `new` over what is installed, errors first. No error means that all promises
/// hold. Without the kernel's own files nothing can be said of its functions and exports.
pub fn check(new: &Module, installed: &Installed, kernel: Option<&Kernel>) -> Vec<Finding> {
    let patch = new.patch();
    let mut findings = identity::check(new, installed);
    findings.extend(release::check(new, installed));
    findings.extend(machine::check(new, installed));
    findings.extend(transition::check(&patch, installed));
    findings.extend(states::check(&patch, &installed.patches));
    findings.extend(relocations::check(new));
    findings.extend(tables::check(new));
    if let Some(kernel) = kernel {
        findings.extend(release::against(new, kernel));
        findings.extend(symbols::check(new, kernel));
        findings.extend(functions::check(new, kernel));
    }
    findings.extend(overlap::check(&patch, installed));
    findings.extend(callbacks::check(&patch, installed));
    findings.extend(kprobes::check(&patch, installed));
    findings.extend(back::check(&patch, installed));
    findings.sort_by_key(|finding| finding.severity);
    findings
}

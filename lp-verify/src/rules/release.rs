//! Are all modules for one kernel release?
//!
//! The release is the first word of `vermagic`; the kernel compares all of it when the module is loaded
//! (`check_modinfo`, `kernel/module/main.c`).

use crate::finding::Finding;
use crate::installed::Installed;
use crate::promise::Promise::Release;
use crate::reader::Module;

/// The manifest's release, `vermagic`'s, and those of what is installed.
pub fn check(new: &Module, installed: &Installed) -> Vec<Finding> {
    let patch = new.patch();
    let release = patch.release.as_str();
    let mut findings = Vec::new();
    let place = new.path.display().to_string();
    match new.release() {
        Some(word) if word == release => {}
        Some(word) => findings.push(Finding::new(
            Release,
            place,
            format!("it was linked for '{word}' (vermagic), its manifest is for '{release}': build it again"),
        )),
        None => findings.push(Finding::new(Release, place, "'.modinfo' has no vermagic: the kernel would refuse it")),
    }
    for other in &installed.patches {
        let theirs = &other.release;
        if theirs.as_str() == release {
            continue;
        }
        let message = format!(
            "it is for '{theirs}', the new patch for '{release}': they cannot be on one machine"
        );
        findings.push(Finding::new(Release, other.place.clone(), message));
    }
    findings
}

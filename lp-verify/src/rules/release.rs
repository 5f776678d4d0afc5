//! Are all modules for one kernel release?
//!
//! The release is the first word of `vermagic`; the kernel compares all of it when the module is loaded
//! (`check_modinfo`, `kernel/module/main.c`).

use crate::finding::Finding;
use crate::installed::Installed;
use crate::kernel::Kernel;
use crate::promise::Promise::Release;
use crate::reader::Module;
use lp_klp::manifest::TargetKind;

/// The manifest's release, `vermagic`'s, and those of what is installed.
pub fn check(new: &Module, installed: &Installed) -> Vec<Finding> {
    let patch = new.patch();
    let release = patch.release.as_str();
    let mut findings = Vec::new();
    if patch.kind == TargetKind::Kernel {
        findings.extend(vermagic(new, release));
    }
    for other in &installed.patches {
        if other.kind != patch.kind {
            let message = "one of the two is for a kernel and the other for processes: they have nothing to do with each other";
            findings.push(Finding::new(Release, other.place.clone(), message));
            continue;
        }
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

fn vermagic(new: &Module, release: &str) -> Option<Finding> {
    let message = match new.release() {
        Some(word) if word == release => return None,
        Some(word) => format!(
            "it was linked for '{word}' (vermagic), its manifest is for '{release}': build it again"
        ),
        None => "'.modinfo' has no vermagic: the kernel would refuse it".to_owned(),
    };
    let place = new.path.display().to_string();
    Some(Finding::new(Release, place, message))
}

/// Is `vermagic` the kernel's own (`same_magic`, `kernel/module/version.c`, 6.1)? Where a module has versions of symbols
/// the release in it does not count.
pub fn against(new: &Module, kernel: &Kernel) -> Vec<Finding> {
    let (Some(theirs), Some(ours)) = (kernel.vermagic(), new.info("vermagic")) else {
        return Vec::new();
    };
    let counted = |vermagic: &str| match new.imports.versions {
        Some(_) => vermagic.split_once(' ').unwrap_or_default().1.to_owned(),
        None => vermagic.to_owned(),
    };
    if counted(ours) == counted(&theirs) {
        return Vec::new();
    }
    let message = format!(
        "its vermagic is '{ours}', the kernel's '{theirs}': the kernel would answer -ENOEXEC; build it for this kernel"
    );
    vec![Finding::new(
        Release,
        new.path.display().to_string(),
        message,
    )]
}

//! Is the module for the kernel that runs, and will that kernel take it?

use crate::finding::Finding;
use crate::installed::Installed;
use crate::promise::Promise::{Machine, Release};
use crate::reader::Module;

/// Release, architecture, build-id and signature. Nothing where what is installed was given as files.
pub fn check(new: &Module, installed: &Installed) -> Vec<Finding> {
    let Some(machine) = &installed.machine else {
        return Vec::new();
    };
    let patch = new.patch();
    let mut findings = Vec::new();
    let mut find = |promise, message: String| {
        findings.push(Finding::new(promise, patch.place.clone(), message))
    };
    if !machine.release.is_empty() && machine.release != patch.release {
        find(
            Release,
            format!(
                "it is for '{}', the machine runs '{}'",
                patch.release, machine.release
            ),
        );
    }
    if !machine.arch.is_empty() && machine.arch != new.arch {
        find(
            Machine,
            format!(
                "it is for '{}', the machine is '{}'",
                new.arch, machine.arch
            ),
        );
    }
    if !machine.build_id.is_empty()
        && !patch.build_id.is_empty()
        && machine.build_id != patch.build_id
    {
        find(
            Machine,
            format!(
                "it was built for the vmlinux with build-id {}, the machine runs {}: same release, other build; build it for that",
                patch.build_id, machine.build_id
            ),
        );
    }
    if machine.signatures == Some(true) && !new.signed {
        find(Machine, "the machine takes signed modules only and this one has no signature: sign it with scripts/sign-file".to_owned());
    }
    findings
}

//! Is the patch for the kernel or process that runs, and will that take it?

use crate::finding::Finding;
use crate::installed::{Installed, Machine as Running};
use crate::promise::Promise::{Machine, Release};
use crate::reader::Module;
use lp_klp::manifest::{Object, TargetKind};

/// Release, architecture, build-id and signature. Nothing where what is installed was given as files.
pub fn check(new: &Module, installed: &Installed) -> Vec<Finding> {
    let Some(machine) = &installed.machine else {
        return Vec::new();
    };
    let patch = new.patch();
    let is_process = patch.kind == TargetKind::Process;
    if is_process != machine.process.is_some() {
        let (ours, theirs) = match is_process {
            true => (
                "processes",
                "a kernel: take that of 'lp-ctl inventory --pid PID'",
            ),
            false => ("a kernel", "a process: take that of 'lp-ctl inventory'"),
        };
        let message = format!("it is for {ours}, and the inventory is that of {theirs}");
        return vec![Finding::new(Machine, patch.place, message)];
    }
    let mut findings = present(new, machine);
    findings.extend(other_builds(new, machine));
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

/// Are the machine's modules those that the patch was built with? Its `pre_patch` would refuse them.
fn other_builds(new: &Module, machine: &Running) -> Vec<Finding> {
    let objects = new.manifest.iter().flat_map(|manifest| &manifest.objects);
    let judge = |object: &Object| {
        let mut loaded = machine.modules.iter();
        let found = loaded.find(|found| found.name == object.name)?;
        let known = !object.build_id.is_empty() && !found.build_id.is_empty();
        (known && found.build_id != object.build_id).then(|| {
            let message = format!(
                "it was built with a module {} with build-id {}, the machine has {}: build it with that",
                object.name, object.build_id, found.build_id
            );
            Finding::new(Machine, object.name.as_str(), message)
        })
    };
    objects.filter_map(judge).collect()
}

/// Is what the patch was built for what the process has mapped?
fn present(new: &Module, process: &Running) -> Vec<Finding> {
    let objects = new.manifest.iter().flat_map(|manifest| &manifest.objects);
    let judge = |object: &Object| {
        let mapped = process.process.as_ref()?;
        let Some(found) = mapped.iter().find(|found| found.name == object.name) else {
            let message = format!(
                "the process has no {}: nothing of it is patched now",
                object.file
            );
            return Some(Finding::warning(Machine, object.name.as_str(), message));
        };
        (found.build_id != object.build_id).then(|| {
            let message = format!(
                "it was built for {} with build-id {}, the process has {}: build it for that",
                object.file, object.build_id, found.build_id
            );
            Finding::new(Machine, object.name.as_str(), message)
        })
    };
    objects.filter_map(judge).collect()
}

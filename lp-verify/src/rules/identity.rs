//! Is the module the patch that its manifest describes? A patch for processes has no `.modinfo`.

use crate::finding::Finding;
use crate::installed::Installed;
use crate::promise::Promise::Identity;
use crate::reader::Module;
use lp_klp::manifest::TargetKind;

/// Manifest, `.modinfo` and the names of what is installed.
pub fn check(new: &Module, installed: &Installed) -> Vec<Finding> {
    let place = new.path.display().to_string();
    let finding = |message: String| Finding::new(Identity, place.clone(), message);
    let patch = new.patch();
    let mut findings: Vec<_> = patch
        .possible()
        .iter()
        .filter_map(|possible| possible.first())
        .filter(|_| patch.objects.is_ok())
        .flat_map(|patch| patch.defects())
        .map(|defect| match defect.is_refused() {
            true => finding(defect.to_string()),
            false => Finding::warning(Identity, place.clone(), defect.to_string()),
        })
        .collect();
    if new.kind() == TargetKind::Kernel {
        findings.extend(modinfo(new, &patch.name).into_iter().map(finding));
    }
    if let Some(other) = installed
        .patches
        .iter()
        .find(|other| other.name == patch.name)
    {
        findings.push(finding(format!(
            "'{}' is installed already ({}): give the new patch another name",
            patch.name, other.place
        )));
    }
    findings
}

/// What is wrong with the module's own words.
fn modinfo(new: &Module, patch: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    match new.info("name") {
        Some(name) if name == patch => {}
        Some(name) => wrong.push(format!(
            "the module is '{name}', its manifest is for '{patch}'"
        )),
        None => {
            wrong.push("'.modinfo' has no name: the module was not linked by kbuild".to_owned())
        }
    }
    if new.info("livepatch") != Some("Y") {
        wrong.push(
            "'.modinfo' has no livepatch=Y: the kernel would not take it as a livepatch".to_owned(),
        );
    }
    wrong
}

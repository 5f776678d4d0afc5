//! Does the kernel export what the module takes from it, in the version it was built with, and to such a module?
//!
//! Mirrors `resolve_symbol` and `check_version` (`kernel/module/main.c`, `kernel/module/version.c`, 6.1). The tempting
//! wrong way is to compare releases: a kernel of the same release built otherwise has other versions, and the kernel
//! does not compare releases where there are versions.

use crate::finding::Finding;
use crate::kernel::exports::{Export, Exports};
use crate::kernel::{Binary, Kernel};
use crate::promise::Promise::Symbols;
use crate::reader::Module;
use lp_klp::name::ObjName;

/// `license_is_gpl_compatible` (`include/linux/license.h`, 6.1).
const GPL_COMPATIBLE: [&str; 6] = [
    "GPL",
    "GPL v2",
    "GPL and additional rights",
    "Dual BSD/GPL",
    "Dual MIT/GPL",
    "Dual MPL/GPL",
];

/// What every module takes, though no relocation says so (`check_modstruct_version`).
const MODULE_LAYOUT: &str = "module_layout";

/// Ordinary symbols; livepatch symbols are another rule's. Nothing where the vmlinux is not given.
pub fn check(new: &Module, kernel: &Kernel) -> Vec<Finding> {
    let Some(vmlinux) = &kernel.vmlinux else {
        return Vec::new();
    };
    let mut findings = Vec::new();
    let (modules, all_known) = depends(new, kernel, &mut findings);
    let exports: Vec<&Exports> = std::iter::once(vmlinux)
        .chain(&modules)
        .map(|binary| &binary.exports)
        .collect();
    let find = |name: &str| exports.iter().find_map(|exports| exports.get(name));
    let required = new.imports.required.iter().map(|name| (name, all_known));
    let optional = new.imports.optional.iter().map(|name| (name, false));
    for (name, must_be) in required.chain(optional) {
        let message = match find(name) {
            Some(export) => wrong(new, name, export),
            None if must_be => Some(not_exported(vmlinux, name)),
            None => None,
        };
        findings.extend(message.map(|message| Finding::new(Symbols, name, message)));
    }
    let layout = find(MODULE_LAYOUT).and_then(|export| version(new, MODULE_LAYOUT, export));
    findings.extend(layout.map(|message| Finding::new(Symbols, MODULE_LAYOUT, message)));
    findings
}

/// The modules that it needs, as far as they are at hand, and whether they all are.
fn depends(new: &Module, kernel: &Kernel, findings: &mut Vec<Finding>) -> (Vec<Binary>, bool) {
    let names = new.info("depends").unwrap_or_default().split(',');
    let names: Vec<&str> = names.filter(|name| !name.is_empty()).collect();
    let place = || new.path.display().to_string();
    let Some(modules) = &kernel.modules else {
        if !names.is_empty() {
            findings.push(Finding::note(
                Symbols,
                place(),
                format!(
                    "what it takes from {} was not looked at: give --modules",
                    names.join(", ")
                ),
            ));
        }
        return (Vec::new(), names.is_empty());
    };
    let mut binaries = Vec::new();
    for name in &names {
        let read = name.parse::<ObjName>().ok().map(|name| modules.read(&name));
        match read {
            Some(Ok(Some(binary))) => binaries.push(binary),
            Some(Err(error)) => findings.push(Finding::new(Symbols, place(), error.to_string())),
            _ => findings.push(Finding::new(
                Symbols,
                place(),
                format!(
                    "it needs module {name}, which is not in {}",
                    modules.folder().display()
                ),
            )),
        }
    }
    let all_known = binaries.len() == names.len();
    (binaries, all_known)
}

fn not_exported(vmlinux: &Binary, name: &str) -> String {
    match vmlinux.find(name, lp_klp::name::Sympos::UNIQUE) {
        Ok(_) | Err(crate::kernel::Missing::Several(_)) => {
            "the kernel has it and does not export it: the kernel would answer -ENOENT; it must be a livepatch symbol".to_owned()
        }
        Err(_) => "neither the kernel nor a module that the patch depends on exports it: the kernel would answer -ENOENT".to_owned(),
    }
}

/// What is wrong with the use of an exported symbol.
fn wrong(new: &Module, name: &str, export: &Export) -> Option<String> {
    let license = new.info("license").unwrap_or("unspecified");
    if export.gpl_only && !GPL_COMPATIBLE.contains(&license) {
        return Some(format!(
            "it is for modules under the GPL, and the module's license is '{license}': the kernel would answer -ENOENT"
        ));
    }
    version(new, name, export).or_else(|| namespace(new, export))
}

fn version(new: &Module, name: &str, export: &Export) -> Option<String> {
    let theirs = export.version?;
    let Some(versions) = &new.imports.versions else {
        return Some("the module has no symbol versions and the kernel wants them: the kernel would answer -ENOEXEC".to_owned());
    };
    match versions.get(name) {
        Some(ours) if *ours == theirs => None,
        Some(ours) => Some(format!(
            "the module was built with version {ours:08x} of it, the kernel has {theirs:08x}: other types or another configuration; the kernel would answer -EINVAL; build the patch for this kernel"
        )),
        None => {
            Some("the module has no version for it: the kernel would answer -EINVAL".to_owned())
        }
    }
}

fn namespace(new: &Module, export: &Export) -> Option<String> {
    let namespace = &export.namespace;
    let mut imported = new.modinfo.iter().filter(|(key, _)| key == "import_ns");
    if namespace.is_empty() || imported.any(|(_, value)| value == namespace) {
        return None;
    }
    Some(format!(
        "it is of the namespace {namespace}, which the module does not import (MODULE_IMPORT_NS): the kernel would answer -EINVAL"
    ))
}

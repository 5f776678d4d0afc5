//! Does the kernel have what the patch is about?
//!
//! Mirrors `klp_find_object_symbol` and `klp_patch_func` (6.1): a function must exist, be the one meant by its
//! position, and have a place that ftrace can redirect; every livepatch symbol must resolve in the same way.

use crate::finding::Finding;
use crate::kernel::{Kernel, Missing};
use crate::promise::Promise::Functions;
use crate::reader::Module;
use lp_klp::name::{KlpSymName, Sympos};

/// Functions and livepatch symbols of vmlinux. Those of modules are not in that file.
pub fn check(new: &Module, kernel: &Kernel) -> Vec<Finding> {
    let patch = new.patch();
    let mut findings = Vec::new();
    let objects = patch
        .objects
        .iter()
        .flatten()
        .filter(|object| object.name.is_vmlinux());
    for func in objects.flat_map(|object| &object.funcs) {
        let place = format!("{},{}", func.old_name, func.sympos.0);
        match kernel.find(&func.old_name, func.sympos) {
            Err(missing) => findings.push(Finding::new(Functions, place, explain(missing))),
            Ok(found) if !kernel.is_traceable(found) => {
                findings.push(Finding::new(Functions, place, "ftrace cannot redirect it (notrace, or no fentry site): the kernel would answer -EINVAL"));
            }
            Ok(found) => findings.extend(
                code(new, &func.old_name, func.sympos, kernel, found)
                    .map(|message| Finding::new(Functions, place, message)),
            ),
        }
    }
    let names = new
        .klp_symbols
        .iter()
        .filter_map(|symbol| symbol.name.parse::<KlpSymName>().ok());
    for name in names.filter(|name| name.object.is_vmlinux()) {
        if let Err(missing) = kernel.find(&name.symbol, name.sympos) {
            findings.push(Finding::new(Functions, name.to_string(), explain(missing)));
        }
    }
    findings
}

fn explain(missing: Missing) -> String {
    match missing {
        Missing::Absent => "the kernel has no such symbol: is this vmlinux the one that runs, and the patch built for it?".to_owned(),
        Missing::Several(count) => format!("the kernel has {count} symbols of this name and the patch does not say which: build it again with its position"),
        Missing::Position(count) => format!("the kernel has only {count} of this name"),
    }
}

/// What is wrong with the code that is to be replaced.
fn code(
    new: &Module,
    name: &str,
    sympos: Sympos,
    kernel: &Kernel,
    found: crate::kernel::Symbol,
) -> Option<String> {
    let objects = new
        .manifest
        .iter()
        .flat_map(|manifest| &manifest.objects)
        .filter(|object| object.name.is_vmlinux());
    let mut functions = objects.flat_map(|object| &object.functions);
    let told = functions.find(|function| function.name == name && function.sympos == sympos)?;
    if told.old_hash.is_empty() {
        return None;
    }
    let hash = kernel.hash(found, told.old_size)?;
    (hash != told.old_hash).then(|| "its code in this kernel is not the code that the patch was built to replace: build the patch for this kernel".to_owned())
}

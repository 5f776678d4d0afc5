//! Does the kernel have what the patch is about?
//!
//! Mirrors `klp_find_object_symbol` and `klp_patch_func` (6.1): a function must exist, be the one meant by its
//! position, and have a place that ftrace can redirect; every livepatch symbol must resolve in the same way. For a
//! module the kernel finds out when it is loaded, and then refuses the module (`klp_module_coming`).

use crate::finding::Finding;
use crate::kernel::{Binary, Kernel, Missing, Symbol};
use crate::patch::Patch;
use crate::promise::Promise::Functions;
use crate::reader::Module;
use lp_klp::core::KlpFunc;
use lp_klp::name::{KlpSymName, ObjName};
use std::collections::BTreeSet;

/// Functions and livepatch symbols, of vmlinux and of modules as far as these are given.
pub fn check(new: &Module, kernel: &Kernel) -> Vec<Finding> {
    let patch = new.patch();
    let mut findings = Vec::new();
    for object in objects(new, &patch) {
        if object.is_vmlinux() {
            let vmlinux = kernel.vmlinux.as_ref();
            findings.extend(
                vmlinux
                    .iter()
                    .flat_map(|it| check_object(new, &patch, &object, it)),
            );
            continue;
        }
        let Some(modules) = &kernel.modules else {
            continue;
        };
        match modules.read(&object) {
            Ok(Some(module)) => findings.extend(check_object(new, &patch, &object, &module)),
            Ok(None) => findings.push(Finding::warning(
                Functions,
                object.as_str(),
                format!("there is no such module in {}: nothing of it is patched, and nothing is known of it", modules.folder().display()),
            )),
            Err(error) => findings.push(Finding::new(Functions, object.as_str(), error.to_string())),
        }
    }
    findings
}

/// All that the patch names, in its tables or in its livepatch symbols.
fn objects(new: &Module, patch: &Patch) -> BTreeSet<ObjName> {
    let tables = patch.objects.iter().flatten();
    let tables = tables.map(|object| object.name.clone());
    tables
        .chain(klp_symbols(new).map(|name| name.object))
        .collect()
}

fn klp_symbols(new: &Module) -> impl Iterator<Item = KlpSymName> {
    new.klp_symbols
        .iter()
        .filter_map(|symbol| symbol.name.parse().ok())
}

fn check_object(new: &Module, patch: &Patch, object: &ObjName, binary: &Binary) -> Vec<Finding> {
    let mut findings = Vec::new();
    let tables = patch.objects.iter().flatten();
    let tables = tables.filter(|table| table.name == *object);
    for func in tables.flat_map(|table| &table.funcs) {
        let place = match object.is_vmlinux() {
            true => format!("{},{}", func.old_name, func.sympos.0),
            false => format!("{object}:{},{}", func.old_name, func.sympos.0),
        };
        let message = function(new, object, func, binary);
        findings.extend(message.map(|message| Finding::new(Functions, place, message)));
    }
    for name in klp_symbols(new).filter(|name| name.object == *object) {
        if let Err(missing) = binary.find(&name.symbol, name.sympos) {
            let message = explain(missing, object);
            findings.push(Finding::new(Functions, name.to_string(), message));
        }
    }
    findings
}

/// What is wrong with a function that is to be redirected.
fn function(new: &Module, object: &ObjName, func: &KlpFunc, binary: &Binary) -> Option<String> {
    match binary.find(&func.old_name, func.sympos) {
        Err(missing) => Some(explain(missing, object)),
        Ok(found) if !binary.is_traceable(found) => Some(
            "ftrace cannot redirect it (notrace, or no fentry site): the kernel would answer -EINVAL".to_owned(),
        ),
        Ok(found) => code(new, object, func, binary, found),
    }
}

fn explain(missing: Missing, object: &ObjName) -> String {
    let (owner, file) = match object.is_vmlinux() {
        true => ("the kernel".to_owned(), "vmlinux the one that runs"),
        false => (format!("module {object}"), "module the one that is loaded"),
    };
    match missing {
        Missing::Absent => {
            format!("{owner} has no such symbol: is this {file}, and the patch built for it?")
        }
        Missing::Several(count) => format!(
            "{owner} has {count} symbols of this name and the patch does not say which: build it again with its position"
        ),
        Missing::Position(count) => format!("{owner} has only {count} of this name"),
        Missing::Init => format!(
            "{owner} has another symbol of this name in its init code: which one is meant would change when that is freed"
        ),
    }
}

/// What is wrong with the code that is to be replaced.
fn code(
    new: &Module,
    object: &ObjName,
    func: &KlpFunc,
    binary: &Binary,
    found: Symbol,
) -> Option<String> {
    let objects = new
        .manifest
        .iter()
        .flat_map(|manifest| &manifest.objects)
        .filter(|told| told.name == *object);
    let mut functions = objects.flat_map(|object| &object.functions);
    let told = functions
        .find(|told| told.name == func.old_name && told.sympos == func.sympos)
        .filter(|told| !told.old_hash.is_empty())?;
    let hash = binary.hash(found, told.old_size)?;
    (hash != told.old_hash).then(|| "its code in this kernel is not the code that the patch was built to replace: build the patch for this kernel".to_owned())
}

//! What is installed on this machine, for `lp-verify` here or elsewhere.
//!
//! A patch of ours says what it is in its note, which the kernel shows under `/sys/module`; of any other the kernel
//! shows functions alone.

use std::fs;
use std::path::Path;

use lp_klp::core::KlpFunc;
use lp_klp::inventory::{FORMAT, InstalledObject, InstalledPatch, Inventory, PresentObject};
use lp_klp::manifest::{Manifest, Target, TargetKind};
use lp_klp::name::Sympos;
use lp_klp::note;

use super::host::Host;
use super::sysfs::{self, Object, Patch};
use crate::error::Error;

/// Reads the running kernel's inventory.
///
/// # Errors
/// Where the kernel has no livepatching, or its files cannot be read.
pub fn inventory(host: &Host) -> Result<Inventory, Error> {
    let patches = sysfs::patches(host)?;
    Ok(Inventory {
        host: text(host, "proc/sys/kernel/hostname").unwrap_or_default(),
        format: FORMAT,
        kernel: Target {
            kind: TargetKind::Kernel,
            release: host.release().unwrap_or_default(),
            build_id: build_id(&host.root().join("sys/kernel/notes")).unwrap_or_default(),
            arch: std::env::consts::ARCH.to_owned(),
        },
        process: None,
        signatures: text(host, "sys/module/module/parameters/sig_enforce")
            .map(|value| value == "Y"),
        modules: modules(host),
        kprobes: kprobes(host),
        patches: patches.iter().map(|patch| installed(host, patch)).collect(),
    })
}

fn text(host: &Host, path: &str) -> Option<String> {
    let text = fs::read_to_string(host.root().join(path)).ok()?;
    Some(text.trim().to_owned())
}

/// Those that are not from the kernel's tree, by name. One that goes away meanwhile is just gone.
fn modules(host: &Host) -> Vec<PresentObject> {
    let folders = fs::read_dir(host.root().join("sys/module"));
    let names = folders.into_iter().flatten().flatten();
    let outside = names.filter_map(|folder| {
        let taint = fs::read_to_string(folder.path().join("taint")).ok()?;
        let note = folder.path().join("notes/.note.gnu.build-id");
        Some(PresentObject {
            name: folder.file_name().to_str()?.parse().ok()?,
            build_id: build_id(&note).unwrap_or_default(),
        })
        .filter(|_| taint.contains('O'))
    });
    let mut modules: Vec<PresentObject> = outside.collect();
    modules.sort_by(|a, b| a.name.cmp(&b.name));
    modules
}

/// The build-id (owner `GNU`, type 3) among the notes that a file has.
fn build_id(file: &Path) -> Option<String> {
    let notes = fs::read(file).ok()?;
    let id = note::find(&notes, "GNU", 3)?;
    Some(id.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// `ADDRESS  k  FUNCTION+0xOFFSET  [FLAGS]`; a probe at an offset is not at the entry.
fn kprobes(host: &Host) -> Option<Vec<String>> {
    let list = text(host, "sys/kernel/debug/kprobes/list")?;
    let entry = |line: &str| {
        let (function, offset) = line.split_whitespace().nth(2)?.rsplit_once('+')?;
        (offset == "0x0").then(|| function.to_owned())
    };
    Some(list.lines().filter_map(entry).collect())
}

fn installed(host: &Host, patch: &Patch) -> InstalledPatch {
    InstalledPatch {
        name: patch.name.clone(),
        enabled: patch.enabled,
        transition: patch.transition,
        replace: patch.replace,
        objects: patch.objects.iter().filter_map(object).collect(),
        manifest: manifest(host, &patch.name),
    }
}

fn object(object: &Object) -> Option<InstalledObject> {
    let functions = object.functions.iter().map(|function| KlpFunc {
        old_name: function.name.clone(),
        sympos: Sympos(function.sympos),
    });
    Some(InstalledObject {
        name: object.name.parse().ok()?,
        functions: functions.collect(),
    })
}

fn manifest(host: &Host, module: &str) -> Option<Manifest> {
    let path = host.module(module).join("notes").join(note::NOTE_SECTION);
    note::decode(&fs::read(path).ok()?).ok()
}

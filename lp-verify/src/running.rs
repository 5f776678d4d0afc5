//! What is installed on this machine, from `/sys/kernel/livepatch` and the notes of modules.
//!
//! Kernels before 6.14 do not tell the order of patches; the rules need none. The tempting wrong way is to trust a
//! folder to stay: a patch goes away between any two reads, and is then just gone.

use lp_klp::core::KlpFunc;
use lp_klp::inventory::{FORMAT, InstalledObject, InstalledPatch, Inventory};
use lp_klp::manifest::Target;
use lp_klp::name::Sympos;
use lp_klp::note;
use std::fs;
use std::io;
use std::path::Path;

/// Reads the running kernel's inventory; `root` is `/`, but in tests.
///
/// # Errors
/// Where the kernel has no livepatching, or its files cannot be read.
pub fn inventory(root: &Path) -> io::Result<Inventory> {
    let folder = root.join("sys/kernel/livepatch");
    let mut patches: Vec<(Option<u32>, InstalledPatch)> = Vec::new();
    for name in folders(&folder)? {
        patches.extend(patch(root, &folder.join(&name), name));
    }
    patches.sort_by(|(a, one), (b, other)| (a, &one.name).cmp(&(b, &other.name)));
    let text = |path: &str| fs::read_to_string(root.join(path)).map(|text| text.trim().to_owned());
    let notes = fs::read(root.join("sys/kernel/notes")).unwrap_or_default();
    let build_id = note::find(&notes, "GNU", 3).unwrap_or_default();
    Ok(Inventory {
        host: text("proc/sys/kernel/hostname").unwrap_or_default(),
        format: FORMAT,
        kernel: Target {
            kind: lp_klp::manifest::TargetKind::Kernel,
            release: text("proc/sys/kernel/osrelease").unwrap_or_default(),
            build_id: build_id.iter().map(|byte| format!("{byte:02x}")).collect(),
            arch: std::env::consts::ARCH.to_owned(),
        },
        process: None,
        signatures: text("sys/module/module/parameters/sig_enforce")
            .ok()
            .map(|value| value == "Y"),
        kprobes: None,
        patches: patches.into_iter().map(|(_, patch)| patch).collect(),
    })
}

fn patch(root: &Path, folder: &Path, name: String) -> Option<(Option<u32>, InstalledPatch)> {
    let attribute = |name: &str| {
        fs::read_to_string(folder.join(name))
            .ok()?
            .trim()
            .parse::<u32>()
            .ok()
    };
    let notes = root
        .join("sys/module")
        .join(&name)
        .join("notes")
        .join(note::NOTE_SECTION);
    let manifest = fs::read(notes)
        .ok()
        .and_then(|note| note::decode(&note).ok());
    let objects = folders(folder).ok()?.into_iter().filter_map(|object| {
        let functions = folders(&folder.join(&object)).ok()?;
        Some(InstalledObject {
            name: object.parse().ok()?,
            functions: functions
                .iter()
                .filter_map(|entry| function(entry))
                .collect(),
        })
    });
    let patch = InstalledPatch {
        enabled: attribute("enabled")? != 0,
        transition: attribute("transition")? != 0,
        replace: attribute("replace").map(|value| value != 0),
        objects: objects.collect(),
        manifest,
        name,
    };
    Some((attribute("stack_order"), patch))
}

/// `FUNCTION,POSITION`
fn function(entry: &str) -> Option<KlpFunc> {
    let (name, position) = entry.rsplit_once(',')?;
    Some(KlpFunc {
        old_name: name.to_owned(),
        sympos: Sympos(position.parse().ok()?),
    })
}

fn folders(path: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}

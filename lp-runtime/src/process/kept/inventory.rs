//! What is installed in a process, for `lp-verify` here or elsewhere.

use std::fs;

use lp_klp::inventory::{FORMAT, InstalledPatch, Inventory, PresentObject, Process as Described};
use lp_klp::manifest::{Target, TargetKind};
use lp_klp::name::ObjName;

use crate::process::error::ProcessError;
use crate::process::kept::control::{Contents, Control};
use crate::process::prepare::patch_file::PatchFile;
use crate::process::read::images::Images;
use crate::process::read::maps::Maps;
use crate::process::session::Process;
use crate::process::touch::write::WriteMemory;

impl Process {
    /// Which of a patch's objects the process has now. With none of them it may not be the process that was meant.
    ///
    /// # Errors
    /// Where the process is gone, or its objects cannot be told.
    pub fn present(&self, patch: &PatchFile) -> Result<Vec<ObjName>, ProcessError> {
        let pid = self.about().identity.pid;
        let memory = WriteMemory::open(pid)?;
        let images = Images::read(pid, &Maps::read(pid)?, &memory)?;
        let names = patch.manifest.objects.iter().map(|object| &object.name);
        let mut present = Vec::new();
        for name in names {
            present.extend(images.find(name)?.map(|_| name.clone()));
        }
        Ok(present)
    }

    /// Reads the process's inventory. Nothing is done to it.
    ///
    /// # Errors
    /// Where it is gone, or its memory cannot be read or understood.
    pub fn inventory(&self) -> Result<Inventory, ProcessError> {
        let about = self.about();
        about.identity.check()?;
        let pid = about.identity.pid;
        let memory = WriteMemory::open(pid)?;
        let maps = Maps::read(pid)?;
        let images = Images::read(pid, &maps, &memory)?;
        let control = Control::find(&maps, &memory)?;
        let contents = control.map(|it| it.contents().clone()).unwrap_or_default();
        let present = images.iter().filter_map(|image| {
            Some(PresentObject {
                name: image.object.clone()?,
                build_id: image.build_id_text(),
            })
        });
        let installed = contents.patches.iter().map(|patch| InstalledPatch {
            name: patch.name.clone(),
            enabled: patch.enabled,
            transition: is_changing(&contents, &patch.name),
            replace: None,
            objects: Vec::new(),
            manifest: patch.described(),
        });
        Ok(Inventory {
            host: hostname(),
            format: FORMAT,
            kernel: Target {
                kind: TargetKind::Process,
                release: String::new(),
                build_id: String::new(),
                arch: std::env::consts::ARCH.to_owned(),
            },
            process: Some(Described {
                pid,
                program: about.exe.to_string_lossy().into_owned(),
                objects: present.collect(),
            }),
            signatures: None,
            modules: Vec::new(),
            kprobes: None,
            patches: installed.collect(),
        })
    }
}

/// Whether some threads are on their way to or from a patch, or a loader is at work, or was killed at it.
fn is_changing(contents: &Contents, patch: &str) -> bool {
    let transition = contents.transition.as_ref();
    let journal = contents.journal.as_ref();
    transition.is_some_and(|it| it.patch == patch) || journal.is_some_and(|it| it.patch == patch)
}

fn hostname() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    name.trim().to_owned()
}

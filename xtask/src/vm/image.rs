//! Puts the initramfs together: our init, `lp-ctl`, busybox, the patches, the kernel modules they need, and the plan.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Serialize;

use super::cpio::Archive;
use super::modules::Modules;
use super::plan::{Differential, Job, Patches, Plan, Selftests};
use crate::kernels::Installed;
use crate::tools::GuestTools;

/// From the package busybox-static.
const BUSYBOX: &str = "/bin/busybox";

/// Mount points, and what programs expect to be there.
const FOLDERS: [&str; 6] = ["dev", "proc", "sys", "tmp", "bin", "etc"];

/// Writes the initramfs for these jobs.
pub(crate) fn write(
    file: &Path,
    kernel: &Installed,
    guest: &GuestTools,
    jobs: &[Job],
) -> Result<()> {
    let mut image = Image::begin(file, guest)?;
    let modules = Modules::of(kernel)?;
    let jobs = jobs
        .iter()
        .map(|job| image.job(job, &modules))
        .collect::<Result<_>>()?;
    image.finish(file, &Plan { jobs })
}

/// Writes the initramfs for the differential test.
pub(crate) fn write_differential(
    file: &Path,
    guest: &GuestTools,
    job: &Differential,
) -> Result<()> {
    let mut image = Image::begin(file, guest)?;
    for module in &job.modules {
        image.copy(module, &format!("pool/{}", file_name(module)))?;
    }
    image.copy(&job.vmlinux, "pool/vmlinux")?;
    let jobs = vec![job.in_guest(absolute("pool"), absolute("pool/vmlinux"))];
    image.finish(file, &Plan { jobs })
}

/// Writes the initramfs for the kernel's selftests.
pub(crate) fn write_selftests(file: &Path, guest: &GuestTools, job: &Selftests) -> Result<()> {
    let mut image = Image::begin(file, guest)?;
    for (from, place) in &job.files {
        image.copy(from, place)?;
    }
    let jobs = job.in_guest();
    image.finish(file, &Plan { jobs })
}

struct Image {
    archive: Archive<BufWriter<File>>,
    present: BTreeSet<String>,
}

impl Image {
    /// With what every guest has.
    fn begin(file: &Path, guest: &GuestTools) -> Result<Self> {
        let out = File::create(file).with_context(|| format!("create {}", file.display()))?;
        let mut image = Self {
            archive: Archive::new(BufWriter::new(out)),
            present: BTreeSet::new(),
        };
        for folder in FOLDERS {
            image.archive.folder(folder)?;
        }
        // The kernel opens it for init's output, before anything is mounted on /dev.
        image.archive.device("dev/console", 5, 1)?;
        image.copy(&guest.init, "init")?;
        image.copy(&guest.lp_ctl, "bin/lp-ctl")?;
        image.copy(Path::new(BUSYBOX), "bin/busybox")?;
        for library in &guest.libraries {
            let place = library.strip_prefix("/").unwrap_or(library);
            image.copy(library, &place.display().to_string())?;
        }
        Ok(image)
    }

    fn finish<J: Serialize>(mut self, file: &Path, plan: &Plan<J>) -> Result<()> {
        let plan = serde_json::to_vec_pretty(plan)?;
        self.archive.file("plan.json", &plan)?;
        let finished = self.archive.finish();
        finished.with_context(|| format!("write {}", file.display()))?;
        Ok(())
    }

    fn copy(&mut self, file: &Path, place: &str) -> Result<()> {
        if !self.present.insert(place.to_owned()) {
            return Ok(());
        }
        let data = fs::read(file).with_context(|| format!("read {}", file.display()))?;
        self.archive
            .file(place, &data)
            .with_context(|| format!("pack {}", file.display()))
    }

    fn job(&mut self, job: &Job, modules: &Modules) -> Result<super::plan::GuestJob> {
        let mut patches = Patches::new();
        for (name, patch) in &job.patches {
            let place = format!("patches/{}/{name}/{}", job.name, file_name(patch));
            self.copy(patch, &place)?;
            patches.insert(name.clone(), absolute(&place));
        }
        let needed = modules
            .in_order(&job.modules)
            .with_context(|| format!("case {}", job.name))?;
        let mut insmod = Vec::new();
        for module in needed.iter().chain(&job.outside) {
            let place = format!("modules/{}", file_name(module));
            self.copy(module, &place)?;
            insmod.push(absolute(&place));
        }
        Ok(job.in_guest(patches, insmod))
    }
}

fn file_name(path: &Path) -> String {
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

fn absolute(place: &str) -> PathBuf {
    Path::new("/").join(place)
}

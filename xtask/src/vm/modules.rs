//! Which module files to insert, in which order, so that given modules are there.
//!
//! From the `depends=` of each file, as an unpacked image package has no `modules.dep`. That list leaves out what the kernel has built in
//! and what a module asks for only when it runs (softdeps): a case names those itself.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::kernels::Installed;
use crate::{command, paths};

/// How kernels since 6.6 or so come from Debian.
const COMPRESSED: &str = ".ko.xz";

/// All modules of a kernel, by name.
pub(crate) struct Modules {
    files: BTreeMap<String, PathBuf>,
}

impl Modules {
    pub(crate) fn of(kernel: &Installed) -> Result<Self> {
        let mut files = BTreeMap::new();
        collect(
            &kernel
                .sysroot
                .join("lib/modules")
                .join(&kernel.release)
                .join("kernel"),
            &mut files,
        )?;
        Ok(Self { files })
    }

    /// The files for these modules and all that they need, each after those it needs.
    pub(crate) fn in_order(&self, names: &[String]) -> Result<Vec<PathBuf>> {
        let mut order = Vec::new();
        for name in names {
            self.add(name, &mut order)?;
        }
        Ok(order)
    }

    fn add(&self, name: &str, order: &mut Vec<PathBuf>) -> Result<()> {
        let file = self
            .files
            .get(&normal(name))
            .with_context(|| format!("the kernel has no module `{name}`"))?;
        let file = &unpacked(file)?;
        if order.contains(file) {
            return Ok(());
        }
        for needed in depends(file)? {
            self.add(&needed, order)?;
        }
        order.push(file.clone());
        Ok(())
    }
}

fn depends(file: &Path) -> Result<Vec<String>> {
    // /sbin is not in everyone's PATH.
    let program = if Path::new("/sbin/modinfo").exists() {
        "/sbin/modinfo"
    } else {
        "modinfo"
    };
    let text = command::capture(Command::new(program).args(["-F", "depends"]).arg(file))?;
    Ok(text
        .trim()
        .split(',')
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect())
}

fn collect(folder: &Path, files: &mut BTreeMap<String, PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("read {}", folder.display()))? {
        let entry = entry?;
        let path = entry.path();
        if path.is_dir() {
            collect(&path, files)?;
            continue;
        }
        let file = entry.file_name();
        let file = file.to_string_lossy();
        let name = [".ko", COMPRESSED]
            .iter()
            .find_map(|end| file.strip_suffix(end));
        if let Some(name) = name {
            files.insert(normal(name), path);
        }
    }
    Ok(())
}

/// What lies in the guest is what is inserted there: a file that is compressed is unpacked here.
fn unpacked(file: &Path) -> Result<PathBuf> {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let Some(stem) = name.strip_suffix(COMPRESSED) else {
        return Ok(file.to_path_buf());
    };
    let folder = paths::output("vm/modules");
    fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
    let place = folder.join(format!("{stem}.ko"));
    let data = command::output(
        Command::new("xz")
            .args(["--decompress", "--stdout"])
            .arg(file),
    )?;
    ensure!(data.status.success(), "xz cannot unpack {}", file.display());
    fs::write(&place, data.stdout).with_context(|| format!("write {}", place.display()))?;
    Ok(place)
}

fn normal(name: &str) -> String {
    name.replace('-', "_")
}

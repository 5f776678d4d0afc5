//! Which module files to insert, in which order, so that given modules are there.
//!
//! From the `depends=` of each file, as an unpacked image package has no `modules.dep`. That list leaves out what the kernel has built in
//! and what a module asks for only when it runs (softdeps): a case names those itself.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::command;
use crate::kernels::Installed;

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
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "ko") {
            let name = path.file_stem().unwrap_or_default().to_string_lossy();
            files.insert(normal(&name), path.clone());
        }
    }
    Ok(())
}

fn normal(name: &str) -> String {
    name.replace('-', "_")
}

//! Modules built by the kernel's own build, kept under what they were built from.
//!
//! The build folder is prepared here and not by `lp-build`: a judge must not be made by what is judged.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

use crate::kernels::Installed;
use crate::{command, paths};

/// The modules of the sources in `fresh`, which has a Kbuild and becomes, or makes way for, `NAME-KEY` beside it.
pub(crate) fn modules(kernel: &Installed, fresh: &Path, name: &str) -> Result<Vec<PathBuf>> {
    let place = fresh.with_file_name(format!("{name}-{}", key(fresh, kernel)?));
    if place.exists() {
        remove(fresh)?;
    } else {
        let start = Instant::now();
        build(kernel, fresh)?;
        fs::rename(fresh, &place).with_context(|| format!("rename {}", fresh.display()))?;
        println!(
            "{name}: modules built in {:.1} s",
            start.elapsed().as_secs_f64()
        );
    }
    files(&place, "ko")
}

/// Builds the modules of a folder in it, as `make M=` does.
pub(crate) fn build(kernel: &Installed, folder: &Path) -> Result<()> {
    let prepared = prepared(kernel)?;
    let mut make = make(kernel, &prepared);
    // Without debug information; what has none to be made of is no warning either.
    make.arg(format!("M={}", folder.display())).args([
        "KCFLAGS=-g0",
        "CONFIG_DEBUG_INFO_BTF_MODULES=",
        "modules",
    ]);
    command::quiet(&mut make)
}

/// An empty folder for the sources of modules.
pub(crate) fn fresh(name: &str) -> Result<PathBuf> {
    let fresh = paths::output("differential").join(format!("{name}.new"));
    remove(&fresh)?;
    fs::create_dir_all(&fresh).with_context(|| format!("create {}", fresh.display()))?;
    Ok(fresh)
}

fn key(folder: &Path, kernel: &Installed) -> Result<String> {
    let mut hash = Sha256::new();
    hash.update(format!("{} {}\n", kernel.release, kernel.version));
    for file in files(folder, "")? {
        let bytes = fs::read(&file).with_context(|| format!("read {}", file.display()))?;
        hash.update(file.file_name().unwrap_or_default().as_encoded_bytes());
        hash.update(bytes.len().to_le_bytes());
        hash.update(bytes);
    }
    let digest = hash.finalize();
    Ok(digest
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect())
}

/// The files of a folder with this extension, or all; sorted.
pub(crate) fn files(folder: &Path, extension: &str) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| format!("read {}", folder.display()))?;
    let mut files: Vec<PathBuf> = entries
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<_>>()?;
    files.retain(|file| {
        extension.is_empty() || file.extension().is_some_and(|found| found == extension)
    });
    files.sort();
    Ok(files)
}

/// A folder in which the kernel's build is prepared for modules.
fn prepared(kernel: &Installed) -> Result<PathBuf> {
    let place = paths::output("differential").join(format!("build-{}", kernel.version));
    if place.exists() {
        return Ok(place);
    }
    let fresh = place.with_extension("new");
    remove(&fresh)?;
    fs::create_dir_all(&fresh).with_context(|| format!("create {}", fresh.display()))?;
    let root = &kernel.sysroot;
    copy(
        &root.join(format!("boot/config-{}", kernel.release)),
        &fresh.join(".config"),
    )?;
    let symvers = format!("usr/src/linux-headers-{}/Module.symvers", kernel.release);
    copy(&root.join(symvers), &fresh.join("Module.symvers"))?;
    for goal in ["olddefconfig", "modules_prepare"] {
        command::quiet(make(kernel, &fresh).args(["-j2", goal]))?;
    }
    fs::rename(&fresh, &place).with_context(|| format!("rename {}", fresh.display()))?;
    // The folder's name is in its makefile.
    command::quiet(make(kernel, &place).arg("outputmakefile"))?;
    Ok(place)
}

fn make(kernel: &Installed, build: &Path) -> Command {
    let mut make = Command::new("make");
    make.env_remove("MAKEFLAGS")
        .env_remove("KCFLAGS")
        .env("LC_ALL", "C");
    make.arg("--silent").arg("-C").arg(&kernel.source);
    make.arg(format!("O={}", build.display()));
    make.arg(format!("KERNELRELEASE={}", kernel.release));
    make
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::copy(from, to).with_context(|| format!("copy {}", from.display()))?;
    Ok(())
}

fn remove(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("remove {}", folder.display()))?;
    }
    Ok(())
}

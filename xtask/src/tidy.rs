//! `cargo xtask tidy`: rules for our sources that no compiler checks. All broken ones are named, not the first.
//!
//! They fence the architecture: where `unsafe` may be, who may depend on whom, how long a file may get.

mod manifest;
mod rules;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::paths;

/// Checks all rules.
pub(crate) fn run() -> Result<()> {
    let root = paths::workspace();
    let mut problems = Vec::new();
    let mut files = 0;
    for package in packages(&root)? {
        let manifest = root.join(&package).join("Cargo.toml");
        problems.extend(manifest::check(&package, &read(&manifest)?));
        for file in sources(&root.join(&package))? {
            files += 1;
            let name = file.strip_prefix(&root).unwrap_or(&file);
            problems.extend(rules::check(&name.to_string_lossy(), &read(&file)?));
        }
    }
    if problems.is_empty() {
        println!("tidy: {files} files ok");
        return Ok(());
    }
    bail!(
        "{} rules are broken:\n  {}",
        problems.len(),
        problems.join("\n  ")
    )
}

/// The workspace's folders that hold a package.
fn packages(root: &Path) -> Result<Vec<String>> {
    let mut packages = Vec::new();
    for entry in fs::read_dir(root).with_context(|| format!("read {}", root.display()))? {
        let entry = entry?;
        if entry.path().join("Cargo.toml").exists() {
            packages.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    packages.sort();
    Ok(packages)
}

/// All Rust files below a folder, sorted.
fn sources(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("read {}", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() && !path.ends_with("target") {
            files.extend(sources(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn read(file: &Path) -> Result<String> {
    fs::read_to_string(file).with_context(|| format!("read {}", file.display()))
}

//! Brings `.deb` files into `target/kernels/debs`, each checked against its hash before it gets its name.
//!
//! Downloads go to a folder of their own and are renamed when they are whole: a file under its final name is a file that was
//! checked, or one that the hash will find wrong and that is then fetched again.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

use super::apt;
use super::pinned::Package;
use crate::command;

/// The package's file, fetched unless it is there and whole.
pub(crate) fn ensure(debs: &Path, package: &Package) -> Result<PathBuf> {
    let file = debs.join(package.file_name());
    if is_whole(&file, package)? {
        return Ok(file);
    }
    let partial = debs.join(format!(".partial-{}", package.file_name()));
    super::fresh_folder(&partial)?;
    println!("fetching {} {}", package.name, package.version);
    // The lists of a machine that was just set up may be older than the package.
    if download(package, &partial).is_err() {
        apt::update(package.suite)?;
        download(package, &partial)?;
    }
    let fetched = partial.join(package.file_name());
    if !is_whole(&fetched, package)? {
        bail!(
            "{}: the mirror's file is not the pinned one (its SHA-256 differs)",
            fetched.display()
        );
    }
    fs::rename(&fetched, &file).with_context(|| format!("rename to {}", file.display()))?;
    fs::remove_dir_all(&partial).with_context(|| format!("remove {}", partial.display()))?;
    Ok(file)
}

fn download(package: &Package, folder: &Path) -> Result<()> {
    let what = format!("{}={}", package.name, package.version);
    let mut download = apt::program("apt-get", package.suite);
    command::quiet(download.current_dir(folder).arg("download").arg(what))
}

/// The file is there and has the hash.
pub(crate) fn is_whole(file: &Path, package: &Package) -> Result<bool> {
    if !file.exists() {
        return Ok(false);
    }
    let found = sha256(file).with_context(|| format!("read {}", file.display()))?;
    Ok(found == package.sha256)
}

fn sha256(file: &Path) -> std::io::Result<String> {
    let mut hash = Sha256::new();
    let mut file = File::open(file)?;
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            length => hash.update(buffer.get(..length).unwrap_or_default()),
        }
    }
    Ok(hash
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect())
}

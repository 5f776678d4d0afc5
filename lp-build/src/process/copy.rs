//! Copies of trees, with the times by which builds decide.

use anyhow::{Context, Result};
use object::elf;
use std::fs::{self, File};
use std::io::Read;
use std::path::Path;
use walkdir::WalkDir;

/// Copies a person's tree without objects of an earlier build, which would keep them from compiling.
pub(super) fn sources(from: &Path, to: &Path) -> Result<()> {
    copy(from, to, |path| is_object(path).map(|object| !object))
}

/// Copies a tree with all that its build left.
pub(super) fn everything(from: &Path, to: &Path) -> Result<()> {
    copy(from, to, |_| Ok(true))
}

/// Copies a file to where none is, maybe into a new folder.
pub(super) fn file(from: &Path, to: &Path) -> Result<()> {
    let context = || format!("cannot copy {}", from.display());
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder).with_context(context)?;
    }
    fs::copy(from, to).map(drop).with_context(context)
}

fn copy(from: &Path, to: &Path, wanted: impl Fn(&Path) -> Result<bool>) -> Result<()> {
    for entry in WalkDir::new(from) {
        let entry = entry.with_context(|| format!("cannot read {}", from.display()))?;
        let path = entry.path();
        let inside = path.strip_prefix(from).unwrap_or(path);
        one(&entry, &to.join(inside), &wanted)
            .with_context(|| format!("cannot copy {}", path.display()))?;
    }
    Ok(())
}

fn one(
    entry: &walkdir::DirEntry,
    new: &Path,
    wanted: &impl Fn(&Path) -> Result<bool>,
) -> Result<()> {
    let (path, kind) = (entry.path(), entry.file_type());
    if kind.is_dir() {
        fs::create_dir_all(new)?;
    } else if kind.is_symlink() {
        std::os::unix::fs::symlink(fs::read_link(path)?, new)?;
    } else if kind.is_file() && wanted(path)? {
        fs::copy(path, new)?;
        let modified = entry.metadata()?.modified()?;
        let times = fs::FileTimes::new().set_modified(modified);
        // It may be read-only; its owner sets its time all the same, as opening it for reading is enough.
        if let Ok(file) = File::open(new) {
            file.set_times(times)?;
        }
    }
    Ok(())
}

/// Whether a file is what a compiler made.
fn is_object(path: &Path) -> Result<bool> {
    let named = path
        .extension()
        .is_some_and(|extension| ["o", "lo", "os"].iter().any(|object| extension == *object));
    if !named {
        return Ok(false);
    }
    // `e_type` behind `e_ident`; the .lo of libtool is a text that names the object.
    let mut head = Vec::new();
    File::open(path)?.take(18).read_to_end(&mut head)?;
    let relocatable = head.starts_with(b"\x7fELF") && head.ends_with(&elf::ET_REL.0.to_le_bytes());
    Ok(relocatable || head.starts_with(b"# "))
}

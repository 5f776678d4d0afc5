//! The source trees: which they are, and what differs between the original and the patched one.
//!
//! Content decides, never times: a checkout or an unpacked archive gives every file a new time.

pub mod diffstat;
pub mod patch;
pub mod walk;

use anyhow::{Context, Result, ensure};
use serde::Serialize;
use std::fmt;
use std::path::{Path, PathBuf};

/// What happened to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ChangeKind {
    /// Only the patched tree has it.
    Added,
    /// Only the original has it.
    Removed,
    /// Both have it, and it differs.
    Changed,
}

/// A file that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// Its path inside the tree.
    pub path: String,
    /// What happened to it.
    pub kind: ChangeKind,
}

/// The version in a kernel tree's Makefile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeVersion {
    /// `VERSION`.
    pub version: u32,
    /// `PATCHLEVEL`.
    pub patchlevel: u32,
    /// `SUBLEVEL`.
    pub sublevel: u32,
}

impl fmt::Display for TreeVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.version, self.patchlevel, self.sublevel)
    }
}

/// A kernel source tree.
#[derive(Debug, Clone)]
pub struct Tree {
    /// Its folder, without links.
    pub root: PathBuf,
    /// Its version.
    pub version: TreeVersion,
}

/// Opens a kernel tree; `option` is what the person gave it with.
pub fn open(path: &Path, option: &str) -> Result<Tree> {
    let root = std::fs::canonicalize(path)
        .with_context(|| format!("{option} {}: no such source tree", path.display()))?;
    ensure!(
        root.is_dir(),
        "{option} {}: not a folder, unpack the source first",
        path.display()
    );
    let makefile = root.join("Makefile");
    let version = std::fs::read_to_string(&makefile)
        .ok()
        .and_then(|text| parse_version(&text));
    let version = version.with_context(|| {
        format!(
            "{option} {}: not a kernel tree (no Makefile with VERSION, PATCHLEVEL and SUBLEVEL): give the folder \
             that holds arch/, kernel/ and Makefile",
            path.display()
        )
    })?;
    check_path(&root, option)?;
    Ok(Tree { root, version })
}

/// Opens the source folder of a module that is not in the kernel's tree.
pub fn open_module(path: &Path, option: &str) -> Result<PathBuf> {
    let root = std::fs::canonicalize(path)
        .with_context(|| format!("{option} {}: no such source folder", path.display()))?;
    ensure!(
        ["Kbuild", "Makefile"]
            .iter()
            .any(|name| root.join(name).is_file()),
        "{option} {}: not a module's source (no Kbuild and no Makefile): give the folder that `make M=` is given",
        path.display()
    );
    check_path(&root, option)?;
    Ok(root)
}

/// The absolute path of a folder that need not exist yet, without links as far as it does.
pub fn resolved(path: &Path) -> Result<PathBuf> {
    let absolute =
        std::path::absolute(path).with_context(|| format!("{}: not a path", path.display()))?;
    let mut rest = Vec::new();
    let mut at = absolute.as_path();
    loop {
        if let Ok(real) = std::fs::canonicalize(at) {
            let rest = rest.into_iter().rev();
            return Ok(rest.fold(real, |path: PathBuf, part| path.join(part)));
        }
        let (Some(name), Some(parent)) = (at.file_name(), at.parent()) else {
            return Ok(absolute);
        };
        rest.push(name);
        at = parent;
    }
}

/// The kernel's build splits paths at spaces and colons, and our commands are lists of words in UTF-8.
pub fn check_path(path: &Path, what: &str) -> Result<()> {
    let good = path
        .to_str()
        .is_some_and(|text| !text.contains([' ', ':', '\t', '\n', '\'', '"']));
    ensure!(
        good,
        "{what} {}: the kernel's build cannot work in a path with spaces, colons or quotes, use another folder",
        path.display()
    );
    Ok(())
}

/// Reads the version from a tree's Makefile.
pub fn parse_version(makefile: &str) -> Option<TreeVersion> {
    let number = |name: &str| {
        let mut lines = makefile.lines().take(20);
        let value =
            lines.find_map(|line| line.strip_prefix(name)?.trim_start().strip_prefix('='))?;
        value.trim().parse().ok()
    };
    Some(TreeVersion {
        version: number("VERSION")?,
        patchlevel: number("PATCHLEVEL")?,
        sublevel: number("SUBLEVEL")?,
    })
}

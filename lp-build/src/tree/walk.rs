//! Lists trees and finds what differs, in the order of the paths.
//!
//! One file may stand in both trees (hard links, one tree mounted twice): the same device and inode are equal
//! unread. Otherwise sizes first, then content in pieces, so that a large file costs no memory.

use super::{Change, ChangeKind};
use anyhow::{Context, Result, bail};
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use walkdir::{DirEntry, WalkDir};

const PIECE: usize = 64 * 1024;

/// A tree's files and links by their paths inside it.
pub type Listing = BTreeMap<String, Kind>;

/// What stands at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A symbolic link.
    Link,
}

/// Lists a tree; version control's own folders are no part of it.
pub fn list(root: &Path) -> Result<Listing> {
    let mut listing = Vec::new();
    let walk = WalkDir::new(root).min_depth(1).into_iter();
    for entry in walk.filter_entry(|entry| entry.file_name() != ".git") {
        let entry = entry.with_context(|| format!("cannot list {}", root.display()))?;
        let kind = entry.file_type();
        let kind = match (kind.is_file(), kind.is_symlink()) {
            (true, _) => Kind::File,
            (_, true) => Kind::Link,
            // Folders are known by what they hold; sockets and devices are no sources.
            _ => continue,
        };
        listing.push((relative(root, &entry)?, kind));
    }
    Ok(listing.into_iter().collect())
}

fn relative(root: &Path, entry: &DirEntry) -> Result<String> {
    let path = entry.path().strip_prefix(root).unwrap_or(entry.path());
    let text = path.to_str().with_context(|| {
        format!(
            "{}: the name is not UTF-8, a kernel tree has no such file",
            entry.path().display()
        )
    })?;
    Ok(text.to_owned())
}

/// What differs between two trees that are listed.
pub fn compare(orig: (&Path, &Listing), patched: (&Path, &Listing)) -> Result<Vec<Change>> {
    let removed = orig.1.keys().filter(|path| !patched.1.contains_key(*path));
    let removed = removed.map(|path| Change {
        path: path.clone(),
        kind: ChangeKind::Removed,
    });
    let added = patched.1.keys().filter(|path| !orig.1.contains_key(*path));
    let added = added.map(|path| Change {
        path: path.clone(),
        kind: ChangeKind::Added,
    });
    let root = |path: &Path| {
        fs::canonicalize(path).with_context(|| format!("cannot open {}", path.display()))
    };
    let roots = (root(orig.0)?, root(patched.0)?);
    let both: Vec<(&String, Kind, Kind)> = orig
        .1
        .iter()
        .filter_map(|(path, kind)| Some((path, *kind, *patched.1.get(path)?)))
        .collect();
    let changed: Vec<Option<Change>> = both
        .into_par_iter()
        .with_min_len(64)
        .map(|(path, ours, theirs)| {
            let files = (orig.0.join(path), patched.0.join(path));
            let same = ours == theirs && same(&files.0, &files.1, ours)?;
            let same = same && (ours == Kind::File || same_outside(&files, &roots)?);
            Ok((!same).then(|| Change {
                path: path.clone(),
                kind: ChangeKind::Changed,
            }))
        })
        .collect::<Result<_>>()?;
    let mut changes: Vec<Change> = removed
        .chain(added)
        .chain(changed.into_iter().flatten())
        .collect();
    changes.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(changes)
}

fn same(orig: &Path, patched: &Path, kind: Kind) -> Result<bool> {
    let same = match kind {
        Kind::Link => fs::read_link(orig).and_then(|target| Ok(target == fs::read_link(patched)?)),
        Kind::File => same_content(orig, patched),
    };
    same.with_context(|| {
        format!(
            "cannot compare {} with {}",
            orig.display(),
            patched.display()
        )
    })
}

/// Whether links of equal words lead to equal content, where that is outside the trees and so not compared by itself.
fn same_outside(links: &(PathBuf, PathBuf), roots: &(PathBuf, PathBuf)) -> Result<bool> {
    let (Ok(ours), Ok(theirs)) = (fs::canonicalize(&links.0), fs::canonicalize(&links.1)) else {
        // A link that leads nowhere has no content; that it does so in one tree only is a difference.
        return Ok(links.0.exists() == links.1.exists());
    };
    if ours == theirs || (ours.starts_with(&roots.0) && theirs.starts_with(&roots.1)) {
        return Ok(true);
    }
    if ours.is_file() && theirs.is_file() {
        return same_content(&ours, &theirs).with_context(|| {
            format!(
                "cannot compare {} with {}",
                ours.display(),
                theirs.display()
            )
        });
    }
    bail!(
        "the link {} leads to {}, outside its tree, where nothing is compared: put the files themselves into the trees",
        links.1.display(),
        theirs.display()
    )
}

fn same_content(orig: &Path, patched: &Path) -> std::io::Result<bool> {
    let (ours, theirs) = (fs::symlink_metadata(orig)?, fs::symlink_metadata(patched)?);
    if (ours.dev(), ours.ino()) == (theirs.dev(), theirs.ino()) {
        return Ok(true);
    }
    if ours.len() != theirs.len() {
        return Ok(false);
    }
    let (mut ours, mut theirs) = (File::open(orig)?, File::open(patched)?);
    let (mut a, mut b) = (vec![0; PIECE], vec![0; PIECE]);
    loop {
        let count = fill(&mut ours, &mut a)?;
        if count != fill(&mut theirs, &mut b)? || a.get(..count) != b.get(..count) {
            return Ok(false);
        }
        if count < PIECE {
            return Ok(true);
        }
    }
}

fn fill(file: &mut File, piece: &mut [u8]) -> std::io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = piece.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match file.read(rest)? {
            0 => break,
            count => filled += count,
        }
    }
    Ok(filled)
}

//! What a compilation reads from outside of the tree, where no package manager answers for it: the headers of a project beside
//! this one, or what the build writes into another folder.
//!
//! The build's key cannot know them before the build. So they are written down by content with each object, and an object counts
//! as long as they are what they were. The tempting wrong way is to take every file that is not in the tree for a part of the system.

use super::key::with;
use super::record::{Compiled, Record};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Whole paths, and the content's hash of each.
pub(super) type Outside = BTreeMap<PathBuf, String>;

/// Of these files those that count, as they are now. Nothing where one was changed since a time, in nanoseconds since 1970: it is not
/// known what was read.
pub(super) fn of(names: &[String], cwd: &Path, tree: &Path, since: u64) -> Option<Outside> {
    let mut found = Outside::new();
    for name in names {
        let path = fs::canonicalize(cwd.join(name)).ok()?;
        if path.starts_with(tree) || is_of_a_package(&path) || path == Path::new("/dev/null") {
            continue;
        }
        let data = fs::metadata(&path).ok()?;
        if !data.is_file() || changed_at(&data)? >= since {
            return None;
        }
        let hash = hash(&path)?;
        found.insert(path, hash);
    }
    Some(found)
}

/// When a file was last changed, nanoseconds since 1970: its content, its name or its rights.
pub(super) fn changed_at(data: &Metadata) -> Option<u64> {
    let (seconds, rest) = (
        u64::try_from(data.ctime()),
        u64::try_from(data.ctime_nsec()),
    );
    seconds
        .ok()?
        .checked_mul(1_000_000_000)?
        .checked_add(rest.ok()?)
}

/// Whether they are what they were when this was compiled.
pub(super) fn are_same(compiled: &Compiled) -> bool {
    let mut outside = compiled.outside.iter();
    outside.all(|(path, then)| hash(path).as_ref() == Some(then))
}

/// The first that is not what it was when the tree was built.
pub(super) fn changed(record: &Record) -> Option<PathBuf> {
    let compiled = record.compiled.values();
    let all: BTreeSet<(&PathBuf, &String)> = compiled.flat_map(|one| &one.outside).collect();
    let mut all = all.into_iter();
    let (path, _) = all.find(|(path, then)| hash(path).as_ref() != Some(*then))?;
    Some(path.clone())
}

/// The key of the same tree's build with these files as they are now.
pub(super) fn key(key: &str, record: &Record) -> String {
    let compiled = record.compiled.values();
    let all: BTreeSet<&PathBuf> = compiled.flat_map(|one| one.outside.keys()).collect();
    let now = all.into_iter().map(|path| hash(path).unwrap_or_default());
    with(key, &now.collect::<Vec<_>>().join(" "))
}

/// What a package manager put there changes with its list, which is part of the key.
fn is_of_a_package(path: &Path) -> bool {
    path.starts_with("/usr") && !path.starts_with("/usr/local")
}

fn hash(path: &Path) -> Option<String> {
    let mut hasher = blake3::Hasher::new();
    hasher.update_mmap(path).ok()?;
    Some(hasher.finalize().to_hex().to_string())
}

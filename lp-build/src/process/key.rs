//! The key of a tree's build: a hash of everything that goes into it, as far as that can be told.
//!
//! That is every file of the tree, its path, the commands, the compilers, and what of the environment builds are steered
//! by. Headers of other packages are told by the package manager's own list: whatever is installed or upgraded changes
//! it. The tempting wrong way is to forget these, and to take an upgrade for a part of the fix.

use super::names;
use crate::tree::walk::{Kind, Listing};
use anyhow::{Context, Result};
use rayon::prelude::*;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Raised when the way a tree is built, or what is written down of it, changes.
const FORMAT: &str = "livepatch process 4";
/// What steers builds from outside.
const VARIABLES: [&str; 15] = [
    "PATH",
    "CC",
    "CXX",
    "CFLAGS",
    "CXXFLAGS",
    "CPPFLAGS",
    "LDFLAGS",
    "LIBS",
    "CPATH",
    "C_INCLUDE_PATH",
    "LIBRARY_PATH",
    "PKG_CONFIG_PATH",
    "MAKEFLAGS",
    "SOURCE_DATE_EPOCH",
    "DESTDIR",
];
/// Files that change with every package.
const PACKAGES: [&str; 4] = [
    "/var/lib/dpkg/status",
    "/var/lib/rpm/rpmdb.sqlite",
    "/usr/include",
    "/usr/local/include",
];

/// The key, 32 hexadecimal digits.
pub(super) fn key(tree: &Path, listing: &Listing, commands: &[String]) -> Result<String> {
    let mut hasher = blake3::Hasher::new();
    let mut add = |text: &[u8]| {
        hasher.update(&(text.len() as u64).to_le_bytes());
        hasher.update(text);
    };
    add(FORMAT.as_bytes());
    add(env!("CARGO_PKG_VERSION").as_bytes());
    add(tree.as_os_str().as_encoded_bytes());
    for command in commands {
        add(command.as_bytes());
    }
    for name in VARIABLES {
        add(std::env::var_os(name)
            .unwrap_or_default()
            .as_encoded_bytes());
    }
    for path in names::programs()
        .iter()
        .map(|path| path.as_path())
        .chain(PACKAGES.map(Path::new))
    {
        let Ok(data) = fs::metadata(path) else {
            continue;
        };
        add(path.as_os_str().as_encoded_bytes());
        add(format!("{} {} {}", data.len(), data.mtime(), data.mtime_nsec()).as_bytes());
    }
    let files: Vec<(&String, Kind)> = listing.iter().map(|(path, kind)| (path, *kind)).collect();
    let hashes: Vec<blake3::Hash> = files
        .par_iter()
        .with_min_len(64)
        .map(|(path, kind)| hash(&tree.join(path), *kind))
        .collect::<Result<_>>()?;
    for ((path, _), hash) in files.iter().zip(hashes) {
        add(path.as_bytes());
        add(hash.as_bytes());
    }
    let key = hasher.finalize().to_hex();
    Ok(key.as_str().get(..32).unwrap_or_default().to_owned())
}

/// The key of the same tree's build where something more goes into it.
pub(super) fn with(key: &str, more: &str) -> String {
    let key = blake3::hash(format!("{key} {more}").as_bytes()).to_hex();
    key.as_str().get(..32).unwrap_or_default().to_owned()
}

fn hash(path: &Path, kind: Kind) -> Result<blake3::Hash> {
    let wrong = || format!("cannot read {}", path.display());
    Ok(match kind {
        Kind::File => {
            let mut hasher = blake3::Hasher::new();
            hasher.update_mmap(path).with_context(wrong)?;
            let mode = fs::metadata(path).with_context(wrong)?.mode() & 0o111;
            hasher.update(&mode.to_le_bytes());
            hasher.finalize()
        }
        Kind::Link => blake3::hash(
            fs::read_link(path)
                .with_context(wrong)?
                .as_os_str()
                .as_encoded_bytes(),
        ),
    })
}

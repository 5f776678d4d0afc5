//! The key of a prepared build folder: a hash of everything that goes into it.
//!
//! That is the configuration, the release, the compiler, Module.symvers, the tree's path (the folder records it), and the
//! content of every file of the tree that the preparation reads. Times are no part of it, so a tree that is unpacked
//! again finds its folder again. One folder, the original's, serves both trees of a run: a change in any of these files is
//! refused ([`crate::kernel::changed::kinds`]), and a changed header goes on only where what was made from it would be the same
//! ([`crate::kernel::changed::generated`]).

use crate::kernel::arch::Arch;
use crate::kernel::changed::kinds;
use crate::kernel::running::checks::Compiler;
use crate::kernel::running::find::KernelFiles;
use crate::tree::Tree;
use crate::tree::walk::{Kind, Listing};
use anyhow::{Context, Result};
use rayon::prelude::*;
use std::path::Path;

/// Raised when the way a folder is prepared changes.
const FORMAT: &str = "livepatch prepared 2";

const FOLDERS: [&str; 8] = [
    "include/",
    "scripts/",
    "tools/arch/",
    "tools/build/",
    "tools/include/",
    "tools/lib/",
    "tools/objtool/",
    "tools/scripts/",
];
/// Files by themselves that the preparation reads.
pub const FILES: [&str; 6] = [
    "kernel/bounds.c",
    "kernel/time/timeconst.bc",
    "tools/Makefile",
    "certs/extract-cert.c",
    "security/selinux/include/classmap.h",
    "security/selinux/include/initial_sid_to_string.h",
];

/// The key of a tree's build folder, 32 hexadecimal digits.
pub fn key(
    tree: &Tree,
    listing: &Listing,
    files: &KernelFiles,
    compiler: &Compiler,
    arch: &Arch,
) -> Result<String> {
    let read: Vec<&String> = listing
        .iter()
        .filter(|(path, kind)| **kind == Kind::File && is_read(path, arch))
        .map(|(path, _)| path)
        .collect();
    let hashes: Vec<[u8; 32]> = read
        .par_iter()
        .with_min_len(64)
        .map(|path| hash_file(&tree.root.join(path)))
        .collect::<Result<_>>()?;
    let mut hasher = blake3::Hasher::new();
    let mut add = |bytes: &[u8]| {
        // Lengths keep neighbouring parts apart.
        hasher.update(&(bytes.len() as u64).to_le_bytes());
        hasher.update(bytes);
    };
    for text in [FORMAT, &files.release, &compiler.command, &compiler.version] {
        add(text.as_bytes());
    }
    add(tree.root.as_os_str().as_encoded_bytes());
    add(&hash_file(&files.config)?);
    add(&hash_file(&files.symvers)?);
    for (path, hash) in read.iter().zip(&hashes) {
        add(path.as_bytes());
        add(hash);
    }
    Ok(hasher
        .finalize()
        .to_hex()
        .as_str()
        .chars()
        .take(32)
        .collect())
}

/// Whether the preparation reads this file of the tree.
pub fn is_read(path: &str, arch: &Arch) -> bool {
    if kinds::outside(path, arch.folder).is_some() {
        return false;
    }
    let name = path.rsplit('/').next().unwrap_or(path);
    if ["Makefile", "Kbuild", "Kconfig"]
        .iter()
        .any(|prefix| name.starts_with(prefix))
    {
        return true;
    }
    let prepared =
        FILES.contains(&path) || arch.prepared.iter().any(|known| path.starts_with(known));
    if prepared || FOLDERS.iter().any(|folder| path.starts_with(folder)) {
        return true;
    }
    let own = path
        .strip_prefix("arch/")
        .and_then(|path| path.strip_prefix(arch.folder));
    own.is_some_and(|path| path.starts_with('/') && !path.ends_with(".c"))
}

fn hash_file(path: &Path) -> Result<[u8; 32]> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(*blake3::hash(&bytes).as_bytes())
}

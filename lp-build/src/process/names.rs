//! Which programs on the PATH are compilers and linkers: those get a shim.

use anyhow::{Context, Result};
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

const COMPILERS: [&str; 8] = ["gcc", "g++", "cc", "c++", "clang", "clang++", "c99", "c89"];
const LINKERS: [&str; 5] = ["ld", "ld.bfd", "ld.gold", "ld.lld", "ld.mold"];

/// Whether a name is a compiler's: with the machine before it and a version behind, `x86_64-linux-gnu-gcc-12`.
pub(super) fn is_compiler(name: &str) -> bool {
    has(name, &COMPILERS)
}

/// Whether a name is a linker's.
pub(super) fn is_linker(name: &str) -> bool {
    has(name, &LINKERS)
}

fn has(name: &str, known: &[&str]) -> bool {
    let version = name.rsplit_once('-').filter(|(_, version)| {
        version.starts_with(|c: char| c.is_ascii_digit())
            && version.chars().all(|c| c.is_ascii_digit() || c == '.')
    });
    let plain = version.map_or(name, |(plain, _)| plain);
    known.iter().any(|known| {
        let machine = plain.strip_suffix(known);
        machine.is_some_and(|machine| machine.is_empty() || machine.ends_with('-'))
    })
}

/// All of them that are on the PATH, by path.
pub(super) fn programs() -> BTreeSet<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut programs = BTreeSet::new();
    for folder in std::env::split_paths(&path) {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        let is_one = |entry: &std::fs::DirEntry| {
            let name = entry.file_name();
            name.to_str()
                .is_some_and(|name| is_compiler(name) || is_linker(name))
        };
        programs.extend(entries.filter(is_one).map(|entry| entry.path()));
    }
    programs
}

/// Makes a shim, which is this program, for each of them on the PATH.
pub(super) fn make_shims(folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let this = std::env::current_exe().context("cannot tell which program this is")?;
    let programs = programs();
    let names: BTreeSet<&OsStr> = programs
        .iter()
        .filter_map(|path| path.file_name())
        .collect();
    for name in names {
        let link = folder.join(name);
        if link.is_symlink() {
            continue;
        }
        std::os::unix::fs::symlink(&this, &link)
            .with_context(|| format!("cannot make {}", link.display()))?;
    }
    Ok(())
}

#[test]
fn machines_and_versions_belong_to_the_name() {
    for name in [
        "gcc",
        "gcc-12",
        "x86_64-linux-gnu-gcc",
        "x86_64-linux-gnu-g++-12.2",
        "clang-19",
    ] {
        assert!(is_compiler(name), "{name}");
    }
    for name in [
        "gcc-ar",
        "gcc-ar-12",
        "ccache",
        "llvm-ld",
        "xgcc",
        "clang-format",
        "gcov",
    ] {
        assert!(!is_compiler(name), "{name}");
    }
    assert!(is_linker("x86_64-linux-gnu-ld.bfd"));
}

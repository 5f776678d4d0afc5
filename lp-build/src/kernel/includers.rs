//! Which files include a C file: `kernel/sched/rt.c` has no object of its own, `build_policy.c` includes it.
//!
//! A changed file is compiled through every file that includes it. The tempting wrong way is to take a file that has no
//! object for one that this kernel does not have.

use crate::tree::walk::{Kind, Listing};
use rayon::prelude::*;
use std::path::Path;

/// The C files and headers that include `source`, looked for among `near` or everywhere in the kernel.
pub fn includers(
    root: &Path,
    listing: &Listing,
    arch: &str,
    source: &str,
    scope: Scope,
) -> Vec<String> {
    let name = source.rsplit('/').next().unwrap_or(source);
    let folder = source.strip_suffix(name).unwrap_or_default();
    let files: Vec<&String> = listing
        .iter()
        .filter(|(path, kind)| {
            **kind == Kind::File && (path.ends_with(".c") || path.ends_with(".h"))
        })
        .map(|(path, _)| path)
        .filter(|path| *path != source && in_scope(path, folder, arch, scope))
        .collect();
    let includes = |path: &&&String| {
        let text = std::fs::read(root.join(path)).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        text.lines()
            .filter_map(included)
            .any(|header| resolves(path, header, source))
    };
    files
        .par_iter()
        .filter(includes)
        .map(|path| (*path).clone())
        .collect()
}

/// How far to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// The file's own folder.
    Folder,
    /// Everything that can be linked into the kernel.
    Kernel,
}

fn in_scope(path: &str, folder: &str, arch: &str, scope: Scope) -> bool {
    if scope == Scope::Folder {
        return path
            .strip_prefix(folder)
            .is_some_and(|rest| !rest.contains('/'));
    }
    let other_arch = path
        .strip_prefix("arch/")
        .is_some_and(|rest| rest.split('/').next().is_some_and(|name| name != arch));
    let outside = ["Documentation/", "samples/", "scripts/", "tools/"];
    !other_arch && !outside.iter().any(|top| path.starts_with(top))
}

/// The C file that a line includes.
fn included(line: &str) -> Option<&str> {
    let rest = line
        .trim_start()
        .strip_prefix('#')?
        .trim_start()
        .strip_prefix("include")?
        .trim_start();
    let (name, _) = rest
        .strip_prefix('"')
        .and_then(|rest| rest.split_once('"'))
        .or_else(|| rest.strip_prefix('<').and_then(|rest| rest.split_once('>')))?;
    name.ends_with(".c").then_some(name)
}

/// Whether a name in an `#include` of `path` can mean `source`: beside it, or from a folder of the search path.
fn resolves(path: &str, name: &str, source: &str) -> bool {
    let mut parts: Vec<&str> = path.split('/').collect();
    parts.pop();
    for part in name.split('/') {
        match part {
            "." | "" => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    let plain = name.trim_start_matches("../").trim_start_matches("./");
    let from_search_path = source
        .strip_suffix(plain)
        .is_some_and(|rest| rest.is_empty() || rest.ends_with('/'));
    parts.join("/") == source || (plain.contains('/') && from_search_path)
}

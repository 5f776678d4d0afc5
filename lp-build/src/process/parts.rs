//! Which compiled objects are part of the binary: those that its link took, through archives and partial links.
//!
//! Test programs and tools of the same tree are built too, and a change in them is none of the patch's business. The
//! tempting wrong way is to go by the names of sources.

use super::record::{Compiled, Linked, Record};
use anyhow::{Result, bail};
use object::read::elf::FileHeader as _;
use object::{Endianness, elf};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Finds the link that made the binary: by the name given with `--built`, by soname, or by file name. Where several have
/// the soname (a configure script tries whether it can link a library), the file name decides.
pub(super) fn link<'b>(
    record: &'b Record,
    (binary, soname): (&Path, Option<&str>),
    given: Option<&Path>,
    tree: &Path,
) -> Result<&'b Linked> {
    let links = &record.linked;
    if let Some(given) = given {
        let path = tree.join(given);
        return links.get(&path).ok_or_else(|| {
            anyhow::anyhow!(
                "--built {}: the build links no such file; it links {}",
                given.display(),
                outputs(links, tree)
            )
        });
    }
    let name = binary.file_name();
    let mut found: Vec<&Linked> = links
        .values()
        .filter(|link| match soname {
            Some(soname) => link.soname.as_deref() == Some(soname),
            None => link.output.file_name() == name,
        })
        .collect();
    if found.is_empty() {
        let named = links.values();
        found.extend(named.filter(|link| link.output.file_name() == name));
    }
    if found.len() > 1 && found.iter().any(|link| link.output.file_name() == name) {
        found.retain(|link| link.output.file_name() == name);
    }
    match found[..] {
        [only] => Ok(only),
        [] => bail!(
            "the build links nothing named {}: say with --built what the build calls it; it links {}",
            soname.map_or_else(|| binary.display().to_string(), str::to_owned),
            outputs(links, tree)
        ),
        _ => {
            let paths: Vec<String> = found
                .iter()
                .map(|link| inside(&link.output, tree))
                .collect();
            bail!(
                "the build links several files of this name: say with --built which one it is: {}",
                paths.join(", ")
            )
        }
    }
}

fn inside(path: &Path, tree: &Path) -> String {
    path.strip_prefix(tree)
        .unwrap_or(path)
        .display()
        .to_string()
}

fn outputs(links: &BTreeMap<PathBuf, Linked>, tree: &Path) -> String {
    const SHOWN: usize = 20;
    let inside: Vec<String> = links.keys().map(|path| self::inside(path, tree)).collect();
    match inside.len() {
        0 => "nothing that could be seen".to_owned(),
        1..=SHOWN => inside.join(", "),
        more => format!("{} and {} more", inside[..SHOWN].join(", "), more - SHOWN),
    }
}

/// The name that a library's bytes give.
pub(super) fn soname(data: &[u8]) -> Option<String> {
    use object::read::elf::{Dyn as _, SectionHeader as _};
    const DT_SONAME: i64 = 14;
    let header = elf::FileHeader64::<Endianness>::parse(data).ok()?;
    let endian = header.endian().ok()?;
    let sections = header.sections(endian, data).ok()?;
    for section in sections.iter() {
        let Some((entries, link)) = section.dynamic(endian, data).ok()? else {
            continue;
        };
        let strings = sections.strings(endian, data, link).ok()?;
        for entry in entries {
            if entry.d_tag(endian).0 == DT_SONAME {
                let at = u32::try_from(entry.d_val(endian)).ok()?;
                let name = strings.get(at).ok()?;
                return Some(String::from_utf8_lossy(name).into_owned());
            }
        }
    }
    None
}

/// The objects of a link, by where they went.
pub(super) fn objects<'r>(record: &'r Record, link: &Linked) -> BTreeMap<&'r Path, &'r Compiled> {
    let partial: BTreeMap<&str, &Linked> = record
        .linked
        .values()
        .map(|link| (link.object.as_str(), link))
        .collect();
    let mut wanted: BTreeSet<&str> = BTreeSet::new();
    let mut work: Vec<&str> = link.inputs.iter().map(String::as_str).collect();
    while let Some(hash) = work.pop() {
        if wanted.insert(hash)
            && let Some(inner) = partial.get(hash)
        {
            work.extend(inner.inputs.iter().map(String::as_str));
        }
    }
    let compiled = record.compiled.iter();
    compiled
        .filter(|(_, one)| wanted.contains(one.object.as_str()))
        .map(|(path, one)| (path.as_path(), one))
        .collect()
}

//! Which objects of the binary differ between the two builds.
//!
//! Both were built at one place by the same commands, so an object is known by where it went, and one that does not
//! depend on the change has the same bytes.

use super::parts;
use super::record::{Compiled, Linked, Record};
use crate::patch::equal::equal_but_debug;
use crate::report::RefusalReport;
use anyhow::Result;
use object::build::elf::{Builder, SectionData};
use object::{Endianness, elf};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Both versions of an object.
#[derive(Debug)]
pub(super) struct Pair {
    /// Its source, inside the tree.
    pub(super) source: String,
    /// Where it went, inside the tree: a source can become several objects.
    pub(super) output: String,
    pub(super) orig: Vec<u8>,
    pub(super) patched: Vec<u8>,
}

/// What differs.
#[derive(Debug, Default)]
pub(super) struct Pairs {
    pub(super) pairs: Vec<Pair>,
    pub(super) notes: Vec<String>,
    pub(super) refusals: Vec<RefusalReport>,
}

/// Finds them.
pub(super) fn find(
    orig: (&Record, &Linked),
    patched: (&Record, &Linked),
    tree: &Path,
) -> Result<Pairs> {
    let (before, after) = (
        parts::objects(orig.0, orig.1),
        parts::objects(patched.0, patched.1),
    );
    let mut found = Pairs::default();
    let mut copies = Copies::of(patched.1);
    let paths: BTreeSet<&Path> = before.keys().chain(after.keys()).copied().collect();
    for path in paths {
        let (old, new) = (before.get(path).copied(), after.get(path).copied());
        if old.map(|one| &one.object) == new.map(|one| &one.object) {
            continue;
        }
        if copies.is_another(old, new) {
            continue;
        }
        let source = old
            .or(new)
            .map_or_else(String::new, |one| inside(&one.source, tree));
        let Some(new) = new else {
            found.notes.push(format!(
                "{source} is not part of the patched binary; its code stays where it is"
            ));
            continue;
        };
        if new.lto || old.is_some_and(|old| old.lto) {
            found.refusals.push(RefusalReport {
                code: "link-time-optimisation".to_owned(),
                place: source,
                message: "it is compiled for link-time optimisation, so its object does not hold the code that runs: \
                          there is no way to patch this binary but to build it without -flto"
                    .to_owned(),
                source: None,
            });
            continue;
        }
        let (old, empty) = match old {
            Some(old) => (Some(orig.0.object(&old.object)?), Vec::new()),
            None => (None, empty()?),
        };
        found.pairs.push(Pair {
            source,
            output: inside(path, tree),
            orig: old.unwrap_or(empty),
            patched: patched.0.object(&new.object)?,
        });
    }
    Ok(found)
}

/// Objects of the same bytes: libtool compiles for the library and for programs, automake for each program, and what
/// the link took is known by its content alone. One of them stands for all, unless the link took several.
struct Copies<'r> {
    taken_twice: BTreeSet<&'r str>,
    seen: BTreeSet<(Option<&'r str>, &'r str)>,
}

impl<'r> Copies<'r> {
    fn of(link: &'r Linked) -> Self {
        let mut once = BTreeSet::new();
        let inputs = link.inputs.iter().map(String::as_str);
        Self {
            taken_twice: inputs.filter(|hash| !once.insert(*hash)).collect(),
            seen: BTreeSet::new(),
        }
    }

    /// Whether the same two versions of an object were there before, as another file.
    fn is_another(&mut self, old: Option<&'r Compiled>, new: Option<&'r Compiled>) -> bool {
        let Some(new) = new.map(|one| one.object.as_str()) else {
            return false;
        };
        let old = old.map(|one| one.object.as_str());
        !self.seen.insert((old, new)) && !self.taken_twice.contains(new)
    }
}

/// A note on the sources whose objects differ and went into other binaries of the tree than these.
pub(super) fn elsewhere(
    orig: (&Record, &[&Linked]),
    patched: (&Record, &[&Linked]),
    tree: &Path,
) -> Option<String> {
    let parts = |(record, links): (_, &[&Linked])| -> BTreeMap<_, _> {
        let links = links.iter();
        links
            .flat_map(|link| parts::objects(record, link))
            .collect()
    };
    let (before, after) = (parts(orig), parts(patched));
    let differs = |(path, new): (&PathBuf, &Compiled)| {
        let old = orig.0.compiled.get(path)?;
        let is_part = after.contains_key(path.as_path()) || before.contains_key(path.as_path());
        let differs = || {
            let of = |(record, one): (&Record, &Compiled)| record.object(&one.object).ok();
            match (of((orig.0, old)), of((patched.0, new))) {
                (Some(old), Some(new)) => !equal_but_debug(&old, &new),
                _ => true,
            }
        };
        (old.object != new.object && !is_part && differs()).then(|| inside(&new.source, tree))
    };
    // A source can be compiled twice, for a shared and for a static library.
    let parts = after.values().chain(before.values());
    let parts: BTreeSet<String> = parts.map(|one| inside(&one.source, tree)).collect();
    let sources: BTreeSet<String> = patched.0.compiled.iter().filter_map(differs).collect();
    let elsewhere: Vec<&str> = sources.difference(&parts).map(String::as_str).collect();
    (!elsewhere.is_empty()).then(|| {
        format!(
            "not part of the binary, though changed: {}",
            elsewhere.join(", ")
        )
    })
}

fn inside(path: &Path, tree: &Path) -> String {
    path.strip_prefix(tree)
        .unwrap_or(path)
        .display()
        .to_string()
}

/// An object without anything: what a new source is compared with.
fn empty() -> Result<Vec<u8>> {
    let mut builder = Builder::new(Endianness::Little, true);
    builder.header.e_type = elf::ET_REL;
    builder.header.e_machine = elf::EM_X86_64;
    let mut add = |name: &'static str, kind, data| {
        let section = builder.sections.add();
        section.name = name.as_bytes().into();
        section.sh_type = kind;
        section.sh_addralign = 1;
        section.data = data;
        section.id()
    };
    let strings = add(".strtab", elf::SHT_STRTAB, SectionData::String);
    add(".shstrtab", elf::SHT_STRTAB, SectionData::SectionString);
    let symbols = add(".symtab", elf::SHT_SYMTAB, SectionData::Symbol);
    let symbols = builder.sections.get_mut(symbols);
    symbols.sh_link_section = Some(strings);
    symbols.sh_entsize = 24;
    builder.set_section_sizes();
    let mut bytes = Vec::new();
    builder.write(&mut bytes)?;
    Ok(bytes)
}

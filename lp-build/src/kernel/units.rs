//! Which objects the changed sources end up in: usually one each, but a file that others include has theirs.

use super::absent::{self, Fate};
use super::arch::Arch;
use super::commands::{CompileCommand, Owner, commands};
use super::config;
use super::includers::{Scope, includers};
use super::kinds::RefusedKind;
use super::make::Make;
use super::makefile::Makefiles;
use super::prepare::Prepared;
use crate::report::RefusalReport;
use crate::tree::Tree;
use crate::tree::walk::Listing;
use anyhow::{Context, Result};
use lp_klp::name::ObjName;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// A file to compile in both trees.
#[derive(Debug, Clone)]
pub struct Unit {
    /// Its path inside the trees.
    pub source: String,
    /// The kernel or the module that it is part of.
    pub object: ObjName,
    /// How it is compiled.
    pub command: CompileCommand,
}

/// What the changed sources come to.
#[derive(Debug, Default)]
pub struct Units {
    /// What to compile, by path.
    pub units: Vec<Unit>,
    /// Sources that this kernel's configuration does not build.
    pub absent: Vec<String>,
    /// Sources that cannot be patched.
    pub refusals: Vec<RefusalReport>,
}

/// Where commands come from.
#[derive(Debug, Clone, Copy)]
pub struct Build<'a> {
    /// The build folder.
    pub prepared: &'a Prepared,
    /// How make is run in it.
    pub make: Make<'a>,
    /// Where the commands are kept.
    pub commands: &'a Path,
}

/// Maps changed sources to objects.
pub fn find(
    sources: &[String],
    tree: &Tree,
    listing: &Listing,
    arch: &Arch,
    build: Build<'_>,
) -> Result<Units> {
    let mut found = Units::default();
    let mut seen: BTreeSet<String> = sources.iter().cloned().collect();
    let mut pending: Vec<String> = seen.iter().cloned().collect();
    let mut including: BTreeMap<String, Vec<String>> = BTreeMap::new();
    while !pending.is_empty() {
        let known = commands(build.prepared, build.make, build.commands, &pending)?;
        let mut next = BTreeSet::new();
        for source in &pending {
            let command = known
                .get(source)
                .with_context(|| format!("{source} has no compile command"))?;
            let owner = &command.owner;
            let scope = if *owner == Owner::None {
                Scope::Kernel
            } else {
                Scope::Folder
            };
            let through = includers(&tree.root, listing, arch.folder, source, scope);
            let other_image = |path: &String| {
                arch.other_images
                    .iter()
                    .any(|image| path.starts_with(image))
            };
            let (elsewhere, through): (Vec<String>, Vec<String>) =
                through.into_iter().partition(other_image);
            if let (Owner::None, Some(image)) = (owner, elsewhere.first()) {
                found.refusals.push(in_other_image(source, image));
            }
            sort(&mut found, command, &through);
            let files = through.iter().filter(|path| path.ends_with(".c"));
            next.extend(files.filter(|path| seen.insert((*path).clone())).cloned());
            including.insert(source.clone(), through);
        }
        pending = next.into_iter().collect();
    }
    found.units.sort_by(|a, b| a.source.cmp(&b.source));
    let compiled: BTreeSet<&str> = found
        .units
        .iter()
        .map(|unit| unit.source.as_str())
        .collect();
    let left: Vec<&String> = sources
        .iter()
        .filter(|source| !reaches(&including, source, &compiled))
        .collect();
    let refused: BTreeSet<String> = found
        .refusals
        .iter()
        .map(|refusal| refusal.place.clone())
        .collect();
    let left: Vec<&String> = left
        .into_iter()
        .filter(|source| !refused.contains(*source))
        .collect();
    if !left.is_empty() {
        let kernel = Kernel {
            makefiles: Makefiles::read(&tree.root, listing, arch.folder),
            config: config::parse(&config::read(&build.prepared.folder.join(".config"))?),
        };
        for source in left {
            match kernel.fate(&including, source).refusal(source) {
                None => found.absent.push(source.clone()),
                Some(refusal) => found.refusals.push(refusal),
            }
        }
    }
    Ok(found)
}

/// What says whether the kernel has a file at all.
struct Kernel {
    makefiles: Makefiles,
    config: config::Config,
}

impl Kernel {
    /// A file that is compiled nowhere is absent by itself, or because all files that include it are.
    fn fate(&self, including: &BTreeMap<String, Vec<String>>, source: &str) -> Fate {
        let own = absent::fate(source, &self.makefiles, &self.config);
        let mut seen = BTreeSet::from([source]);
        let mut pending = match own {
            Fate::Absent => Vec::new(),
            Fate::Refused(..) => vec![source],
        };
        while let Some(at) = pending.pop() {
            let through = including.get(at).map(Vec::as_slice).unwrap_or_default();
            if through.is_empty() {
                return own;
            }
            for path in through {
                let fate = absent::fate(path, &self.makefiles, &self.config);
                if fate == Fate::Absent {
                    continue;
                }
                if !seen.insert(path) {
                    // Files that include each other give no reason.
                    return own;
                }
                pending.push(path);
            }
        }
        Fate::Absent
    }
}

fn in_other_image(source: &str, image: &str) -> RefusalReport {
    RefusalReport {
        code: RefusedKind::OtherImage.code().to_owned(),
        place: source.to_owned(),
        message: format!("{image} includes it: {}", RefusedKind::OtherImage.why()),
        source: None,
    }
}

/// Whether a source is compiled, by itself or through what includes it.
fn reaches(
    including: &BTreeMap<String, Vec<String>>,
    source: &str,
    compiled: &BTreeSet<&str>,
) -> bool {
    let mut seen = BTreeSet::new();
    let mut pending = vec![source];
    while let Some(source) = pending.pop() {
        if compiled.contains(source) {
            return true;
        }
        if seen.insert(source) {
            pending.extend(
                including
                    .get(source)
                    .into_iter()
                    .flatten()
                    .map(String::as_str),
            );
        }
    }
    false
}

fn sort(found: &mut Units, command: &CompileCommand, through: &[String]) {
    let source = &command.source;
    let mut refuse = |code: &str, message: String| {
        found.refusals.push(RefusalReport {
            code: code.to_owned(),
            place: source.clone(),
            message,
            source: None,
        });
    };
    if let Some(header) = through.iter().find(|path| path.ends_with(".h")) {
        refuse(
            "included-by-header",
            format!(
                "the header {header} includes it, and changes through headers come with a later release"
            ),
        );
    }
    match &command.owner {
        Owner::Object(object) => {
            found.units.push(Unit {
                source: source.clone(),
                object: object.clone(),
                command: command.clone(),
            });
        }
        Owner::Several(modules) => refuse(
            "several-modules",
            format!(
                "it is linked into several modules ({modules}), which is not supported yet: leave it as it was"
            ),
        ),
        Owner::None => {}
    }
}

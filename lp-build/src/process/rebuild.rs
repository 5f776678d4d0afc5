//! The patched tree from what the original's build left: the changed sources are put over it, and the build command goes
//! on from there, as it does for a person who saves a file.
//!
//! What a build forgets would be missing in the patch, so nothing is taken on trust: only sources and headers that differ
//! are followed this way, what the build makes for the compiler to read is made again, and afterwards each object that was
//! not compiled again must have been made from files that are still the same, and each link from objects that are still
//! there. In any other case the tree is built from scratch. The tempting wrong way is to believe the build's own
//! dependencies: many a Makefile has none for headers.

use super::build::{How, Workplace};
use super::record::{Compiled, Linked, Record};
use super::touched::Touched;
use super::{copy, outside};
use crate::progress::say;
use crate::tree::{Change, ChangeKind, walk};
use anyhow::{Context, Result};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

/// What a compiler alone reads; of anything else it is not known what the build makes of it.
const FOLLOWED: [&str; 10] = ["c", "h", "cc", "cpp", "cxx", "c++", "hh", "hpp", "hxx", "C"];
/// In the folder of a build: the built tree, and the names of the files that were there before the build command ran.
pub(super) const TREE: &str = "tree";
const GIVEN: &str = "given";

/// The original's build.
#[derive(Debug, Clone, Copy)]
pub(super) struct Base<'a> {
    pub(super) place: &'a Workplace,
    /// Where it is kept.
    pub(super) folder: &'a Path,
    pub(super) record: &'a Record,
    /// The person's tree.
    pub(super) orig: &'a Path,
}

/// What came of going on from it.
pub(super) enum Rebuilt {
    /// All steps, those of the original's build that still hold among them.
    Done(Record),
    /// It must be built from scratch, for this reason.
    Unfit(String),
}

/// Builds the original, and keeps what it leaves.
pub(super) fn build_kept(
    place: &Workplace,
    orig: &Path,
    folder: &Path,
    (commands, how): (&[String], How<'_>),
) -> Result<()> {
    place
        .build(orig, folder, commands, how)
        .context("the original tree")?;
    place.move_to(&folder.join(TREE))
}

/// Where a file of the place of building is kept.
pub(super) fn kept(place: &Workplace, folder: &Path, path: &Path) -> PathBuf {
    let inside = path.strip_prefix(place.tree()).unwrap_or(path);
    folder.join(TREE).join(inside)
}

/// Writes down which files there are before the build command runs: what it reads besides, it makes.
pub(super) fn note_given(tree: &Path, folder: &Path) -> Result<()> {
    let names: Vec<String> = walk::list(tree)?.into_keys().collect();
    let path = folder.join(GIVEN);
    fs::write(&path, names.join("\n")).with_context(|| format!("cannot write {}", path.display()))
}

impl Base<'_> {
    /// Goes on from it with the changed files of the patched tree; what the shims write goes to the new folder `root`.
    pub(super) fn rebuild(
        &self,
        patched: &Path,
        changes: &[Change],
        root: &Path,
        build: &String,
    ) -> Result<Rebuilt> {
        if let Some(reason) = self.unfit(patched, changes) {
            return Ok(Rebuilt::Unfit(reason));
        }
        self.place.clear()?;
        copy::everything(&self.folder.join(TREE), self.place.tree())?;
        for made in self.made()? {
            remove(&made)?;
        }
        for Change { path, kind } in changes {
            let (new, there) = (patched.join(path), self.place.tree().join(path));
            remove(&there)?;
            if *kind != ChangeKind::Removed {
                copy::file(&new, &there)?;
            }
        }
        let ran = self
            .place
            .run_all(root, std::slice::from_ref(build), How::On(self.folder));
        if let Err(error) = ran {
            tracing::debug!("{error:#}");
            let reason = "it does not build on top of what the original's build left";
            return Ok(Rebuilt::Unfit(reason.to_owned()));
        }
        let later = Record::read(root)?;
        let compiled = later.newly_compiled();
        let all = self.record.followed_by(later);
        let unfit = self
            .stale(&all)
            .or_else(|| self.differs_by_itself(&all, changes));
        Ok(match unfit {
            Some(reason) => Rebuilt::Unfit(reason),
            None => {
                say_compiled(compiled, &all);
                Rebuilt::Done(all)
            }
        })
    }

    /// Why the changes cannot be followed.
    pub(super) fn unfit(&self, patched: &Path, changes: &[Change]) -> Option<String> {
        let touched = Touched::read(self.folder);
        let built = self.folder.join(TREE);
        let can_see = |change: &&Change| match &touched {
            Some(touched) => !touched.cannot_see(change, &built),
            None => true,
        };
        let mut seen = changes.iter().filter(can_see);
        seen.find_map(|change| self.unfit_change(patched, change))
    }

    /// Why a change that the build can see cannot be followed.
    fn unfit_change(&self, patched: &Path, change: &Change) -> Option<String> {
        let path = &change.path;
        let extension = Path::new(path).extension().and_then(|text| text.to_str());
        let is_source = extension.is_some_and(|extension| FOLLOWED.contains(&extension));
        let is_file = |path: &Path| path.symlink_metadata().is_ok_and(|data| data.is_file());
        let (old, new) = (self.orig.join(path), patched.join(path));
        if change.kind != ChangeKind::Changed || !is_source || !is_file(&old) || !is_file(&new) {
            return Some(format!("{path} may change what is built"));
        }
        let built = self.folder.join(TREE).join(path);
        let read = |path: &Path| fs::read(path).ok();
        (read(&built) != read(&old)).then(|| format!("the build writes to {path}"))
    }

    /// The files that the build makes for the compiler to read, in the place of building.
    fn made(&self) -> Result<Vec<PathBuf>> {
        let path = self.folder.join(GIVEN);
        let given =
            fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let given: HashSet<&Path> = given.lines().map(Path::new).collect();
        let read: BTreeSet<&PathBuf> = self.reads().collect();
        let is_made = |path: &&PathBuf| {
            let inside = path.strip_prefix(self.place.tree());
            inside.is_ok_and(|inside| !given.contains(inside))
        };
        Ok(read.into_iter().filter(is_made).cloned().collect())
    }

    fn reads(&self) -> impl Iterator<Item = &PathBuf> {
        let compiled = self.record.compiled.values();
        compiled.filter_map(|one| one.reads.as_ref()).flatten()
    }

    /// What the build forgot.
    fn stale(&self, all: &Record) -> Option<String> {
        self.stale_object(all).or_else(|| self.stale_link(all))
    }

    /// An object that is older than what it was made from.
    fn stale_object(&self, all: &Record) -> Option<String> {
        let mut same: BTreeMap<PathBuf, bool> = BTreeMap::new();
        let mut is_same = |path: &PathBuf| {
            *same
                .entry(path.clone())
                .or_insert_with(|| self.is_as_it_was(path))
        };
        let kept = |one: &&Compiled| all.compiled.get(&one.output) == Some(*one);
        self.record.compiled.values().filter(kept).find_map(|one| {
            let source = self.inside(&one.source);
            let Some(reads) = &one.reads else {
                return Some(format!("what {source} includes could not be told"));
            };
            let is_old = !reads.iter().all(&mut is_same) || !outside::are_same(one);
            is_old.then(|| format!("{source} was not compiled again"))
        })
    }

    /// An object that has another content, and not by what changed: a build that counts how often it ran, or writes down
    /// when, would make a patch of that.
    fn differs_by_itself(&self, all: &Record, changes: &[Change]) -> Option<String> {
        let tree = self.place.tree();
        let changed: HashSet<PathBuf> = changes.iter().map(|one| tree.join(&one.path)).collect();
        all.compiled.values().find_map(|one| {
            let old = self.record.compiled.get(&one.output)?;
            let mut reads = old.reads.iter().flatten().chain([&one.source]);
            let by_itself = old.object != one.object && !reads.any(|path| changed.contains(path));
            by_itself.then(|| {
                let source = self.inside(&one.source);
                format!("{source} came out another one, though nothing it reads has changed")
            })
        })
    }

    /// A program that was made from an object which is there no more.
    fn stale_link(&self, all: &Record) -> Option<String> {
        let objects = |record: &Record| -> HashSet<String> {
            let compiled = record.compiled.values();
            compiled.map(|one| one.object.clone()).collect()
        };
        let (old, new) = (objects(self.record), objects(all));
        let is_gone = |hash: &String| old.contains(hash) && !new.contains(hash);
        let is_old = |link: &&Linked| link.inputs.iter().any(is_gone);
        let link = all.linked.values().find(is_old)?;
        let output = self.inside(&link.output);
        Some(format!("{output} has an older object"))
    }

    /// Whether a file is in the built tree what it was when the original was built.
    fn is_as_it_was(&self, path: &Path) -> bool {
        let before = kept(self.place, self.folder, path);
        let data = |path: &Path| fs::metadata(path).ok();
        match (data(&before), data(path)) {
            (Some(old), Some(new)) if old.len() == new.len() => {
                let time = |data: &fs::Metadata| data.modified().ok();
                time(&old) == time(&new) || fs::read(&before).ok() == fs::read(path).ok()
            }
            // What a configure script tried and removed is in neither.
            (None, None) => true,
            _ => false,
        }
    }

    fn inside(&self, path: &Path) -> String {
        let inside = path.strip_prefix(self.place.tree()).unwrap_or(path);
        inside.display().to_string()
    }
}

/// How much of a tree had to be compiled.
pub(super) fn say_compiled(compiled: usize, all: &Record) {
    let all = all.compiled.len();
    say(format_args!(
        "           {compiled} of {all} files compiled"
    ));
}

fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

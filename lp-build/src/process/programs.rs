//! Both trees, built once, and for each binary what of its objects changed.

use super::binary::{Binary, Running};
use super::build::{self, How, Workplace};
use super::entries::{self, Changed};
use super::options::Options;
use super::pairs::{self, Pair};
use super::rebuild::{self, Base, Rebuilt};
use super::record::{Linked, Record};
use super::{judge, key, outside, parts, symbols};
use crate::cache::{Cache, InUse, Scratch};
use crate::patch::judged::Judged;
use crate::progress::{Progress, say};
use crate::report::Report;
use crate::tree::Change;
use crate::tree::walk::Listing;
use anyhow::{Context, Result};
use rayon::prelude::*;
use std::path::{Path, PathBuf};

/// What is built.
pub(super) struct Trees<'a> {
    pub(super) orig: &'a Path,
    /// The original's files.
    pub(super) listing: &'a Listing,
    pub(super) patched: &'a Path,
    pub(super) changes: &'a [Change],
}

/// The binaries, and what of their objects changed.
pub(super) struct Programs {
    pub(super) running: Vec<Running>,
    pub(super) judged: Vec<Judged>,
    pub(super) changed: Vec<Changed>,
}

/// Builds both trees and judges the objects that differ.
pub(super) fn judge(
    options: &Options,
    trees: &Trees<'_>,
    binaries: Vec<Binary>,
    (cache, scratch): (&Cache, &Scratch),
    progress: &Progress,
    report: &mut Report,
) -> Result<Programs> {
    let commands = &options.commands;
    let key = key::key(trees.orig, trees.listing, commands)?;
    let folder = cache.place(&format!("tree-{key}"))?;
    folder.lend_lock()?;
    let place = Workplace::new(folder.path(), trees.orig)?;
    let (kept, before, key) = original(&place, trees, commands, (cache, &key), progress)?;
    let plain = match binaries.iter().all(|binary| binary.symbols.is_some()) {
        true => None,
        false => Some(progress.step("building for its symbols", || {
            cache.prepared(&key::with(&key, "plain"), |root| {
                rebuild::build_kept(&place, trees.orig, root, (commands, How::Plain))
            })
        })?),
    };
    let lend = |binary: &Binary| match (&binary.symbols, &plain) {
        (None, Some(plain)) => {
            let seen = build::seen(&plain.folder, commands)?;
            let output = &link(options, binary, &seen, &place)?.output;
            let path = rebuild::kept(&place, &plain.folder, output);
            let folder = scratch.folder(&format!("symbols-{}", binary.object))?;
            symbols::lend(&binary.path, &path, &folder)
        }
        (found, _) => Ok(found.clone().unwrap_or_default()),
    };
    let symbols = binaries.iter().map(lend).collect::<Result<Vec<_>>>()?;
    let base = Base {
        place: &place,
        folder: &kept.folder,
        record: &before,
        orig: trees.orig,
    };
    let after = progress.step("building the patched tree", || {
        build_patched(options, &base, trees, scratch).context("the patched tree")
    })?;
    let links = |record| {
        let links = binaries.iter();
        let links = links.map(|binary| link(options, binary, record, &place));
        links.collect::<Result<Vec<_>>>()
    };
    let (old, new) = (links(&before)?, links(&after)?);
    report.notes.extend(pairs::elsewhere(
        (&before, &old),
        (&after, &new),
        place.tree(),
    ));
    let patched: Vec<&Path> = new.iter().map(|link| link.output.as_path()).collect();
    let mut pairs = Vec::new();
    for (old, new) in old.into_iter().zip(&new) {
        let found = pairs::find((&before, old), (&after, new), place.tree())?;
        report.notes.extend(found.notes);
        report.refusals.extend(found.refusals);
        pairs.push(found.pairs);
    }
    progress.step("comparing with the binary", || {
        let files = symbols.iter().map(PathBuf::as_path).zip(patched);
        compare(options, binaries, files, &pairs)
    })
}

/// The original's build, what was written down of it, and its key. One that is kept from an earlier run counts if the files beside the tree
/// are what they were.
fn original(
    place: &Workplace,
    trees: &Trees<'_>,
    commands: &[String],
    (cache, key): (&Cache, &str),
    progress: &Progress,
) -> Result<(InUse, Record, String)> {
    let mut key = key.to_owned();
    loop {
        let kept = progress.step("building the original tree", || {
            cache.prepared(&key, |root| {
                rebuild::build_kept(place, trees.orig, root, (commands, How::Base))
            })
        })?;
        let record = build::seen(&kept.folder, commands)?;
        match outside::changed(&record).filter(|_| kept.was_there) {
            None => return Ok((kept, record, key)),
            Some(path) => say(format_args!(
                "           {} has changed since it was built",
                path.display()
            )),
        }
        key = outside::key(&key, &record);
    }
}

/// The link that made a binary.
fn link<'r>(
    options: &Options,
    binary: &Binary,
    record: &'r Record,
    place: &Workplace,
) -> Result<&'r Linked> {
    let names = (binary.path.as_path(), binary.soname.as_deref());
    let given = binary
        .path
        .file_name()
        .and_then(|name| options.built.get(name));
    parts::link(record, names, given.map(PathBuf::as_path), place.tree())
}

/// Judges the pairs of each binary, with the files of its symbols and of what the patched tree made in its place.
fn compare<'f>(
    options: &Options,
    binaries: Vec<Binary>,
    files: impl Iterator<Item = (&'f Path, &'f Path)>,
    pairs: &[Vec<Pair>],
) -> Result<Programs> {
    let several = binaries.len() > 1;
    let mut programs = Programs {
        running: Vec::new(),
        judged: Vec::new(),
        changed: Vec::new(),
    };
    for ((binary, (symbols, patched)), pairs) in binaries.into_iter().zip(files).zip(pairs) {
        // A build may have moved it away, which matters to nobody where it is the only one.
        let running = binary.with_symbols(symbols, several.then_some(patched))?;
        let allowed = &options.asked.allow_layout_change;
        let judge = |pair| judge::judge(pair, &running, allowed, several);
        let judged = pairs.par_iter().map(judge).collect::<Result<Vec<_>>>();
        let judged = judged.context("comparing the objects")?;
        programs.changed.extend(entries::changed(pairs, &judged));
        programs.judged.extend(judged);
        programs.running.push(running);
    }
    Ok(programs)
}

/// On top of the original's build where that is sure to give the same, else from scratch.
fn build_patched(
    options: &Options,
    base: &Base<'_>,
    trees: &Trees<'_>,
    scratch: &Scratch,
) -> Result<Record> {
    let commands = &options.commands;
    let records = scratch.folder("records")?;
    let build = commands.last().filter(|_| !options.from_scratch);
    if let Some(build) = build {
        let root = records.join("rebuilt");
        match base.rebuild(trees.patched, trees.changes, &root, build)? {
            Rebuilt::Done(record) => return Ok(record),
            Rebuilt::Unfit(reason) => {
                say(format_args!("           from scratch: {reason}"));
            }
        }
    }
    let root = records.join("patched");
    let fits = !options.from_scratch && base.unfit(trees.patched, trees.changes).is_none();
    let how = match fits {
        true => How::On(base.folder),
        false => How::Taken,
    };
    base.place.build(trees.patched, &root, commands, how)?;
    let record = build::seen(&root, commands)?;
    rebuild::say_compiled(record.newly_compiled(), &record);
    Ok(record)
}

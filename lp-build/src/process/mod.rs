//! A patch for a program or library that runs in processes: the road from two source trees to one file.
//!
//! | file | decides |
//! |---|---|
//! | `options` | what was asked |
//! | `names`, `shim`, `command` | what stands in a compiler's place, and what a command line asks for |
//! | `record` | what the shims write down |
//! | `headers` | what a patched source may include |
//! | `copy` | what of a tree is copied |
//! | `build` | a copy of a tree, built under the shims |
//! | `reads` | which files a compilation reads |
//! | `rebuild` | the patched tree from what the original's build left, or from scratch |
//! | `key` | whether a tree was built before |
//! | `binary` | what processes run |
//! | `symbols` | where its symbols are, if it is stripped |
//! | `parts` | which objects are part of that |
//! | `pairs` | which objects differ |
//! | `judge` | whether an original is what runs, and what of it changed |
//! | `callbacks` | what the loader calls around the patching |
//! | `assemble` | the manifest |
//! | `entries` | whether a loader can redirect the functions |
//! | `link`, `sign` | the patch file, and the signature beside it |

mod assemble;
mod binary;
mod build;
mod callbacks;
mod command;
mod copy;
mod displaced;
mod entries;
mod headers;
mod judge;
mod key;
mod lent;
mod link;
mod names;
pub mod options;
mod pairs;
mod parts;
mod reads;
mod rebuild;
pub mod record;
pub mod shim;
mod sign;
mod symbols;

use crate::cache::{Cache, Scratch};
use crate::options::Patched;
use crate::patch::judged::Judged;
use crate::patch::publish::publish;
use crate::patch::refuse::{refuse, refuse_lineage, warn};
use crate::patch::summary;
use crate::progress::{Progress, say};
use crate::report::{Report, Verdict};
use crate::tree::walk::Listing;
use crate::tree::{Change, diffstat, walk};
use anyhow::{Context, Result};
use binary::{Binary, Running};
use build::{How, Workplace};
use entries::Changed;
use lp_klp::{note, signature};
use options::Options;
use rayon::prelude::*;
use rebuild::{Base, Rebuilt};
use record::{Linked, Record};
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Builds the patch that the options describe; what is found on the way goes into the report.
pub fn build(options: &Options, progress: &Progress, report: &mut Report) -> Result<Verdict> {
    let asked = &options.asked;
    summary::introduce(asked, report);
    let key = options.sign.as_deref().map(sign::key).transpose()?;
    let binary = progress.step("reading the binary", || {
        Binary::open(&options.binary, options.debug_file.as_deref())
    })?;
    report.target = format!("{} (build-id {})", binary.file, binary.build_id);
    let cache = Cache::open(&asked.cache)?;
    let scratch = cache.scratch(asked.keep.as_deref())?;
    let patched_root = match &options.patched {
        Patched::Tree(tree) => tree.clone(),
        Patched::Patches(patches) => {
            let folder = scratch.folder("patched")?;
            build::apply(patches, &options.orig, &folder)?;
            folder
        }
    };
    let (orig, patched) = (walk::list(&options.orig)?, walk::list(&patched_root)?);
    let mut changes = walk::compare((&options.orig, &orig), (&patched_root, &patched))?;
    changes.retain(|change| {
        let is_made = |root: &Path| is_made(&root.join(&change.path));
        !is_made(&options.orig) && !is_made(&patched_root)
    });
    report.files = diffstat::diffstat(&options.orig, &patched_root, &changes);
    if changes.is_empty() {
        report.notes.push("the trees do not differ".to_owned());
        return Ok(Verdict::Same);
    }
    say(&report.files);
    if options.dry_run {
        return Ok(Verdict::Planned);
    }
    let trees = Trees {
        orig: &options.orig,
        listing: &orig,
        patched: &patched_root,
        changes: &changes,
    };
    let folders = (&cache, &scratch);
    let (judged, changed, running) = judge_all(options, &trees, binary, folders, progress, report)?;
    summary::summarize(&judged, None, report);
    let needless = summary::needless(&judged, &asked.allow_layout_change);
    warn(report, progress, &needless);
    warn(report, progress, &endless(&judged));
    let callbacks = callbacks::gather(&asked.callbacks, &judged, report);
    if refuse(asked, &judged, report, progress) {
        return Ok(Verdict::Refused);
    }
    if report
        .objects
        .iter()
        .all(|object| object.functions.is_empty())
    {
        return Ok(Verdict::Same);
    }
    let manifest = assemble::manifest(&asked.identity, &running, &judged, callbacks)?;
    let objects = manifest.objects.iter();
    let refusals: Vec<_> = progress.step("checking the entries", || {
        objects
            .flat_map(|object| entries::check(object, &running, &changed))
            .collect()
    });
    if !refusals.is_empty() {
        report.refusals.extend(refusals);
        return Ok(Verdict::Refused);
    }
    let bytes = progress.step("linking the patch", || {
        let objects: Vec<Vec<u8>> = judged.into_iter().filter_map(|unit| unit.diff).collect();
        let folder = scratch.folder("link")?;
        let lent = lent::symbols(&running)?.map(|lent| (&running.binary.object, lent));
        link::link(&objects, (&note::encode(&manifest)?, lent), &folder)
    })?;
    report
        .notes
        .extend(assemble::new_imports(&bytes, &running)?);
    if refuse_lineage(asked, &bytes, report, progress)? {
        return Ok(Verdict::Refused);
    }
    publish(&options.output, &bytes)?;
    if let Some(key) = &key {
        publish(
            &signature::path(&options.output),
            sign::sign(key, &bytes).as_bytes(),
        )?;
    }
    report.output = Some(options.output.clone());
    report.size = Some(bytes.len() as u64);
    Ok(Verdict::Built)
}

/// What is to be said of `main`, which is on its thread's stack for as long as the process lives.
fn endless(judged: &[Judged]) -> Vec<String> {
    let changed = judged
        .iter()
        .flat_map(|unit| unit.changed().map(move |one| (unit, one)));
    let main = changed.filter(|(_, function)| function.name == "main");
    main.map(|(unit, _)| {
        format!(
            "{}: main changed, and no process ever leaves it, so that a patch with it cannot be switched to: move the \
             change into a function that main calls, or is called from there again and again",
            unit.source
        )
    })
    .collect()
}

/// Whether a file is what an earlier build left in a tree: an object, an archive, a program.
fn is_made(path: &Path) -> bool {
    let mut head = Vec::new();
    let read = File::open(path).and_then(|file| file.take(8).read_to_end(&mut head));
    read.is_ok() && (head.starts_with(b"\x7fELF") || head.starts_with(b"!<arch>"))
}

/// What is built.
struct Trees<'a> {
    orig: &'a Path,
    /// The original's files.
    listing: &'a Listing,
    patched: &'a Path,
    changes: &'a [Change],
}

/// Builds both trees and judges the objects that differ.
fn judge_all(
    options: &Options,
    trees: &Trees<'_>,
    binary: Binary,
    (cache, scratch): (&Cache, &Scratch),
    progress: &Progress,
    report: &mut Report,
) -> Result<(Vec<Judged>, Vec<Changed>, Running)> {
    let commands = &options.commands;
    let key = key::key(trees.orig, trees.listing, commands)?;
    let folder = cache.place(&format!("tree-{key}"))?;
    let place = Workplace::new(folder.path(), trees.orig)?;
    let link = |record: &Record| -> Result<Linked> {
        let names = (binary.path.as_path(), binary.soname.as_deref());
        let link = parts::link(record, names, options.built.as_deref(), place.tree())?;
        Ok(link.clone())
    };
    let plain = match binary.symbols {
        Some(_) => None,
        None => Some(progress.step("building for its symbols", || {
            cache.prepared(&key::plain(&key), |root| {
                rebuild::build_kept(&place, trees.orig, root, (commands, How::Plain))
            })
        })?),
    };
    let symbols = match &plain {
        Some(plain) => {
            let output = link(&build::seen(&plain.folder, commands)?)?.output;
            let path = rebuild::kept(&place, &plain.folder, &output);
            symbols::lend(&binary.path, &path, &scratch.folder("symbols")?)?
        }
        None => binary.symbols.clone().unwrap_or_default(),
    };
    let kept = progress.step("building the original tree", || {
        cache.prepared(&key, |root| {
            rebuild::build_kept(&place, trees.orig, root, (commands, How::Base))
        })
    })?;
    let before = build::seen(&kept.folder, commands)?;
    let base = Base {
        place: &place,
        folder: &kept.folder,
        record: &before,
        orig: trees.orig,
    };
    let after = progress.step("building the patched tree", || {
        build_patched(options, &base, trees, scratch).context("the patched tree")
    })?;
    let pairs = pairs::find(
        (&before, &link(&before)?),
        (&after, &link(&after)?),
        place.tree(),
    )?;
    report.notes.extend(pairs.notes);
    report.refusals.extend(pairs.refusals);
    progress.step("comparing with the binary", || {
        let running = binary.with_symbols(&symbols)?;
        let judge = |pair| judge::judge(pair, &running, &options.asked.allow_layout_change);
        let judged = pairs.pairs.par_iter().map(judge);
        let judged = judged.collect::<Result<Vec<_>>>();
        let judged = judged.context("comparing the objects")?;
        let changed = entries::changed(&pairs.pairs, &judged);
        Ok((judged, changed, running))
    })
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
    let place = base.place;
    place.build(trees.patched, &root, commands, How::Taken)?;
    build::seen(&root, commands)
}

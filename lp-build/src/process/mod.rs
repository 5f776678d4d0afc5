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
//! | `outside` | what it reads beside the tree |
//! | `reads` | which files a compilation reads |
//! | `touched` | which files of a tree its build opens at all |
//! | `rebuild` | the patched tree from what the original's build left, or from scratch |
//! | `reuse` | which objects are the same in both trees without a compilation |
//! | `key` | whether a tree was built before |
//! | `binary` | what processes run |
//! | `symbols` | where its symbols are, if it is stripped |
//! | `parts` | which objects are part of that |
//! | `pairs` | which objects differ |
//! | `judge` | whether an original is what runs, and what of it changed |
//! | `programs` | all of these for both trees and each binary |
//! | `callbacks` | what the loader calls around the patching |
//! | `assemble` | the manifest |
//! | `entries` | whether a loader can redirect the functions |
//! | `link`, `join`, `sign` | the patch file, and the signature beside it |

mod assemble;
mod binary;
mod build;
mod callbacks;
mod command;
mod copy;
mod displaced;
mod entries;
mod headers;
mod join;
mod judge;
mod key;
mod lent;
mod link;
mod names;
pub mod options;
mod outside;
mod pairs;
mod parts;
mod programs;
mod reads;
mod rebuild;
pub mod record;
mod reuse;
pub mod shim;
mod sign;
mod symbols;
mod touched;

use crate::cache::Cache;
use crate::options::Patched;
use crate::patch::judged::Judged;
use crate::patch::publish::publish;
use crate::patch::refuse::{refuse, refuse_lineage, warn};
use crate::patch::summary;
use crate::progress::{Progress, say};
use crate::report::{Report, Verdict};
use crate::tree::{diffstat, walk};
use anyhow::Result;
use lp_klp::{note, signature};
use options::Options;
use programs::{Programs, Trees};
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Builds the patch that the options describe; what is found on the way goes into the report.
pub fn build(options: &Options, progress: &Progress, report: &mut Report) -> Result<Verdict> {
    let asked = &options.asked;
    summary::introduce(asked, report);
    let key = options.sign.as_deref().map(sign::key).transpose()?;
    let binaries = progress.step("reading the binary", || {
        binary::open(&options.binaries, &options.debug_files)
    })?;
    let targets = binaries.iter();
    let targets = targets.map(|it| format!("{} (build-id {})", it.file, it.build_id));
    report.target = targets.collect::<Vec<_>>().join(", ");
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
    let Programs {
        running,
        judged,
        changed,
    } = programs::judge(options, &trees, binaries, folders, progress, report)?;
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
    let manifest = assemble::manifest(&asked.identity, &running, &judged, &callbacks)?;
    report
        .notes
        .extend(assemble::untouched(&manifest, &running));
    let refusals = progress.step("checking the entries", || {
        entries::check(&manifest.objects, &running, &changed)
    });
    if !refusals.is_empty() {
        report.refusals.extend(refusals);
        return Ok(Verdict::Refused);
    }
    let bytes = progress.step("linking the patch", || {
        let linked = join::join(judged, &running, &scratch.folder("link")?)?;
        link::link(&linked, &note::encode(&manifest)?, lent::of(&running)?)
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

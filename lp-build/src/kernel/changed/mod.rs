//! What the fix changes: the files that differ, sorted into what is compiled, what is outside the kernel, and what is refused.

pub mod followed;
pub mod generated;
pub mod kconfig;
pub mod kinds;

use self::kinds::Kind;
use crate::cache::Scratch;
use crate::kernel::inputs::Inputs;
use crate::kernel::kbuild::makefile::normal;
use crate::options::{Options, Patched};
use crate::progress::Progress;
use crate::report::{RefusalReport, Report};
use crate::tree::diffstat::{DiffStat, diffstat};
use crate::tree::walk::{self, Listing};
use crate::tree::{Change, ChangeKind, patch};
use anyhow::Result;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The two trees and what differs.
#[derive(Debug)]
pub struct Changed {
    /// The original's files.
    pub listing: Listing,
    /// The patched tree.
    pub patched: PathBuf,
    /// What differs.
    pub changes: Vec<Change>,
    /// The files that patches touched, where the patched tree is made of links to the original.
    pub touched: BTreeSet<PathBuf>,
    /// What `patch` warned of.
    pub warnings: Vec<String>,
    /// What `patch` told besides.
    pub notes: Vec<String>,
}

impl Changed {
    /// Whether a header is only in the patched tree.
    pub fn adds_header(&self) -> bool {
        let mut changes = self.changes.iter();
        changes.any(|change| change.kind == ChangeKind::Added && change.path.ends_with(".h"))
    }

    /// Whether one of the files read from the tree in `root` differs in the other tree.
    pub fn reads(&self, read: &BTreeSet<PathBuf>, root: &Path) -> bool {
        let inside = |path: &PathBuf| {
            let path = path.strip_prefix(root).ok()?.to_str()?;
            Some(normal("", path))
        };
        let read: BTreeSet<String> = read.iter().filter_map(inside).collect();
        let mut changes = self.changes.iter();
        changes.any(|change| read.contains(&change.path))
    }
}

/// Finds what differs.
pub fn find(
    options: &Options,
    inputs: &Inputs,
    scratch: &Scratch,
    progress: &Progress,
) -> Result<Changed> {
    let orig = inputs.root();
    match (&inputs.patched, &options.patched) {
        (Some(tree), _) => progress.step("comparing the trees", || {
            let (listing, theirs) = rayon::join(|| walk::list(orig), || walk::list(&tree.root));
            let (listing, theirs) = (listing?, theirs?);
            let changes = walk::compare((orig, &listing), (&tree.root, &theirs))?;
            let patched = tree.root.clone();
            Ok(Changed {
                listing,
                patched,
                changes,
                touched: BTreeSet::new(),
                warnings: Vec::new(),
                notes: Vec::new(),
            })
        }),
        (None, Patched::Tree(path)) => {
            anyhow::bail!("--patched {}: the tree was not opened", path.display())
        }
        (None, Patched::Patches(patches)) => progress.step("applying the patch", || {
            let patched = scratch.folder("patched")?;
            let (listing, applied) = rayon::join(
                || walk::list(orig),
                || patch::apply(orig, patches, &patched),
            );
            let (listing, applied) = (listing?, applied?);
            let touched = applied
                .changes
                .iter()
                .map(|change| PathBuf::from(&change.path))
                .collect();
            Ok(Changed {
                listing,
                patched,
                changes: applied.changes,
                touched,
                warnings: applied.warnings,
                notes: applied.notes,
            })
        }),
    }
}

/// The diff stat of what differs.
pub fn stat(inputs: &Inputs, changed: &Changed) -> DiffStat {
    diffstat(inputs.root(), &changed.patched, &changed.changes)
}

/// What is to be compiled.
#[derive(Debug, Default)]
pub struct Sources {
    /// The C files that changed.
    pub files: Vec<String>,
    /// The C files that only the patched tree has.
    pub added: Vec<String>,
    /// The C files that only the original has.
    pub removed: Vec<String>,
    /// The headers that changed, whose users are to be found.
    pub headers: Vec<Change>,
    /// The Makefiles that changed.
    pub makefiles: Vec<String>,
    /// The Kconfig files that changed.
    pub kconfigs: Vec<String>,
}

impl Sources {
    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        let paths = [
            &self.files,
            &self.added,
            &self.removed,
            &self.makefiles,
            &self.kconfigs,
        ];
        self.headers.is_empty() && paths.iter().all(|paths| paths.is_empty())
    }
}

/// The sources to compile; what is outside or refused goes into the report.
pub fn sources(inputs: &Inputs, changed: &Changed, report: &mut Report) -> Sources {
    let mut sources = Sources::default();
    let mut outside: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for change in &changed.changes {
        let kind = match inputs.module {
            Some(_) => kinds::kind_in_module(change),
            None => kinds::kind(change, inputs.arch),
        };
        match kind {
            Kind::Source => match change.kind {
                ChangeKind::Changed => sources.files.push(change.path.clone()),
                ChangeKind::Added => sources.added.push(change.path.clone()),
                ChangeKind::Removed => sources.removed.push(change.path.clone()),
            },
            Kind::Header => sources.headers.push(change.clone()),
            Kind::Makefile => sources.makefiles.push(change.path.clone()),
            Kind::Kconfig => sources.kconfigs.push(change.path.clone()),
            Kind::Outside(reason) => outside.entry(reason).or_default().push(&change.path),
            Kind::Refused(kind) => report.refusals.push(RefusalReport {
                code: kind.code().to_owned(),
                place: change.path.clone(),
                message: kind.why().to_owned(),
                source: None,
            }),
        }
    }
    for (reason, paths) in outside {
        report
            .notes
            .push(format!("left out, {reason}: {}", some(&paths)));
    }
    sources
}

/// The first few of a list of files.
pub fn some(paths: &[&str]) -> String {
    const SHOWN: usize = 4;
    let shown: Vec<&str> = paths.iter().take(SHOWN).copied().collect();
    match paths.len().saturating_sub(SHOWN) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

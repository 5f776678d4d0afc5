//! How many lines each file gained and lost, as `diffstat` shows it.

use super::{Change, ChangeKind};
use rayon::prelude::*;
use serde::Serialize;
use similar::{ChangeTag, TextDiff};
use std::fmt;
use std::path::Path;

/// The width of the bar of plus and minus signs.
const BAR: usize = 40;

/// One file's line of the diff stat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileStat {
    /// The file and what happened to it.
    #[serde(flatten)]
    pub change: Change,
    /// Lines that only the patched file has.
    pub added: usize,
    /// Lines that only the original has.
    pub removed: usize,
}

/// The diff stat of a set of changes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct DiffStat(pub Vec<FileStat>);

/// Counts the lines of every changed file; a file that cannot be read as text counts no lines.
pub fn diffstat(orig: &Path, patched: &Path, changes: &[Change]) -> DiffStat {
    DiffStat(
        changes
            .par_iter()
            .map(|change| file_stat(orig, patched, change))
            .collect(),
    )
}

fn file_stat(orig: &Path, patched: &Path, change: &Change) -> FileStat {
    let read = |root: &Path| std::fs::read_to_string(root.join(&change.path)).unwrap_or_default();
    let ours = if change.kind == ChangeKind::Added {
        String::new()
    } else {
        read(orig)
    };
    let theirs = if change.kind == ChangeKind::Removed {
        String::new()
    } else {
        read(patched)
    };
    let diff = TextDiff::from_lines(&ours, &theirs);
    let count = |tag| {
        diff.iter_all_changes()
            .filter(|line| line.tag() == tag)
            .count()
    };
    FileStat {
        change: change.clone(),
        added: count(ChangeTag::Insert),
        removed: count(ChangeTag::Delete),
    }
}

impl fmt::Display for DiffStat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self
            .0
            .iter()
            .map(|file| file.change.path.len())
            .max()
            .unwrap_or(0);
        let most = self
            .0
            .iter()
            .map(|file| file.added + file.removed)
            .max()
            .unwrap_or(0)
            .max(1);
        let scale = |lines: usize| {
            if most <= BAR {
                lines
            } else {
                (lines * BAR).div_ceil(most)
            }
        };
        for file in &self.0 {
            let lines = file.added + file.removed;
            let (plus, minus) = (
                "+".repeat(scale(file.added)),
                "-".repeat(scale(file.removed)),
            );
            writeln!(f, " {:width$} | {lines:4} {plus}{minus}", file.change.path)?;
        }
        let added: usize = self.0.iter().map(|file| file.added).sum();
        let removed: usize = self.0.iter().map(|file| file.removed).sum();
        write!(
            f,
            " {} changed, {} added, {removed} removed",
            count(self.0.len(), "file"),
            count(added, "line")
        )
    }
}

fn count(count: usize, thing: &str) -> String {
    match count {
        1 => format!("1 {thing}"),
        count => format!("{count} {thing}s"),
    }
}

//! A page for who reviews the patch: what becomes of each unit, and both versions of what changed in it.
//!
//! The text of source lines comes from the two trees, which are what was compiled; nothing outside of them is read, whatever
//! an object names.

use crate::options::Options;
use crate::patch::judged::Judged;
use anyhow::Result;
use lp_diff::show::SourceLine;
use lp_diff::show::html::{self, Unit};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Instructions shown around each one that differs.
const CONTEXT: usize = 3;

/// The page, a section for each unit that differs.
pub fn page(
    options: &Options,
    judged: &[Judged],
    (orig, patched): (&Path, &Path),
) -> Result<String> {
    let read = Sources::default();
    let text = |is_patched: bool, line: &SourceLine| {
        read.text(if is_patched { patched } else { orig }, line)
    };
    let differs = |unit: &&Judged| unit.report.verdict != lp_diff::Verdict::Same;
    let units = judged.iter().filter(differs).filter_map(|unit| {
        Some(Unit {
            name: format!("{} in {}", unit.source, unit.object),
            report: &unit.report,
            shown: unit.shown.as_ref()?,
            sources: &text,
        })
    });
    let identity = &options.asked.identity;
    let title = format!(
        "{} {} for {}",
        identity.name, identity.version, options.release
    );
    Ok(html::page(&title, &units.collect::<Vec<_>>(), CONTEXT)?)
}

/// The files read so far.
#[derive(Default)]
struct Sources(RefCell<BTreeMap<PathBuf, Option<Vec<String>>>>);

impl Sources {
    /// The text of a line of a file in a tree.
    fn text(&self, tree: &Path, line: &SourceLine) -> Option<String> {
        // A name counts from the tree's root, unless the debug information did not tell that.
        let path = tree.join(line.file.as_ref());
        let inside = path.strip_prefix(tree).ok()?;
        let leaves = inside
            .components()
            .any(|part| matches!(part, std::path::Component::ParentDir));
        if leaves {
            return None;
        }
        let mut read = self.0.borrow_mut();
        let lines = read.entry(path).or_insert_with_key(|path| lines(path));
        let index = usize::try_from(line.line).ok()?.checked_sub(1)?;
        lines.as_ref()?.get(index).cloned()
    }
}

fn lines(path: &Path) -> Option<Vec<String>> {
    let text = fs::read(path).ok()?;
    let text = String::from_utf8_lossy(&text);
    Some(text.lines().map(str::to_owned).collect())
}

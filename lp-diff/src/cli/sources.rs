//! The text of source lines, from the files that the debug information names, where they are the ones compiled.
//!
//! A source that is newer than the object was not compiled into it, by make's own rule. Where both objects were
//! compiled in one place, as of a tree that was patched in between, the file there is the patched one at most. The
//! tempting wrong way is to show what is there: the wrong text beside an instruction is worse than none.

use lp_diff::show::{SideBySide, SourceLine, Version};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Larger files are no sources, in bytes.
const LARGEST: u64 = 16 << 20;
/// What sources are called. An object can name any file of this machine, and a page may be passed on.
const SOURCES: [&str; 6] = ["c", "h", "S", "s", "inc", "rs"];

/// The files of both sides, and what was read of them.
pub(super) struct Sources {
    orig: Side,
    patched: Side,
    /// What the patched object was compiled from, as far as it is shown.
    of_patched: BTreeSet<PathBuf>,
    read: RefCell<BTreeMap<PathBuf, Option<Vec<String>>>>,
}

struct Side {
    folders: Vec<PathBuf>,
    compiled: Option<SystemTime>,
}

impl Sources {
    /// Sources of what is shown, compiled into these two objects.
    pub(super) fn new(shown: &SideBySide, (orig, patched): (&Path, &Path)) -> Self {
        let folder = |version: Option<&Version>| version?.folder.clone();
        let pairs = || shown.functions.iter();
        let before = pairs().find_map(|pair| folder(pair.orig.as_ref()));
        let after = pairs().find_map(|pair| folder(pair.patched.as_ref()));
        let patched = Side::new(patched, after);
        let rows = pairs().flat_map(|pair| &pair.rows);
        let lines = rows.filter_map(|row| row.patched.as_ref()?.source.as_ref());
        let files: BTreeSet<&str> = lines.map(|line| line.file.as_ref()).collect();
        Self {
            of_patched: files
                .iter()
                .filter_map(|file| patched.locate(file))
                .collect(),
            orig: Side::new(orig, before),
            patched,
            read: RefCell::default(),
        }
    }

    /// The text of a line, if its file is found.
    pub(super) fn text(&self, patched: bool, line: &SourceLine) -> Option<String> {
        let path = if patched {
            self.patched.compiled_from(&line.file)?
        } else {
            let found = self.orig.compiled_from(&line.file);
            found.filter(|path| !self.of_patched.contains(path))?
        };
        let mut read = self.read.borrow_mut();
        let lines = read.entry(path).or_insert_with_key(|path| lines(path));
        let index = usize::try_from(line.line).ok()?.checked_sub(1)?;
        lines.as_ref()?.get(index).cloned()
    }
}

impl Side {
    fn new(object: &Path, folder: Option<String>) -> Self {
        let compiled = fs::metadata(object).and_then(|data| data.modified());
        Self {
            folders: folder
                .into_iter()
                .map(PathBuf::from)
                .chain([PathBuf::from(".")])
                .collect(),
            compiled: compiled.ok(),
        }
    }

    /// The file, if it is not newer than the object.
    fn compiled_from(&self, file: &str) -> Option<PathBuf> {
        let path = self.locate(file)?;
        let written = fs::metadata(&path).and_then(|data| data.modified()).ok()?;
        (written <= self.compiled?).then_some(path)
    }

    fn locate(&self, file: &str) -> Option<PathBuf> {
        let extension = Path::new(file).extension()?.to_str()?;
        if !SOURCES.contains(&extension) {
            return None;
        }
        let paths = self.folders.iter().map(|folder| folder.join(file));
        paths
            .filter(|path| path.is_file())
            .find_map(|path| path.canonicalize().ok())
    }
}

fn lines(path: &Path) -> Option<Vec<String>> {
    let size = fs::metadata(path).ok()?.len();
    if size > LARGEST {
        return None;
    }
    let text = fs::read(path).ok()?;
    let lines = String::from_utf8_lossy(&text);
    Some(lines.lines().map(str::to_owned).collect())
}

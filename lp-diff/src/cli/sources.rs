//! The text of source lines, from the files that the debug information names, where they are the ones compiled.
//!
//! A source that is newer than the object was not compiled into it, by make's own rule. Where both objects were
//! compiled in one place, as of a tree that was patched in between, the file there is the patched one at most. The
//! tempting wrong way is to show what is there: the wrong text beside an instruction is worse than none.

use lp_diff::show::{SideBySide, SourceLine, Version};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Larger files are no sources, in bytes.
const LARGEST: u64 = 16 << 20;
/// What sources are called. An object can name any file of this machine, and a page may be passed on.
const SOURCES: [&str; 6] = ["c", "h", "S", "s", "inc", "rs"];

/// The files read so far.
pub(super) struct Sources {
    orig: Side,
    patched: Side,
    read: RefCell<BTreeMap<PathBuf, Option<Vec<String>>>>,
}

struct Side {
    folders: Vec<PathBuf>,
    compiled: Option<SystemTime>,
}

impl Sources {
    /// Sources of what is shown, compiled into these two objects.
    pub(super) fn new(shown: &SideBySide, (orig, patched): (&Path, &Path)) -> Self {
        let folder = |version: Option<&Version>| version.and_then(|found| found.folder.clone());
        let functions = || shown.functions.iter();
        let first = |folders: &mut dyn Iterator<Item = String>| folders.next();
        Self {
            orig: Side::new(
                orig,
                first(&mut functions().filter_map(|pair| folder(pair.orig.as_ref()))),
            ),
            patched: Side::new(
                patched,
                first(&mut functions().filter_map(|pair| folder(pair.patched.as_ref()))),
            ),
            read: RefCell::default(),
        }
    }

    /// The text of a line, if its file is found.
    pub(super) fn text(&self, patched: bool, line: &SourceLine) -> Option<String> {
        let path = self.path(patched, &line.file)?;
        let mut read = self.read.borrow_mut();
        let lines = read.entry(path).or_insert_with_key(|path| lines(path));
        let index = usize::try_from(line.line).ok()?.checked_sub(1)?;
        lines.as_ref()?.get(index).cloned()
    }

    fn path(&self, patched: bool, file: &str) -> Option<PathBuf> {
        let after = self.patched.find(file);
        if patched {
            return after;
        }
        let before = self.orig.find(file)?;
        // Where the patched one was compiled from it, it is not known to be the original's too.
        (self.patched.found(file) != Some(before.clone())).then_some(before)
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
    fn find(&self, file: &str) -> Option<PathBuf> {
        let path = self.found(file)?;
        let written = fs::metadata(&path).and_then(|data| data.modified()).ok()?;
        (written <= self.compiled?).then_some(path)
    }

    fn found(&self, file: &str) -> Option<PathBuf> {
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

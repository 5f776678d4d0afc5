//! What a build opened: of a file that nothing opened the build made nothing, whatever is in it now.
//!
//! Most fixes come with a test, and few builds read their tests. The kernel tells it (inotify(7)): every folder of the tree is watched
//! while a command runs, also by tools that are no compilers. Of what it could not tell nothing is known, and then every file
//! counts as read. The tempting wrong way is to go by names, such as `tests`.

use crate::tree::{Change, ChangeKind};
use anyhow::{Context, Result};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// In the folder of a build: a line for each file that was opened, and one with a slash at its end for each folder of which
/// anything was.
const FILE: &str = "touched";
/// How often what the kernel tells is fetched: it keeps 16,384 events for us if nobody says otherwise.
const PAUSE: Duration = Duration::from_millis(5);
/// Files that builds and compilers ask for by name, whether they are there or not.
const ASKED_FOR: [&str; 20] = [
    "c", "h", "cc", "cpp", "cxx", "c++", "hh", "hpp", "hxx", "C", "inc", "def", "S", "s", "mk",
    "mak", "in", "am", "m4", "cmake",
];
/// Bytes for events at a time.
const BUFFER: usize = 1 << 16;

/// Files and folders of a tree that were opened, removed or renamed.
#[derive(Debug, Default)]
pub(super) struct Touched {
    files: BTreeSet<PathBuf>,
    /// Those that were listed, or in which anything was opened.
    folders: BTreeSet<PathBuf>,
}

impl Touched {
    /// What was written down of a build; nothing where it could not be told.
    pub(super) fn read(folder: &Path) -> Option<Self> {
        let text = fs::read_to_string(folder.join(FILE)).ok()?;
        let mut touched = Self::default();
        for line in text.lines() {
            match line.strip_suffix('/') {
                Some(folder) => touched.folders.insert(PathBuf::from(folder)),
                None => touched.files.insert(PathBuf::from(line)),
            };
        }
        Some(touched)
    }

    /// Writes it down.
    pub(super) fn write(&self, folder: &Path) -> Result<()> {
        let files = self
            .files
            .iter()
            .map(|path| format!("{}\n", path.display()));
        let folders = self
            .folders
            .iter()
            .map(|path| format!("{}/\n", path.display()));
        let text: String = files.chain(folders).collect();
        let path = folder.join(FILE);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
    }

    /// Whether a build of the tree with the change must be the same, as far as it is about this file. One that comes or goes
    /// is also seen by who lists its folder; who asks for it by its name and does not find it is not told of: a header or a part of
    /// a Makefile is never sure.
    pub(super) fn cannot_see(&self, change: &Change, built: &Path) -> bool {
        let path = Path::new(&change.path);
        let mut above = path.ancestors().skip(1);
        let folder = above.find(|folder| built.join(folder).is_dir());
        let extension = path.extension().and_then(|text| text.to_str());
        let is_asked_for = extension.is_none_or(|text| ASKED_FOR.contains(&text));
        match change.kind {
            ChangeKind::Changed => {
                // By another name of it nobody would have seen it opened.
                let data = built.join(path).symlink_metadata();
                let is_plain = data.is_ok_and(|data| data.is_file() && data.nlink() == 1);
                is_plain && !self.files.contains(path)
            }
            ChangeKind::Added | ChangeKind::Removed => {
                !is_asked_for && folder.is_some_and(|folder| !self.folders.contains(folder))
            }
        }
    }

    /// Adds what another command opened.
    pub(super) fn add(&mut self, other: Self) {
        self.files.extend(other.files);
        self.folders.extend(other.folders);
    }
}

/// A tree that is watched.
pub(super) struct Watch {
    stop: Arc<AtomicBool>,
    reader: JoinHandle<Option<Touched>>,
}

impl Watch {
    /// Begins; nothing where the kernel has no more watches for us.
    pub(super) fn start(tree: &Path) -> Option<Self> {
        let watched = watched(tree);
        let (queue, folders) = watched
            .inspect_err(|error| tracing::debug!("what the build opens cannot be told: {error}"))
            .ok()?;
        let stop = Arc::new(AtomicBool::new(false));
        let is_over = stop.clone();
        let reader = thread::spawn(move || follow(&queue, &folders, &is_over));
        Some(Self { stop, reader })
    }

    /// What was opened until now; nothing where some of it was lost.
    pub(super) fn end(self) -> Option<Touched> {
        self.stop.store(true, Ordering::Release);
        self.reader.join().ok().flatten()
    }
}

type Folders = HashMap<i32, PathBuf>;

/// Watches every folder of a tree.
fn watched(tree: &Path) -> io::Result<(OwnedFd, Folders)> {
    let mut all = vec![PathBuf::new()];
    let mut at = 0;
    while let Some(folder) = all.get(at).cloned() {
        for entry in fs::read_dir(tree.join(&folder))? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                all.push(folder.join(entry.file_name()));
            }
        }
        at += 1;
    }
    let queue = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
    // After all were listed: that opens them, too.
    let kinds = WatchFlags::OPEN | WatchFlags::MOVED_FROM | WatchFlags::DELETE;
    let mut folders = Folders::new();
    for folder in all {
        folders.insert(
            inotify::add_watch(&queue, tree.join(&folder), kinds)?,
            folder,
        );
    }
    Ok((queue, folders))
}

/// Reads what happens until it is over.
fn follow(queue: &OwnedFd, folders: &Folders, is_over: &AtomicBool) -> Option<Touched> {
    let mut touched = Touched::default();
    let mut buffer = vec![MaybeUninit::uninit(); BUFFER];
    loop {
        // Asked first: what happened before the end is in the queue then.
        let is_last = is_over.load(Ordering::Acquire);
        let mut events = inotify::Reader::new(queue, &mut buffer);
        loop {
            match events.next() {
                Ok(event) if event.events().contains(ReadFlags::QUEUE_OVERFLOW) => return None,
                Ok(event) => {
                    let name = event.file_name().map(|name| name.to_str());
                    take(&mut touched, folders.get(&event.wd()), name)?;
                }
                Err(rustix::io::Errno::AGAIN) => break,
                Err(rustix::io::Errno::INTR) => {}
                Err(_) => return None,
            }
        }
        if is_last {
            return Some(touched);
        }
        thread::sleep(PAUSE);
    }
}

/// Nothing where a name cannot be written down.
fn take(
    touched: &mut Touched,
    folder: Option<&PathBuf>,
    name: Option<Result<&str, std::str::Utf8Error>>,
) -> Option<()> {
    // A folder that was watched and has gone.
    let Some(folder) = folder else {
        return Some(());
    };
    if let Some(name) = name {
        let name = name.ok().filter(|name| !name.contains('\n'))?;
        touched.files.insert(folder.join(name));
    }
    touched.folders.insert(folder.clone());
    Some(())
}

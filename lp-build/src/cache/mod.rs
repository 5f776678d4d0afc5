//! The cache's folders, and how runs share them.
//!
//! ```text
//! prepared/KEY/           a finished build folder, or what the build of a program's tree gave: only ever published by rename, never written to again
//! prepared/KEY.lock       held by a run that uses the folder; alone by one that makes it, so that it is not made twice,
//!                         or removes it
//! prepared/.new-KEY-*/    one that is being made; of a run that was killed if KEY.lock is free
//! commands/KEY/FILE.json  the compile command of a file
//! graphs/KEY.json         who includes whom in the key's tree, each file as it was when it was read
//! objects/KEY/ENTRY.o     a compiled object, and beside it what it was made from ([`crate::kernel::compile::objects`])
//! runs/*/, runs/*.lock    what one run makes on its way; of a run that was killed if its lock is free
//! ```
//! Locks are `flock`: the kernel drops them with the process, so a killed run leaves none behind. The tempting wrong
//! way is a file that says "locked".

pub mod command;
pub mod size;

use crate::progress::say;
use anyhow::{Context, Result};
use rustix::fs::{FlockOperation, flock};
use rustix::io::{Errno, FdFlags, fcntl_setfd};
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;
use tempfile::TempDir;

const NEW: &str = ".new-";
const KEY_LENGTH: usize = 32;

/// The cache.
#[derive(Debug, Clone)]
pub struct Cache {
    root: PathBuf,
}

/// A folder for one run's own files, gone when it is dropped.
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
    // Dropped in this order: the folder goes while the lock is still held.
    _folder: Option<TempDir>,
    _lock: Option<Lock>,
}

/// A prepared folder that is not removed while this is held.
#[derive(Debug, Clone)]
pub struct InUse {
    /// The folder.
    pub folder: PathBuf,
    /// Whether it was made before this run.
    pub was_there: bool,
    _lock: Arc<Lock>,
}

/// A lock that is held; its file goes with it.
#[derive(Debug)]
pub(super) struct Lock {
    file: File,
    path: Option<PathBuf>,
}

impl Drop for Lock {
    fn drop(&mut self) {
        if let Some(path) = &self.path {
            // A lock file that stays is swept by the next run.
            let _ = fs::remove_file(path);
        }
        // Closing is not enough: a program that is just being started has the file too, until it runs.
        let _ = flock(&self.file, FlockOperation::Unlock);
    }
}

impl Cache {
    /// Opens a cache, and makes its folders if it is new.
    pub fn open(root: &Path) -> Result<Self> {
        for folder in ["prepared", "commands", "runs"] {
            let folder = root.join(folder);
            fs::create_dir_all(&folder).with_context(|| {
                format!(
                    "cannot make the cache's folder {}: give another with --cache DIR",
                    folder.display()
                )
            })?;
        }
        let root =
            fs::canonicalize(root).with_context(|| format!("the cache {}", root.display()))?;
        crate::tree::check_path(&root, "the cache")?;
        sweep_prepared(&root.join("prepared"));
        Ok(Self { root })
    }

    /// The folder of a key's compile commands.
    pub fn commands(&self, key: &str) -> PathBuf {
        self.root.join("commands").join(key)
    }

    /// The file for the includes of a key's tree.
    pub fn graph(&self, key: &str) -> PathBuf {
        self.root.join("graphs").join(format!("{key}.json"))
    }

    /// Its folder, without links.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The lock file of a key.
    pub(super) fn lock_of(&self, key: &str) -> PathBuf {
        self.root.join("prepared").join(format!("{key}.lock"))
    }

    /// The folder of the compiled objects.
    pub fn objects(&self) -> PathBuf {
        self.root.join("objects")
    }

    /// The prepared folder of a key; `make` fills a new one if there is none.
    pub fn prepared(&self, key: &str, make: impl Fn(&Path) -> Result<()>) -> Result<InUse> {
        let folder = self.root.join("prepared");
        let published = folder.join(key);
        let lock = self.lock_of(key);
        let mut was_there = true;
        loop {
            let shared = take(&lock, FlockOperation::LockShared)?;
            if published.is_dir() {
                // Tells what was used last; where it cannot be told, the folder goes earlier than it might.
                let _ = shared.file.set_modified(SystemTime::now());
                return Ok(InUse {
                    folder: published,
                    was_there,
                    _lock: Arc::new(shared),
                });
            }
            drop(shared);
            let _alone = take(&lock, FlockOperation::LockExclusive)?;
            if !published.is_dir() {
                was_there = false;
                self.publish(key, &published, &make)?;
            }
        }
    }

    /// Makes a folder beside the place where it shall be, and gives it its name when it is whole.
    fn publish(
        &self,
        key: &str,
        published: &Path,
        make: impl Fn(&Path) -> Result<()>,
    ) -> Result<()> {
        let folder = self.root.join("prepared");
        let new = tempfile::Builder::new()
            .prefix(&format!("{NEW}{key}-"))
            .tempdir_in(&folder)
            .with_context(|| format!("cannot write to the cache {}", folder.display()))?;
        make(new.path())?;
        let made = new.keep();
        fs::rename(&made, published)
            .with_context(|| format!("cannot publish the build folder {}", published.display()))
    }

    /// A new folder for one run: `keep` if the person asked for one, else one that goes with the run.
    pub fn scratch(&self, keep: Option<&Path>) -> Result<Scratch> {
        if let Some(keep) = keep {
            fs::create_dir(keep).with_context(|| {
                format!(
                    "--keep {}: cannot make this folder, give one that does not exist yet",
                    keep.display()
                )
            })?;
            let path =
                fs::canonicalize(keep).with_context(|| format!("--keep {}", keep.display()))?;
            crate::tree::check_path(&path, "--keep")?;
            return Ok(Scratch {
                path,
                _folder: None,
                _lock: None,
            });
        }
        let runs = self.root.join("runs");
        sweep_runs(&runs);
        // Between the making of a lock file and its locking another run may sweep both away.
        loop {
            let scratch = new_scratch(&runs)
                .with_context(|| format!("cannot write to the cache {}", runs.display()))?;
            if scratch.path.is_dir() && scratch.path.with_extension("lock").is_file() {
                return Ok(scratch);
            }
        }
    }
}

impl Cache {
    /// A new folder of this name for one run at a time; a second run that wants it waits for the first.
    pub fn place(&self, name: &str) -> Result<Scratch> {
        let runs = self.root.join("runs");
        let path = runs.join(name);
        let file = path.with_extension("lock");
        loop {
            let mut lock = lock(&file)?;
            // Whoever had it before took the file away with it, and somebody may have made another one.
            let own = lock.file.metadata()?.ino();
            if fs::metadata(&file).map(|there| there.ino()).ok() != Some(own) {
                continue;
            }
            lock.path = Some(file);
            if path.exists() {
                fs::remove_dir_all(&path)
                    .with_context(|| format!("cannot remove {}", path.display()))?;
            }
            let new = tempfile::Builder::new()
                .prefix(name)
                .rand_bytes(0)
                .tempdir_in(&runs);
            return Ok(Scratch {
                _folder: Some(new.with_context(|| format!("cannot make {}", path.display()))?),
                path,
                _lock: Some(lock),
            });
        }
    }
}

fn new_scratch(runs: &Path) -> Result<Scratch> {
    let folder = tempfile::Builder::new().prefix("run-").tempdir_in(runs)?;
    let path = folder.path().to_owned();
    let mut lock = lock(&path.with_extension("lock"))?;
    lock.path = Some(path.with_extension("lock"));
    Ok(Scratch {
        path,
        _folder: Some(folder),
        _lock: Some(lock),
    })
}

impl Scratch {
    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Has the programs that are started from now on hold its lock as well: where this run is killed, what they do in the folder goes
    /// on, and nobody else may use it until they have ended.
    pub fn lend_lock(&self) -> Result<()> {
        let Some(lock) = &self._lock else {
            return Ok(());
        };
        fcntl_setfd(&lock.file, FdFlags::empty()).context("a lock cannot be handed on")
    }

    /// A new folder in it.
    pub fn folder(&self, name: &str) -> Result<PathBuf> {
        let folder = self.path.join(name);
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        Ok(folder)
    }
}

fn lock(path: &Path) -> Result<Lock> {
    take(path, FlockOperation::LockExclusive)
}

fn take(path: &Path, how: FlockOperation) -> Result<Lock> {
    let file =
        open_lock(path).with_context(|| format!("cannot open the lock {}", path.display()))?;
    let at_once = match how {
        FlockOperation::LockShared => FlockOperation::NonBlockingLockShared,
        _ => FlockOperation::NonBlockingLockExclusive,
    };
    if flock(&file, at_once) == Err(Errno::WOULDBLOCK) {
        say(format_args!(
            "           waiting for another run, or for a build that one left behind: {}",
            path.display()
        ));
    }
    flock(&file, how).with_context(|| format!("cannot take the lock {}", path.display()))?;
    Ok(Lock { file, path: None })
}

fn open_lock(path: &Path) -> std::io::Result<File> {
    File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
}

pub(super) fn try_lock(path: &Path) -> Option<Lock> {
    let file = open_lock(path).ok()?;
    flock(&file, FlockOperation::NonBlockingLockExclusive).ok()?;
    Some(Lock { file, path: None })
}

/// Removes half-made folders of runs that were killed, which are those whose lock is free.
///
/// Whatever cannot be removed now (a killed run's compiler may still write there) is left to the next run.
fn sweep_prepared(folder: &Path) {
    for path in entries(folder) {
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        let Some(key) = name
            .strip_prefix(NEW)
            .and_then(|rest| rest.get(..KEY_LENGTH))
        else {
            continue;
        };
        if let Some(_held) = try_lock(&folder.join(format!("{key}.lock"))) {
            let _ = fs::remove_dir_all(&path);
        }
    }
}

/// Removes the folders of runs that were killed.
fn sweep_runs(runs: &Path) {
    let is_lock = |path: &PathBuf| {
        path.extension()
            .is_some_and(|extension| extension == "lock")
    };
    for lock in entries(runs).filter(is_lock) {
        if let Some(_held) = try_lock(&lock) {
            let _ = fs::remove_dir_all(lock.with_extension(""));
            let _ = fs::remove_file(&lock);
        }
    }
}

fn entries(folder: &Path) -> impl Iterator<Item = PathBuf> {
    fs::read_dir(folder)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
}

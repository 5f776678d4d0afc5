//! How large the cache is, and keeping it small: what was used longest ago goes first.
//!
//! Prepared folders are all of the size. A run that uses one holds its lock ([`super`]), so what can be locked
//! alone can go. The tempting wrong way is to ask when a file was last read, which many systems do not note.

use super::{Cache, try_lock};
use serde::{Serialize, Serializer};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use walkdir::WalkDir;

/// Something that is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// The prepared folder's key, or the name of a folder of the cache.
    pub name: String,
    /// What its files take, in bytes.
    pub bytes: u64,
    /// When it was last used, in seconds since 1970.
    #[serde(serialize_with = "seconds")]
    pub used: SystemTime,
}

fn seconds<S: Serializer>(time: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    let since = time.duration_since(SystemTime::UNIX_EPOCH);
    serializer.serialize_u64(since.unwrap_or_default().as_secs())
}

impl Entry {
    /// How long ago it was used, in the largest unit that fits.
    pub fn age(&self) -> String {
        let age = self.used.elapsed().unwrap_or(Duration::ZERO).as_secs();
        match age {
            0..120 => format!("{age} s"),
            120..7_200 => format!("{} min", age / 60),
            7_200..172_800 => format!("{} h", age / 3600),
            _ => format!("{} days", age / 86_400),
        }
    }
}

impl Cache {
    /// All that is kept, the last used first.
    pub fn entries(&self) -> Vec<Entry> {
        let mut entries: Vec<Entry> = self.names().iter().map(|name| self.entry(name)).collect();
        entries.sort_by(|a, b| b.used.cmp(&a.used).then_with(|| a.name.cmp(&b.name)));
        entries
    }

    /// Removes what was used longest ago until no more than `most` bytes are kept; what was removed, and the names of
    /// what would have been, but a run uses it.
    pub fn shrink(&self, most: u64) -> (Vec<Entry>, Vec<String>) {
        let mut entries = self.entries();
        let mut total: u64 = entries.iter().map(|entry| entry.bytes).sum();
        let (mut removed, mut busy) = (Vec::new(), Vec::new());
        while let Some(entry) = entries.pop().filter(|_| total > most || most == 0) {
            if self.remove(&entry.name) {
                total = total.saturating_sub(entry.bytes);
                removed.push(entry);
            } else {
                busy.push(entry.name);
            }
        }
        (removed, busy)
    }

    /// The keys of prepared folders, and what other folders there are besides those of runs.
    fn names(&self) -> BTreeSet<String> {
        let prepared = ["prepared", "commands"].map(|folder| folders(&self.root().join(folder)));
        let others = folders(self.root());
        let own = ["prepared", "commands", "runs"];
        let others = others.filter(|name| !own.contains(&name.as_str()));
        prepared.into_iter().flatten().chain(others).collect()
    }

    /// Where an entry's files are.
    fn paths(&self, name: &str) -> [PathBuf; 3] {
        ["prepared", "commands", ""].map(|folder| self.root().join(folder).join(name))
    }

    fn entry(&self, name: &str) -> Entry {
        let paths = self.paths(name);
        let lock = self.lock_of(name);
        let times = paths
            .iter()
            .chain([&lock])
            .filter_map(|path| modified(path));
        Entry {
            name: name.to_owned(),
            bytes: paths.iter().map(|path| bytes(path)).sum(),
            used: times.max().unwrap_or(SystemTime::UNIX_EPOCH),
        }
    }

    /// Removes an entry unless a run uses it; a folder goes by a rename first, so that no run finds half of it.
    fn remove(&self, name: &str) -> bool {
        let Some(_alone) = try_lock(&self.lock_of(name)) else {
            return false;
        };
        let mut gone = true;
        for path in self.paths(name).iter().filter(|path| path.is_dir()) {
            let aside = self.root().join("runs").join(format!("removed-{name}"));
            // What cannot be moved or removed is left, and told as kept.
            let moved = fs::rename(path, &aside).is_ok();
            gone &= moved && fs::remove_dir_all(&aside).is_ok();
        }
        gone
    }
}

fn folders(folder: &Path) -> impl Iterator<Item = String> + use<> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| !name.starts_with('.'))
}

fn modified(path: &Path) -> Option<SystemTime> {
    fs::metadata(path).ok()?.modified().ok()
}

/// What the files below a folder take; what cannot be read counts as nothing.
fn bytes(path: &Path) -> u64 {
    let files = WalkDir::new(path).into_iter().filter_map(Result::ok);
    let sizes = files.filter_map(|entry| entry.metadata().ok());
    sizes
        .filter(|file| file.is_file())
        .map(|file| file.len())
        .sum()
}

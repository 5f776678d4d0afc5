//! Objects that were compiled before: the original's are needed again in every run, and a run that was stopped goes on.
//!
//! ```text
//! objects/KEY/ENTRY.json   what the compiler read: each file of the tree with the hash of its content
//! objects/KEY/ENTRY.o      the object; not there where the preprocessor said enough
//! ```
//! KEY is the command without the tree's path, the build folder's key, our own header, and the names of all headers of the
//! tree: a new header can be found before one that was read. An entry holds where every file that was read has the same
//! content. Each file appears by a rename, so that runs may share the folder. The tempting wrong way is to trust times.

use super::Compiled;
use crate::kernel::changed::Changed;
use crate::kernel::kbuild::commands::CompileCommand;
use crate::tree::ChangeKind;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What the kept objects may take on the disk, in bytes, before the oldest go.
pub const LIMIT: u64 = 5 << 30;
/// A file that changed this shortly before a compiler started may have been read as it was before.
const MARGIN: Duration = Duration::from_millis(50);

/// The kept objects of one build folder.
#[derive(Debug)]
pub struct Objects {
    root: PathBuf,
    base: String,
    hashes: Mutex<HashMap<PathBuf, Option<Known>>>,
}

/// A tree by its place and the names of its headers.
#[derive(Debug, Clone, Copy)]
pub struct Side<'a> {
    /// The tree.
    pub tree: &'a Path,
    /// A hash of the names ([`names`]).
    pub names: &'a str,
}

#[derive(Debug, Clone)]
struct Known {
    hash: String,
    changed: SystemTime,
}

#[derive(Debug, Serialize, Deserialize)]
struct Entry {
    /// The object's hash; none where only what was read is known.
    object: Option<String>,
    /// Inside the tree.
    inside: Vec<(String, String)>,
    outside: Vec<(PathBuf, String)>,
}

impl Objects {
    /// The objects kept in the folder `root` for a build folder's key and our own header's text.
    pub fn new(root: PathBuf, prepared: &str, header: &str) -> Self {
        Self {
            root,
            base: format!("livepatch object 1\0{prepared}\0{header}"),
            hashes: Mutex::default(),
        }
    }

    /// The object that the command made of the same sources before.
    pub fn get(&self, command: &CompileCommand, side: Side<'_>) -> Option<Compiled> {
        self.entries(command, side)
            .find_map(|path| self.compiled(&path, side.tree))
    }

    /// What the compiler read for the command when the sources were the same.
    pub fn reads(&self, command: &CompileCommand, side: Side<'_>) -> Option<BTreeSet<PathBuf>> {
        self.entries(command, side)
            .find_map(|path| Some(self.holding(&path, side.tree)?.1))
    }

    fn entries(&self, command: &CompileCommand, side: Side<'_>) -> impl Iterator<Item = PathBuf> {
        let folder = self.folder(command, side);
        let entries = folder.and_then(|folder| fs::read_dir(folder).ok());
        let paths = entries.into_iter().flatten().filter_map(Result::ok);
        let is_entry = |path: &PathBuf| path.extension().is_some_and(|end| end == "json");
        paths.map(|entry| entry.path()).filter(is_entry)
    }

    /// An entry whose files all have the content that they had, and these files.
    fn holding(&self, path: &Path, tree: &Path) -> Option<(Entry, BTreeSet<PathBuf>)> {
        let entry: Entry = serde_json::from_slice(&fs::read(path).ok()?).ok()?;
        let inside = entry
            .inside
            .iter()
            .map(|(file, hash)| (tree.join(file), hash));
        let outside = entry
            .outside
            .iter()
            .map(|(file, hash)| (file.clone(), hash));
        let mut read = BTreeSet::new();
        for (file, hash) in inside.chain(outside) {
            if self.hash(&file)?.hash != *hash {
                return None;
            }
            read.insert(file);
        }
        // The oldest by use go first.
        let file = fs::File::options().append(true).open(path).ok()?;
        let _ = file.set_modified(SystemTime::now());
        Some((entry, read))
    }

    fn compiled(&self, path: &Path, tree: &Path) -> Option<Compiled> {
        let (entry, read) = self.holding(path, tree)?;
        let object = fs::read(path.with_extension("o")).ok()?;
        let same = blake3::hash(&object).to_hex().as_str() == entry.object?;
        same.then_some(Compiled { object, read })
    }

    /// Keeps an object whose compiling began at `start`; what cannot be kept is compiled again.
    pub fn put(
        &self,
        command: &CompileCommand,
        side: Side<'_>,
        own: &Path,
        compiled: &Compiled,
        start: SystemTime,
    ) {
        let object = Some(compiled.object.as_slice());
        if self
            .keep(command, side, own, (&compiled.read, object), start)
            .is_none()
        {
            tracing::debug!("the object of {} is not kept", command.source);
        }
    }

    /// Keeps what the preprocessor read, where no object was needed; what cannot be kept is preprocessed again.
    pub fn put_reads(
        &self,
        command: &CompileCommand,
        side: Side<'_>,
        own: &Path,
        read: &BTreeSet<PathBuf>,
        start: SystemTime,
    ) {
        if self.keep(command, side, own, (read, None), start).is_none() {
            tracing::debug!("what {} reads is not kept", command.source);
        }
    }

    fn keep(
        &self,
        command: &CompileCommand,
        side: Side<'_>,
        own: &Path,
        (read, object): (&BTreeSet<PathBuf>, Option<&[u8]>),
        start: SystemTime,
    ) -> Option<()> {
        let entry = self.entry(side.tree, own, read, object, start)?;
        let text = serde_json::to_vec(&entry).ok()?;
        let folder = self.folder(command, side)?;
        fs::create_dir_all(&folder).ok()?;
        let name = blake3::hash(&text).to_hex();
        let path = folder.join(name.get(..32)?);
        // The object first: an entry without the one that it names is none.
        if let Some(object) = object {
            publish(&path.with_extension("o"), object).ok()?;
        }
        publish(&path.with_extension("json"), &text).ok()
    }

    fn entry(
        &self,
        tree: &Path,
        own: &Path,
        read: &BTreeSet<PathBuf>,
        object: Option<&[u8]>,
        start: SystemTime,
    ) -> Option<Entry> {
        let mut entry = Entry {
            object: object.map(|object| blake3::hash(object).to_hex().to_string()),
            inside: Vec::new(),
            outside: Vec::new(),
        };
        for file in read.iter().filter(|file| !file.starts_with(own)) {
            let known = self.hash(file)?;
            if known.changed + MARGIN >= start {
                return None;
            }
            match file.strip_prefix(tree) {
                Ok(inside) => entry.inside.push((inside.to_str()?.to_owned(), known.hash)),
                Err(_) => entry.outside.push((file.clone(), known.hash)),
            }
        }
        (!entry.inside.is_empty()).then_some(entry)
    }

    fn folder(&self, command: &CompileCommand, side: Side<'_>) -> Option<PathBuf> {
        let steps = command.steps_for("TREE", "OBJECT", "DEPFILE");
        let text = serde_json::to_string(&(&self.base, side.names, &command.source, steps)).ok()?;
        let key = blake3::hash(text.as_bytes()).to_hex();
        Some(self.root.join(key.get(..32)?))
    }

    /// The hash of a file's content, read once in a run.
    fn hash(&self, path: &Path) -> Option<Known> {
        if let Some(known) = self.hashes.lock().ok()?.get(path) {
            return known.clone();
        }
        let known = || -> Option<Known> {
            let meta = fs::metadata(path).ok()?;
            let (seconds, rest) = (
                meta.ctime().try_into().ok()?,
                meta.ctime_nsec().try_into().ok()?,
            );
            Some(Known {
                changed: UNIX_EPOCH + Duration::new(seconds, rest),
                hash: blake3::hash(&fs::read(path).ok()?).to_hex().to_string(),
            })
        };
        let known = known();
        self.hashes
            .lock()
            .ok()?
            .insert(path.to_owned(), known.clone());
        known
    }
}

/// Removes the objects that were not used for the longest time until the rest takes no more than `limit` bytes.
pub fn evict(root: &Path, limit: u64) {
    let walk = walkdir::WalkDir::new(root)
        .into_iter()
        .filter_map(Result::ok);
    let mut entries: Vec<(SystemTime, PathBuf, u64)> = walk
        .filter(|entry| {
            entry
                .path()
                .extension()
                .is_some_and(|extension| extension == "json")
        })
        .filter_map(|entry| {
            let meta = entry.metadata().ok()?;
            let object =
                fs::metadata(entry.path().with_extension("o")).map_or(0, |meta| meta.len());
            Some((
                meta.modified().ok()?,
                entry.into_path(),
                meta.len() + object,
            ))
        })
        .collect();
    entries.sort();
    let mut all: u64 = entries.iter().map(|(_, _, size)| size).sum();
    for (_, path, size) in entries {
        if all <= limit {
            break;
        }
        // The entry first: an object without one is never read.
        let _ = fs::remove_file(&path);
        let _ = fs::remove_file(path.with_extension("o"));
        all = all.saturating_sub(size);
    }
}

/// Hashes of the names in both trees that an include can find: the original's and the patched one's.
pub fn names(changed: &Changed) -> (String, String) {
    let found = |path: &&String| !path.ends_with(".o") && !path.starts_with("Documentation/");
    let hash = |names: BTreeSet<&String>| {
        let mut hasher = blake3::Hasher::new();
        for name in names {
            hasher.update(name.as_bytes());
            hasher.update(&[0]);
        }
        hasher.finalize().to_hex().to_string()
    };
    let mut names: BTreeSet<&String> = changed.listing.keys().filter(found).collect();
    let orig = hash(names.clone());
    for change in changed.changes.iter().filter(|change| found(&&change.path)) {
        match change.kind {
            ChangeKind::Added => names.insert(&change.path),
            ChangeKind::Removed => names.remove(&change.path),
            ChangeKind::Changed => false,
        };
    }
    (orig, hash(names))
}

fn publish(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut file = tempfile::NamedTempFile::new_in(path.parent().unwrap_or(path))?;
    file.write_all(bytes)?;
    file.persist(path)?;
    Ok(())
}

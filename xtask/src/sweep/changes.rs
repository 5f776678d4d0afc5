//! Which files differ between two source trees, and a sample of them.
//!
//! Only what a kernel is compiled from counts: programs for the machine that builds or for people (`tools`, `scripts`) are none of it.
//! A file that only one tree has is no change of a file; one that is new may be needed by one.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

/// Folders of a kernel tree whose code does not go into a kernel.
const NOT_KERNEL: [&str; 5] = ["Documentation", "samples", "scripts", "tools", "usr"];

/// What differs.
#[derive(Debug)]
pub(crate) struct Changes {
    /// The older tree.
    pub(crate) old: PathBuf,
    /// The newer tree.
    pub(crate) new: PathBuf,
    /// `.c` files that both trees have.
    pub(crate) sources: BTreeSet<String>,
    /// `.c` files that the newer tree alone has.
    pub(crate) added: BTreeSet<String>,
    /// Headers that differ or are new.
    pub(crate) headers: BTreeSet<String>,
    /// All headers of the newer tree.
    pub(crate) all_headers: Vec<String>,
}

/// Compares two trees.
pub(crate) fn between(old: &Path, new: &Path) -> Result<Changes> {
    let mut files = Vec::new();
    list(new, Path::new(""), &mut files)?;
    let mut changes = Changes {
        old: old.to_path_buf(),
        new: new.to_path_buf(),
        sources: BTreeSet::new(),
        added: BTreeSet::new(),
        headers: BTreeSet::new(),
        all_headers: Vec::new(),
    };
    for file in files {
        let is_header = file.ends_with(".h");
        let before = old.join(&file);
        let is_new = !before.exists();
        if is_new || !same(&before, &new.join(&file))? {
            let files = match (is_header, is_new) {
                (true, _) => &mut changes.headers,
                (false, true) => &mut changes.added,
                (false, false) => &mut changes.sources,
            };
            files.insert(file.clone());
        }
        if is_header {
            changes.all_headers.push(file);
        }
    }
    Ok(changes)
}

impl Changes {
    /// So many of the sources, the same ones in the same order for the same seed; a larger sample begins with a smaller one.
    pub(crate) fn sample(&self, count: usize, seed: u64) -> Vec<String> {
        let place = |file: &&String| {
            let mut hash = Sha256::new();
            hash.update(seed.to_le_bytes());
            hash.update(file.as_bytes());
            hash.finalize().to_vec()
        };
        let mut files: Vec<&String> = self.sources.iter().collect();
        files.sort_by_cached_key(place);
        files.into_iter().take(count).cloned().collect()
    }
}

fn list(root: &Path, folder: &Path, files: &mut Vec<String>) -> Result<()> {
    let place = root.join(folder);
    for entry in fs::read_dir(&place).with_context(|| format!("read {}", place.display()))? {
        let entry = entry?;
        let name = entry.file_name();
        let path = folder.join(&name);
        let kind = entry.file_type()?;
        let is_kernel = folder != Path::new("") || !NOT_KERNEL.iter().any(|other| name == *other);
        if kind.is_dir() && is_kernel {
            list(root, &path, files)?;
        } else if kind.is_file()
            && path
                .extension()
                .is_some_and(|word| word == "c" || word == "h")
        {
            files.push(path.to_string_lossy().into_owned());
        }
    }
    Ok(())
}

fn same(one: &Path, two: &Path) -> Result<bool> {
    let read = |file: &Path| fs::read(file).with_context(|| format!("read {}", file.display()));
    Ok(fs::metadata(one)?.len() == fs::metadata(two)?.len() && read(one)? == read(two)?)
}

#[cfg(test)]
mod tests {
    use super::Changes;

    #[test]
    fn a_larger_sample_begins_with_a_smaller_one() {
        let changes = Changes {
            old: "old".into(),
            new: "new".into(),
            sources: (0..50).map(|number| format!("{number}.c")).collect(),
            added: Default::default(),
            headers: Default::default(),
            all_headers: Vec::new(),
        };
        let (few, many) = (changes.sample(5, 7), changes.sample(20, 7));
        assert_eq!(few, many.get(..5).unwrap_or_default());
        assert_ne!(few, changes.sample(5, 8));
    }
}

//! Everything that an update changed for this machine's kernel, by the words of the lines that it changed.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::rc::Rc;

use anyhow::{Context, Result};

use super::changes::Changes;
use super::edits::FileEdits;
use super::hunks::{Hunk, hunks};
use super::includes::Includes;
use super::items::words;

/// The update.
pub(crate) struct Store<'a> {
    pub(crate) changes: &'a Changes,
    pub(crate) includes: Includes<'a>,
    hunks: BTreeMap<String, Vec<Hunk>>,
    /// Files by a word of the lines that only one version has.
    by_word: BTreeMap<String, BTreeSet<String>>,
    read: RefCell<BTreeMap<String, Rc<FileEdits>>>,
}

impl<'a> Store<'a> {
    /// Compares all files that differ.
    pub(crate) fn read(changes: &'a Changes) -> Result<Self> {
        let mut store = Self {
            changes,
            includes: Includes::new(changes),
            hunks: BTreeMap::new(),
            by_word: BTreeMap::new(),
            read: RefCell::default(),
        };
        let sources = changes.sources.iter().chain(&changes.added);
        let all = sources.chain(&changes.headers);
        for file in all.filter(|file| for_this_machine(file)) {
            let hunks = hunks(&changes.old.join(file), &changes.new.join(file))?;
            let (old, new) = (lines(&changes.old, file)?, lines(&changes.new, file)?);
            for (before, after) in &hunks {
                let before = words(old.get(before.clone()).unwrap_or_default());
                let after = words(new.get(after.clone()).unwrap_or_default());
                for word in before.into_iter().chain(after) {
                    store.by_word.entry(word).or_default().insert(file.clone());
                }
            }
            store.hunks.insert(file.clone(), hunks);
        }
        Ok(store)
    }

    /// What changed in a file; nothing where it did not.
    pub(crate) fn edits(&self, file: &str) -> Result<Rc<FileEdits>> {
        if let Some(known) = self.read.borrow().get(file) {
            return Ok(Rc::clone(known));
        }
        let (old, new) = (
            lines(&self.changes.old, file)?,
            lines(&self.changes.new, file)?,
        );
        let found = match self.hunks.get(file) {
            Some(known) => FileEdits::new(old, new, known),
            // Of another machine, or no C: it is asked for by its name alone.
            None => {
                let hunks = hunks(&self.changes.old.join(file), &self.changes.new.join(file))?;
                let is_c = file.ends_with(".c") || file.ends_with(".h");
                let read = if is_c {
                    FileEdits::new
                } else {
                    FileEdits::uncut
                };
                read(old, new, &hunks)
            }
        };
        let found = Rc::new(found);
        self.read
            .borrow_mut()
            .insert(file.to_owned(), Rc::clone(&found));
        Ok(found)
    }

    /// The files of which a changed line says a word.
    pub(crate) fn saying(&self, word: &str) -> impl Iterator<Item = &String> {
        self.by_word.get(word).into_iter().flatten()
    }

    /// Whether the update changed a file.
    pub(crate) fn has(&self, file: &str) -> bool {
        self.hunks.contains_key(file)
    }
}

/// A file's lines, each byte a letter: not all of the kernel's sources are UTF-8. A file that is not there has none.
fn lines(tree: &Path, file: &str) -> Result<Vec<String>> {
    let path = tree.join(file);
    if !path.exists() {
        return Ok(Vec::new());
    }
    let bytes = fs::read(&path).with_context(|| format!("read {}", path.display()))?;
    let text: String = bytes.iter().map(|byte| char::from(*byte)).collect();
    Ok(text.split('\n').map(str::to_owned).collect())
}

/// The bytes of such lines.
pub(crate) fn bytes(lines: &[String]) -> Vec<u8> {
    let text = lines.join("\n");
    text.chars()
        .map(|letter| u8::try_from(u32::from(letter)).unwrap_or(b'?'))
        .collect()
}

/// Whether a file can be part of an x86 kernel.
pub(crate) fn for_this_machine(file: &str) -> bool {
    !file.starts_with("arch/") || file.starts_with("arch/x86/")
}

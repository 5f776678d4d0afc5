//! What came of one file, and the journal in which it is kept as soon as it is known.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::vm::Detail;

/// A module's name has at most 55 letters (`MODULE_NAME_LEN`, include/linux/module.h, 6.1).
const LONGEST_NAME: usize = 55;

/// The outcome in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Class {
    /// Built, loaded, worked under and unloaded.
    Loaded,
    /// Built, and not loaded yet.
    Built,
    /// lp-build says why it cannot be a livepatch.
    Refused,
    /// This kernel has none of it, or its code is the same.
    Nothing,
    /// Anything else.
    Failed,
}

/// What came of a file.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) file: String,
    /// The headers and other sources that came along.
    pub(crate) headers: Vec<String>,
    pub(crate) class: Class,
    /// The reason, where it is not loaded.
    pub(crate) why: String,
    /// Of the refusals.
    pub(crate) codes: Vec<String>,
    /// The functions by their object.
    pub(crate) patched: BTreeMap<String, Vec<String>>,
    /// Of the last run of lp-build for it.
    pub(crate) build_seconds: f64,
    pub(crate) load_ms: Option<u64>,
    pub(crate) transition_ms: Option<u64>,
    /// What was built.
    pub(crate) module: Option<PathBuf>,
}

impl Record {
    /// The patch's name.
    pub(crate) fn name(&self) -> String {
        module_name(&self.file)
    }

    /// The modules that it patches.
    pub(crate) fn modules(&self) -> Vec<String> {
        let names = self.patched.keys().filter(|name| *name != "vmlinux");
        names.cloned().collect()
    }

    /// Takes what the guest said.
    pub(crate) fn was_loaded(&mut self, detail: Option<&Detail>) {
        match detail {
            Some(Ok(detail)) => {
                self.class = Class::Loaded;
                self.load_ms = number_after(detail, "load ");
                self.transition_ms = number_after(detail, "transition ");
                self.why = absent_module(detail).unwrap_or_default();
            }
            Some(Err(why)) => {
                self.class = Class::Failed;
                self.why = why.clone();
            }
            None => {
                self.class = Class::Failed;
                self.why = "the guest said nothing of it".into();
            }
        }
    }
}

/// Why the guest had to do without the module that is patched: its machine has no such device, mostly.
fn absent_module(detail: &str) -> Option<String> {
    let (_, rest) = detail.split_once("without its module: ")?;
    let why = rest.rsplit_once("; ").map_or(rest, |(why, _)| why);
    Some(format!("without its module: {why}"))
}

fn number_after(text: &str, word: &str) -> Option<u64> {
    let (_, rest) = text.split_once(word)?;
    rest.split(' ').next()?.parse().ok()
}

/// A module name for a file's patch; a long one is cut and told apart by its hash.
pub(crate) fn module_name(file: &str) -> String {
    let stem = file.strip_suffix(".c").unwrap_or(file);
    let word = |letter: char| {
        if letter.is_ascii_alphanumeric() {
            letter
        } else {
            '_'
        }
    };
    let name: String = format!("lp_{stem}").chars().map(word).collect();
    if name.len() <= LONGEST_NAME {
        return name;
    }
    let hash = Sha256::digest(file.as_bytes());
    let hash: String = hash
        .iter()
        .take(4)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let kept: String = name.chars().take(LONGEST_NAME - 1 - hash.len()).collect();
    format!("{kept}_{hash}")
}

/// `files.jsonl`: a line for each file that is done; a later line of a file replaces an earlier one.
pub(crate) struct Journal {
    known: BTreeMap<String, Record>,
    out: File,
}

impl Journal {
    /// Opens a folder's journal, with what is in it or anew.
    pub(crate) fn open(folder: &Path, resume: bool) -> Result<Self> {
        fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
        let place = folder.join("files.jsonl");
        let mut known = BTreeMap::new();
        if resume && place.exists() {
            let text =
                fs::read_to_string(&place).with_context(|| format!("read {}", place.display()))?;
            // The last line of a killed run may be half a line.
            let records = text
                .lines()
                .filter_map(|line| serde_json::from_str::<Record>(line).ok());
            known.extend(records.map(|record| (record.file.clone(), record)));
        }
        let mut options = OpenOptions::new();
        options
            .create(true)
            .append(resume)
            .write(true)
            .truncate(!resume);
        let out = options
            .open(&place)
            .with_context(|| format!("open {}", place.display()))?;
        Ok(Self { known, out })
    }

    /// What an earlier run found. What was refused or failed is tried again, as is a file whose module is gone.
    pub(crate) fn known(&self, file: &str) -> Option<Record> {
        let record = self.known.get(file)?;
        if matches!(record.class, Class::Refused | Class::Failed) {
            return None;
        }
        let is_there = record.module.as_ref().is_none_or(|module| module.exists());
        is_there.then(|| record.clone())
    }

    /// Keeps what came of a file.
    pub(crate) fn keep(&mut self, record: Record) -> Result<Record> {
        let mut line = serde_json::to_string(&record)?;
        line.push('\n');
        self.out
            .write_all(line.as_bytes())
            .context("write the journal")?;
        Ok(record)
    }
}

#[cfg(test)]
mod tests {
    use super::module_name;

    #[test]
    fn the_guest_s_words_are_taken_apart() {
        let detail = "(load 16 ms, transition 986 ms, 15 rounds of work; without its module: insert x.ko: No such device; 6.3 s in all)";
        assert_eq!(super::number_after(detail, "transition "), Some(986));
        assert_eq!(
            super::absent_module(detail).as_deref(),
            Some("without its module: insert x.ko: No such device")
        );
    }

    #[test]
    fn names_are_short_and_differ() {
        assert_eq!(module_name("net/9p/a-b.c"), "lp_net_9p_a_b");
        let long = |end: &str| module_name(&format!("{}{end}.c", "drivers/a/".repeat(9)));
        assert_eq!(long("x").len(), 55);
        assert_ne!(long("x"), long("y"));
    }
}

//! What the shims write down while a build runs: each compiled object with its command, each link with its inputs.
//!
//! ```text
//! ROOT/records/*.json     one for each step, in no order
//! ROOT/objects/HASH.o     the objects, by content, as they were when the compiler ended
//! ROOT/split/*/           objects of commands that compile and link at once
//! ```
//! The tempting wrong way is to read what the build prints: most say `CC main.o` and nothing else.

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The variable that tells a shim where to write.
pub const ROOT: &str = "LP_BUILD_RECORD";

/// One step of a build.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "lowercase")]
pub enum Step {
    /// A source became an object.
    Compile(Compiled),
    /// Objects became a program, a library or an object.
    Link(Linked),
}

/// An object and where it comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compiled {
    /// The compiler's name as the build called it.
    pub program: String,
    /// Its arguments as the build gave them.
    pub args: Vec<String>,
    /// Where it ran.
    pub cwd: PathBuf,
    /// The source, whole.
    pub source: PathBuf,
    /// Where the object went, whole. Of a command that links at once: the program and the source, as it is nowhere else.
    pub output: PathBuf,
    /// Its content's hash.
    pub object: String,
    /// Whether it is for link-time optimisation, so that its code is not what will run.
    pub lto: bool,
    /// The files of the tree that it was made from, without links, if that was asked and could be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reads: Option<Vec<PathBuf>>,
    /// Those from outside of it that no package manager answers for, with the hashes of their contents; asked together with `reads`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub outside: BTreeMap<PathBuf, String>,
    /// Whether nothing was compiled: it is the object of the original's build.
    #[serde(default)]
    pub taken: bool,
    /// Nanoseconds since 1970 at its end: the last one of an output counts.
    pub at: u64,
}

/// A link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Linked {
    /// What came out, whole.
    pub output: PathBuf,
    /// Its content's hash.
    pub object: String,
    /// The name that it gives itself, if it is a shared library that does.
    pub soname: Option<String>,
    /// The content's hash of each object that it was made from, members of archives among them.
    pub inputs: Vec<String>,
    /// Nanoseconds since 1970 at its end.
    pub at: u64,
}

/// All steps of a build.
#[derive(Debug, Clone, Default)]
pub struct Record {
    /// Where the objects are kept.
    roots: Vec<PathBuf>,
    /// The objects by where they went; of several at one place the last.
    pub compiled: BTreeMap<PathBuf, Compiled>,
    /// The links by what came out.
    pub linked: BTreeMap<PathBuf, Linked>,
}

impl Record {
    /// Reads what the shims wrote.
    pub fn read(root: &Path) -> Result<Self> {
        let mut record = Self {
            roots: vec![root.to_owned()],
            ..Self::default()
        };
        let folder = root.join("records");
        let entries =
            fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))?;
        for entry in entries {
            let path = entry?.path();
            if path.extension().is_none_or(|extension| extension != "json") {
                continue;
            }
            let text = fs::read(&path)?;
            let step: Step = serde_json::from_slice(&text)
                .with_context(|| format!("{} is damaged", path.display()))?;
            record.add(step);
        }
        record.forget_trials();
        Ok(record)
    }

    /// What a configure script tries beside the tree and removes (`config.guess`) is a part of nothing.
    fn forget_trials(&mut self) {
        let linked = self.linked.values().flat_map(|link| &link.inputs);
        let linked: HashSet<&String> = linked.collect();
        self.compiled.retain(|_, one| {
            let is_outside = one.outside.contains_key(&one.source);
            !is_outside || linked.contains(&one.object) || one.source.exists()
        });
    }

    fn add(&mut self, step: Step) {
        match step {
            Step::Compile(new) => {
                let known = self.compiled.get(&new.output);
                if known.is_none_or(|known| known.at <= new.at) {
                    self.compiled.insert(new.output.clone(), new);
                }
            }
            Step::Link(new) => {
                let known = self.linked.get(&new.output);
                if known.is_none_or(|known| known.at <= new.at) {
                    self.linked.insert(new.output.clone(), new);
                }
            }
        }
    }

    /// All steps of this build and of a later one that went on from it.
    pub fn followed_by(&self, later: Self) -> Self {
        let mut both = self.clone();
        both.roots.extend(later.roots);
        both.compiled.extend(later.compiled);
        both.linked.extend(later.linked);
        both
    }

    /// How many files a compiler worked on.
    pub fn newly_compiled(&self) -> usize {
        let compiled = self.compiled.values();
        compiled.filter(|one| !one.taken).count()
    }

    /// The bytes of an object.
    pub fn object(&self, hash: &str) -> Result<Vec<u8>> {
        let mut paths = self.roots.iter().map(|root| object_path(root, hash));
        let there = paths.clone().find(|path| path.exists());
        let path = there.or_else(|| paths.next_back()).unwrap_or_default();
        fs::read(&path).with_context(|| format!("cannot read {}", path.display()))
    }
}

/// Where an object is kept.
pub(super) fn object_path(root: &Path, hash: &str) -> PathBuf {
    root.join("objects").join(format!("{hash}.o"))
}

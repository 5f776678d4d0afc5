//! An object that would come out the same is taken from the original's build instead of being compiled again.
//!
//! A compiler makes the same object of the same command in the same folder where all that it reads is the same, and both trees are
//! built at one place. So a build from scratch, and one that makes its headers anew, compiles what the fix reaches and no more. All of it is
//! compared by content: two trees of an archive have the times that the archive gave them. The tempting wrong way is to trust
//! the build's own dependencies, or a compiler cache, which does not know the original.
//!
//! Who decides that a tree may be built so ([`super::rebuild`]) knows that it has no header that the original has not: one that is found
//! before another is not among what was read.

use super::outside;
use super::rebuild::TREE;
use super::record::{Compiled, object_path};
use std::fs;
use std::path::{Path, PathBuf};

/// The variable that, not empty, names the folder of the original's build.
pub(super) const BASE: &str = "LP_BUILD_BASE";
/// The variable that names the folder in which trees are built.
pub(super) const PLACE: &str = "LP_BUILD_PLACE";
/// In the folder of a build: what was compiled, by the command.
const COMMANDS: &str = "commands";
/// Options by which a compiler writes more than an object, or does what nothing was written down of.
const MORE_THAN_AN_OBJECT: [&str; 18] = [
    "-save-temps",
    "--save-temps",
    "-gsplit-dwarf",
    "--coverage",
    "-coverage",
    "-ftest-coverage",
    "-fprofile",
    "-fauto-profile",
    "-fdump",
    "-fstack-usage",
    "-fcallgraph-info",
    "-fopt-info",
    "-fplugin",
    "-ftime-trace",
    "-specs",
    "-wrapper",
    "-aux-info",
    "-MJ",
];
/// The same of what is handed on to the assembler (`-Wa,`) and the preprocessor (`-Wp,`).
const MORE_OF_TOOLS: [&str; 6] = ["-a", "-M", "--MD", "-d", "-o", "@"];

/// A compiler's run.
pub(super) struct Run<'a> {
    pub(super) program: &'a str,
    /// With response files in their place.
    pub(super) args: &'a [String],
    pub(super) cwd: &'a Path,
}

impl Run<'_> {
    fn key(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        let cwd = self.cwd.as_os_str().as_encoded_bytes();
        let words = self.args.iter().map(|arg| arg.as_bytes());
        for word in [self.program.as_bytes(), cwd].into_iter().chain(words) {
            hasher.update(&(word.len() as u64).to_le_bytes());
            hasher.update(word);
        }
        hasher.finalize().to_hex().to_string()
    }

    /// Writes down what came of it, for who builds another tree; the last one of a command counts.
    pub(super) fn note(&self, root: &Path, compiled: &Compiled) -> std::io::Result<()> {
        let folder = root.join(COMMANDS);
        fs::create_dir_all(&folder)?;
        let path = folder.join(self.key());
        let new = path.with_extension(super::shim::unique());
        fs::write(&new, serde_json::to_vec(compiled)?)?;
        fs::rename(new, path)
    }

    /// What came of it in the original's build, with the object's bytes, if it would come out the same now.
    pub(super) fn known(&self) -> Option<(Compiled, Vec<u8>)> {
        let base = variable(BASE)?;
        if self.args.iter().any(|arg| makes_more(arg)) {
            return None;
        }
        let text = fs::read(base.join(COMMANDS).join(self.key())).ok()?;
        let compiled: Compiled = serde_json::from_slice(&text).ok()?;
        let place = variable(PLACE)?;
        let is_same = |path: &PathBuf| {
            let inside = path.strip_prefix(&place).ok();
            inside.is_some_and(|inside| is_same(&base.join(TREE).join(inside), path, compiled.at))
        };
        if !compiled.reads.as_ref()?.iter().all(is_same) || !outside::are_same(&compiled) {
            return None;
        }
        let object = fs::read(object_path(&base, &compiled.object)).ok()?;
        object.starts_with(b"\x7fELF").then_some((compiled, object))
    }
}

/// Whether an option makes a compiler write more than an object.
fn makes_more(arg: &str) -> bool {
    let begins =
        |word: &str, options: &[&str]| options.iter().any(|option| word.starts_with(option));
    let handed = arg
        .strip_prefix("-Wa,")
        .or_else(|| arg.strip_prefix("-Wp,"));
    handed.is_some_and(|words| words.split(',').any(|word| begins(word, &MORE_OF_TOOLS)))
        || begins(arg, &MORE_THAN_AN_OBJECT)
}

/// Whether a file is now what the original's build had when it compiled: nothing was done to that since then.
fn is_same(then: &Path, now: &Path, at: u64) -> bool {
    let Ok(data) = fs::metadata(then) else {
        return false;
    };
    outside::changed_at(&data).is_some_and(|changed| changed < at)
        && fs::metadata(now).is_ok_and(|now| now.len() == data.len())
        && matches!((fs::read(then), fs::read(now)), (Ok(then), Ok(now)) if then == now)
}

fn variable(name: &str) -> Option<PathBuf> {
    let value = std::env::var_os(name)?;
    (!value.is_empty()).then(|| PathBuf::from(value))
}

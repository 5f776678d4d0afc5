//! What was asked of `lp-build process`, checked and complete.

use crate::cli::ProcessArgs;
use crate::options::{Asked, Patched, output_stem};
use anyhow::{Context, Result, bail, ensure};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};

/// Everything that a run works from.
#[derive(Debug, Clone)]
pub struct Options {
    /// The tree that the binary was built from.
    pub orig: PathBuf,
    /// The tree with the fix.
    pub patched: Patched,
    /// What is run in each tree, one after the other.
    pub commands: Vec<String>,
    /// What processes run.
    pub binaries: Vec<PathBuf>,
    /// The files with the symbols of those that are stripped, each for the one whose build-id it has.
    pub debug_files: Vec<PathBuf>,
    /// Where in its tree the build puts those whose names do not tell, by their file names.
    pub built: BTreeMap<OsString, PathBuf>,
    /// The file to write.
    pub output: PathBuf,
    /// What is asked of any patch.
    pub asked: Asked,
    /// The key to sign with.
    pub sign: Option<PathBuf>,
    /// Whether the patched tree is built without what the original's build left.
    pub from_scratch: bool,
    /// Whether to stop before anything is built.
    pub dry_run: bool,
}

/// Interprets the command line.
pub fn interpret(args: ProcessArgs) -> Result<Options> {
    let stem = output_stem(&args.output, ".lp")?;
    Ok(Options {
        asked: Asked::new(args.identity, args.run, &args.patch, &stem)?,
        orig: tree(&args.orig, "--orig")?,
        patched: match &args.patched {
            Some(patched) => Patched::Tree(tree(patched, "--patched")?),
            None => Patched::Patches(args.patch),
        },
        commands: args.configure.into_iter().chain([args.build]).collect(),
        built: built(&args.built, &args.binary)?,
        binaries: args.binary,
        debug_files: args.debug_file,
        output: args.output,
        sign: args.sign,
        from_scratch: args.from_scratch,
        dry_run: args.dry_run,
    })
}

/// By the file names of the binaries; of a single one it need not be said.
fn built(given: &[String], binaries: &[PathBuf]) -> Result<BTreeMap<OsString, PathBuf>> {
    let names: BTreeSet<_> = binaries
        .iter()
        .filter_map(|path| path.file_name())
        .collect();
    ensure!(
        names.len() == binaries.len(),
        "two of the files given with --binary have one name, by which processes know them: make a patch for each"
    );
    let mut built = BTreeMap::new();
    for given in given {
        let (name, path) = match (given.split_once('='), binaries) {
            (Some((name, path)), _) if names.contains(OsStr::new(name)) => (OsStr::new(name), path),
            (_, [only]) => (only.file_name().unwrap_or_default(), given.as_str()),
            _ => bail!(
                "--built {given}: of several binaries say FILE=PATH, FILE being the file name of one of them"
            ),
        };
        let before = built.insert(name.to_owned(), PathBuf::from(path));
        ensure!(
            before.is_none(),
            "--built is given twice for {}",
            name.display()
        );
    }
    Ok(built)
}

fn tree(path: &Path, option: &str) -> Result<PathBuf> {
    let root = fs::canonicalize(path).with_context(|| format!("{option} {}", path.display()))?;
    ensure!(root.is_dir(), "{option} {} is no folder", path.display());
    Ok(root)
}

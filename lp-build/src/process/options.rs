//! What was asked of `lp-build process`, checked and complete.

use crate::cli::ProcessArgs;
use crate::options::{Asked, Patched, output_stem};
use anyhow::{Context, Result, ensure};
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
    pub binary: PathBuf,
    /// The file with its symbols, if it is stripped.
    pub debug_file: Option<PathBuf>,
    /// Where in its tree the build puts that, if its name does not tell.
    pub built: Option<PathBuf>,
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
        binary: args.binary,
        debug_file: args.debug_file,
        built: args.built,
        output: args.output,
        sign: args.sign,
        from_scratch: args.from_scratch,
        dry_run: args.dry_run,
    })
}

fn tree(path: &Path, option: &str) -> Result<PathBuf> {
    let root = fs::canonicalize(path).with_context(|| format!("{option} {}", path.display()))?;
    ensure!(root.is_dir(), "{option} {} is no folder", path.display());
    Ok(root)
}

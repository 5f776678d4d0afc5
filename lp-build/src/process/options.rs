//! What was asked of `lp-build process`, checked and complete.

use crate::cli::ProcessArgs;
use crate::describe;
use crate::options::{
    DESCRIBE_FILE, Identity, Patched, Said, default_cache, identity, output_stem,
};
use anyhow::{Context, Result, ensure};
use lp_klp::manifest::Callbacks;
use std::collections::BTreeSet;
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
    /// What the patch says of itself.
    pub identity: Identity,
    /// The callbacks that the description names.
    pub callbacks: Callbacks,
    /// The description file that was read.
    pub describe: Option<PathBuf>,
    /// The key to sign with.
    pub sign: Option<PathBuf>,
    /// Whether to go on where the original does not reproduce.
    pub allow_mismatch: bool,
    /// Types whose layout may differ.
    pub allow_layout_change: BTreeSet<String>,
    /// The cache's folder.
    pub cache: PathBuf,
    /// Where to leave what is made on the way.
    pub keep: Option<PathBuf>,
    /// Whether to stop before anything is built.
    pub dry_run: bool,
}

/// Interprets the command line.
pub fn interpret(args: ProcessArgs) -> Result<Options> {
    let describe = args.describe.clone().or_else(|| {
        let beside = args.patch.first().and_then(|patch| patch.parent());
        let path = beside.unwrap_or(Path::new("")).join(DESCRIBE_FILE);
        path.is_file().then_some(path)
    });
    let described = describe
        .as_deref()
        .map(describe::read)
        .transpose()?
        .unwrap_or_default();
    let allowed = [
        &args.allow_layout_change[..],
        &described.allow_layout_change,
    ]
    .concat();
    let said = Said {
        name: args.name,
        version: args.version,
        description: args.description,
        replace: args.replace,
        state: args.state,
    };
    let callbacks = described.callbacks.clone();
    let stem = output_stem(&args.output, ".lp")?;
    Ok(Options {
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
        identity: identity(said, described, &stem)?,
        callbacks,
        sign: args.sign,
        describe,
        allow_mismatch: args.allow_mismatch,
        allow_layout_change: allowed.into_iter().collect(),
        cache: args.cache.map_or_else(default_cache, Ok)?,
        keep: args.keep,
        dry_run: args.dry_run,
    })
}

fn tree(path: &Path, option: &str) -> Result<PathBuf> {
    let root = fs::canonicalize(path).with_context(|| format!("{option} {}", path.display()))?;
    ensure!(root.is_dir(), "{option} {} is no folder", path.display());
    Ok(root)
}

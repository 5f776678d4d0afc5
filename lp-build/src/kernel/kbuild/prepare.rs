//! The build folder that `make modules_prepare` gives: generated headers, objtool, modpost; no object of the kernel.
//!
//! It is made once per key ([`super::key`]) and serves both trees of a run: only `.c` files that it does not come from may
//! differ. The tempting wrong way is to build in it: then two runs would see each other's objects.

use super::make::{Make, SECTION_FLAGS};
use super::rust;
use crate::cache::{Cache, InUse};
use crate::cli::parse_size;
use crate::kernel::arch::Arch;
use crate::kernel::running::checks::Compiler;
use crate::kernel::running::config::{self, Drift};
use crate::kernel::running::find::KernelFiles;
use crate::progress::Progress;
use crate::tree::Tree;
use anyhow::{Context, Result, anyhow, bail};
use std::fs;
use std::path::{Path, PathBuf};

/// More options than this that the tree has and the kernel's configuration has not: it is another kernel's.
const MANY_NEW: usize = 12;
/// What the cache may keep if `LP_CACHE_SIZE` does not say: 10 GiB, some hundred kernels.
const MOST: u64 = 10 << 30;
const DRIFT_FILE: &str = ".livepatch-config-drift.json";

/// A prepared build folder.
#[derive(Debug, Clone)]
pub struct Prepared {
    /// The folder; nothing may write to it.
    pub folder: PathBuf,
    /// The key it was made from.
    pub key: String,
    /// The tree it was made from.
    pub tree: PathBuf,
    /// What the tree made of the kernel's configuration.
    pub drift: Drift,
    /// Keeps others from removing it.
    pub in_use: InUse,
}

/// Finds or makes the build folder of a key.
pub fn prepare(
    cache: &Cache,
    key: String,
    tree: &Tree,
    files: &KernelFiles,
    (compiler, arch): (&Compiler, &Arch),
    progress: &Progress,
) -> Result<Prepared> {
    let make = |folder: &Path| fill(folder, tree, files, (compiler, arch), progress);
    let in_use = cache.prepared(&key, make)?;
    let folder = in_use.folder.clone();
    let origin = if in_use.was_there {
        "from the cache"
    } else {
        "new"
    };
    if !in_use.was_there {
        // Nobody waits for it often: a new folder takes longer to make than the whole cache to count.
        cache.shrink(most()?);
    }
    tracing::debug!("build folder {} ({origin})", folder.display());
    let drift = read_drift(&folder)?;
    Ok(Prepared {
        folder,
        key,
        tree: tree.root.clone(),
        drift,
        in_use,
    })
}

/// The most bytes that the cache may keep.
fn most() -> Result<u64> {
    match std::env::var("LP_CACHE_SIZE") {
        Ok(size) => parse_size(&size).map_err(|error| anyhow!("LP_CACHE_SIZE: {error}")),
        Err(_) => Ok(MOST),
    }
}

fn fill(
    folder: &Path,
    tree: &Tree,
    files: &KernelFiles,
    (compiler, arch): (&Compiler, &Arch),
    progress: &Progress,
) -> Result<()> {
    let make = Make {
        tree: &tree.root,
        build: folder,
        release: &files.release,
        compiler: &compiler.command,
    };
    let given = config::read(&files.config)?;
    write(&folder.join(".config"), given.as_bytes())?;
    progress.step("  configuring the build folder", || {
        make.run(["olddefconfig"])
    })?;
    let made = config::parse(&config::read(&folder.join(".config"))?);
    let kernels = config::parse(&given);
    let of_rust = rust::options(&tree.root, arch.folder, &kernels, &made);
    let made = rust::with_kernels(&made, &kernels, &of_rust);
    let drift = config::drift(&kernels, &config::unset(&given), &made);
    check_drift(&drift, files)?;
    let jobs = std::thread::available_parallelism().map_or(1, usize::from);
    progress
        .step("  preparing the build folder", || {
            make.run([format!("-j{jobs}"), SECTION_FLAGS.to_owned(), "modules_prepare".to_owned()])
        })
        .context("the build folder could not be prepared (flex, bison, bc, libelf-dev and libssl-dev are needed)")?;
    rust::take_over(folder, &kernels, &of_rust)?;
    let symvers = fs::read(&files.symvers)
        .with_context(|| format!("cannot read {}", files.symvers.display()))?;
    write(&folder.join("Module.symvers"), &symvers)?;
    write(&folder.join(DRIFT_FILE), &serde_json::to_vec(&drift)?)
}

/// Refuses a configuration that the tree or the installed tools do not understand as the kernel's build did.
fn check_drift(drift: &Drift, files: &KernelFiles) -> Result<()> {
    if !drift.changed.is_empty() {
        let hint = if drift.changed.iter().any(|change| change.contains("BTF")) {
            " (CONFIG_DEBUG_INFO_BTF needs `pahole`: install the package dwarves)"
        } else {
            ""
        };
        bail!(
            "the tree does not take the configuration {} as it is:\n  {}\nstructures may differ from the kernel's: \
             give the kernel's own source tree and configuration, and install the tools that built it{hint}",
            files.config.display(),
            first(&drift.changed).join("\n  ")
        );
    }
    if drift.new.len() > MANY_NEW {
        bail!(
            "the configuration {} is of another kernel than the tree: {} options are missing from it, such as {}",
            files.config.display(),
            drift.new.len(),
            first(&drift.new).join(", ")
        );
    }
    Ok(())
}

fn first(options: &[String]) -> &[String] {
    options.get(..8).unwrap_or(options)
}

fn read_drift(folder: &Path) -> Result<Drift> {
    let path = folder.join(DRIFT_FILE);
    let text = fs::read(&path).with_context(|| {
        format!(
            "the cached build folder {} is damaged: remove it",
            folder.display()
        )
    })?;
    serde_json::from_slice(&text)
        .with_context(|| format!("{} is damaged: remove its folder", path.display()))
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    fs::write(path, bytes).with_context(|| format!("cannot write {}", path.display()))
}

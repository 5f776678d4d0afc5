//! Everything a run works from, opened and checked against each other before any work that takes time.

use super::arch::Arch;
use crate::kernel::running::checks::{self, Compiler};
use crate::kernel::running::config;
use crate::kernel::running::find::{self, KernelFiles};
use crate::kernel::running::image::{self, Image};
use crate::kernel::units::external;
use crate::options::{Options, Patched};
use crate::tree::{self, Tree};
use anyhow::{Result, ensure};
use std::path::{Path, PathBuf};

/// The original tree and the kernel that runs.
#[derive(Debug)]
pub struct Inputs {
    /// The original tree.
    pub orig: Tree,
    /// The source of a module that is not in the tree; the fix is then one of it, and the tree what it is built against.
    pub module: Option<PathBuf>,
    /// The patched one, where it is a tree.
    pub patched: Option<Tree>,
    /// The kernel's files.
    pub files: KernelFiles,
    /// What its vmlinux says of itself.
    pub image: Image,
    /// The compiler that built it.
    pub compiler: Compiler,
    /// Its architecture.
    pub arch: &'static Arch,
}

/// Opens and checks them.
pub fn open(options: &Options) -> Result<Inputs> {
    check_output(options)?;
    let orig = tree::open(&options.orig, "--orig")?;
    let module = options.module_source.as_deref();
    let module = module.map(|path| tree::open_module(path, "--module-source"));
    let module = module.transpose()?;
    let patched = match &options.patched {
        Patched::Tree(path) if module.is_some() => Some(Tree {
            root: tree::open_module(path, "--patched")?,
            version: orig.version.clone(),
        }),
        Patched::Tree(path) => Some(tree::open(path, "--patched")?),
        Patched::Patches(patches) => {
            for patch in patches {
                ensure!(patch.is_file(), "--patch {}: no such file", patch.display());
            }
            None
        }
    };
    if let Some(patched) = &patched {
        let (root, option) = match &module {
            Some(root) => (root, "--module-source"),
            None => (&orig.root, "--orig"),
        };
        ensure!(
            patched.root != *root,
            "{option} and --patched are the same folder {}: give the one without the fix and the one with it",
            root.display()
        );
    }
    for path in &options.modules {
        external::check_release(path, &options.release)?;
    }
    // The kernel's image may be unpacked into it.
    let roots = roots(&orig, patched.as_ref(), module.as_deref());
    check_outside(&roots, &options.asked.cache, "the cache")?;
    let files = find::find(options)?;
    let symvers = std::fs::metadata(&files.symvers);
    ensure!(
        symvers.is_ok_and(|file| file.len() > 0),
        "{} is empty, so it is not this kernel's Module.symvers: install its headers package again, or give --symvers FILE",
        files.symvers.display()
    );
    let image = image::read(&files.vmlinux)?;
    checks::image(&files, &image)?;
    let text = config::read(&files.config)?;
    let config = config::parse(&text);
    if options.config.is_some()
        && let Some(own) = find::packaged_config(options)
    {
        checks::same_config(&files, &config, &own)?;
    }
    let arch = checks::livepatch(&files, &config)?;
    let kernels = patched.iter().filter(|_| module.is_none());
    for tree in std::iter::once(&orig).chain(kernels) {
        checks::tree(tree, &files, &text, &image)?;
    }
    let compiler = checks::compiler(&files, &config)?;
    Ok(Inputs {
        orig,
        module,
        patched,
        files,
        image,
        compiler,
        arch,
    })
}

impl Inputs {
    /// The folder that the fix is one of: the tree, or the module's source.
    pub fn root(&self) -> &Path {
        self.module.as_deref().unwrap_or(&self.orig.root)
    }

    /// Checks, before it is made, that a folder of ours is in no source tree, which it would change, and can be used.
    pub fn check_outside(&self, folder: &Path, what: &str) -> Result<()> {
        let roots = roots(&self.orig, self.patched.as_ref(), self.module.as_deref());
        check_outside(&roots, folder, what)
    }

    /// What the person should know of the kernel's files.
    pub fn note(&self) -> Option<String> {
        let vmlinuz = self.files.vmlinuz.as_ref()?;
        Some(format!(
            "the kernel's symbols are those in {}, which do not say what source file each is from: what that leaves open is \
             refused; with the debug package less may be",
            vmlinuz.display()
        ))
    }
}

/// The folders that may not change.
fn roots<'a>(orig: &'a Tree, patched: Option<&'a Tree>, module: Option<&'a Path>) -> Vec<&'a Path> {
    let trees = std::iter::once(orig).chain(patched);
    let roots = trees.map(|tree| tree.root.as_path());
    roots.chain(module).collect()
}

fn check_outside(roots: &[&Path], folder: &Path, what: &str) -> Result<()> {
    let folder = tree::resolved(folder)?;
    tree::check_path(&folder, what)?;
    for root in roots {
        ensure!(
            !folder.starts_with(root),
            "{what} {} is inside the source tree {}: give a folder elsewhere",
            folder.display(),
            root.display()
        );
    }
    Ok(())
}

fn check_output(options: &Options) -> Result<()> {
    let folder = options
        .output
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let exists = folder.is_none_or(std::path::Path::is_dir);
    ensure!(
        exists,
        "the output's folder does not exist: make {}",
        folder.unwrap_or(&options.output).display()
    );
    let is_dir = options.output.is_dir();
    ensure!(
        !is_dir,
        "the output {} is a folder, give the name of a file",
        options.output.display()
    );
    Ok(())
}

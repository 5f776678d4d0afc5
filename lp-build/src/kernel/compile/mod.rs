//! Compiles one file of one tree as the kernel's own build does, into files of our own.
//!
//! The prepared folder is the working folder and is only read. A few files need more than it holds, such as a table that
//! a small program of the build makes: then make builds that file once in a copy of the folder, and the copy
//! takes the folder's place.

pub mod header;
pub mod moved;
pub mod objects;
pub mod pairs;
mod several;

use crate::kernel::kbuild::commands::CompileCommand;
use crate::kernel::kbuild::make::{Make, SECTION_FLAGS, hermetic};
use anyhow::{Context, Result, bail};
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// A compiled file.
#[derive(Debug, Clone)]
pub struct Compiled {
    /// The object.
    pub object: Vec<u8>,
    /// What the compiler read.
    pub read: BTreeSet<PathBuf>,
}

/// Why a file did not compile.
#[derive(Debug)]
pub enum Failure {
    /// A file that the build would generate is not there.
    Generated(String),
    /// Anything else.
    Other(anyhow::Error),
}

/// Where to compile.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// The tree to compile.
    pub tree: &'a Path,
    /// The build folder, which is only read.
    pub build: &'a Path,
    /// The folder for the products.
    pub products: &'a Path,
    /// The last folder in which the compiler looks for headers.
    pub include: &'a Path,
    /// A program to run the compiler by.
    pub launcher: Option<&'a str>,
    /// By which path the tree's files are called in messages and debug information; kbuild sees to that for the kernel's.
    pub named: Option<&'a Path>,
}

impl Place<'_> {
    /// What the compiler is told besides what the kernel's build tells it.
    pub fn flags(self) -> impl Iterator<Item = String> {
        let include = self.include.to_string_lossy().into_owned();
        let mapped = self.named.filter(|named| *named != self.tree);
        let mapped = mapped.map(|named| {
            format!(
                "-ffile-prefix-map={}/={}/",
                self.tree.display(),
                named.display()
            )
        });
        ["-idirafter".to_owned(), include].into_iter().chain(mapped)
    }
}

/// Compiles one file; the name of its object begins with the source's path.
pub fn compile(command: &CompileCommand, place: Place<'_>) -> Result<Compiled, Failure> {
    let stem = place.products.join(command.target.replace('/', "."));
    let object = stem.to_string_lossy().into_owned();
    let depfile = format!("{object}.d");
    let tree = place.tree.to_string_lossy();
    let mut steps = command.steps_for(&tree, &object, &depfile);
    if let Some(compile) = steps.first_mut() {
        // The source is the last word.
        let at = compile.len().saturating_sub(1);
        compile.splice(at..at, place.flags());
        // Only the compiler: objtool changes its object in place.
        compile.splice(0..0, place.launcher.map(str::to_owned));
    }
    for step in steps {
        run(command, place, &step)?;
    }
    let read = || -> Result<Compiled> {
        Ok(Compiled {
            object: fs::read(&object).with_context(|| format!("cannot read {object}"))?,
            read: dependencies(&fs::read_to_string(&depfile).unwrap_or_default()),
        })
    };
    read().map_err(Failure::Other)
}

fn run(command: &CompileCommand, place: Place<'_>, step: &[String]) -> Result<(), Failure> {
    let fail = |error| Err(Failure::Other(error));
    let Some((program, args)) = step.split_first() else {
        return Ok(());
    };
    tracing::debug!("{}", step.join(" "));
    let mut program_of_step = hermetic(program);
    if place.launcher == Some(program.as_str()) {
        program_of_step.envs(std::env::vars_os().filter(|(name, _)| configures_launcher(name)));
    }
    let output = match program_of_step.args(args).current_dir(place.build).output() {
        Ok(output) => output,
        Err(error) => return fail(anyhow::anyhow!("cannot run {program}: {error}")),
    };
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let said = said.replace(&format!("{}/", place.tree.display()), "");
    if said.contains("No such file or directory") && said.contains("fatal error") {
        return Err(Failure::Generated(said));
    }
    fail(anyhow::anyhow!(
        "{} of the tree {} does not compile:\n{said}",
        command.source,
        place.tree.display()
    ))
}

/// Whether a variable of the person's environment is one of a known launcher's own.
fn configures_launcher(name: &OsStr) -> bool {
    let prefixes = ["CCACHE_", "SCCACHE_", "DISTCC_", "ICECC_"];
    let name = name.to_string_lossy();
    prefixes.iter().any(|prefix| name.starts_with(prefix))
}

/// Builds one file with make in `copy`, a copy of the prepared folder, so that what it needs is generated there.
pub fn generate(command: &CompileCommand, make: Make<'_>, copy: &Path) -> Result<()> {
    if !copy.is_dir() {
        copy_folder(make.build, copy)
            .with_context(|| format!("cannot copy the build folder to {}", copy.display()))?;
    }
    let make = Make {
        build: copy,
        ..make
    };
    make.single([SECTION_FLAGS, &command.target])?;
    Ok(())
}

fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    for entry in walkdir::WalkDir::new(from) {
        let entry = entry?;
        let path = to.join(entry.path().strip_prefix(from)?);
        let kind = entry.file_type();
        if kind.is_dir() {
            fs::create_dir_all(&path)?;
        } else if kind.is_symlink() {
            std::os::unix::fs::symlink(fs::read_link(entry.path())?, &path)?;
        } else {
            fs::copy(entry.path(), &path)?;
            // Equal times keep make from building everything in the copy again.
            let modified = entry.metadata()?.modified()?;
            fs::File::options()
                .append(true)
                .open(&path)?
                .set_modified(modified)?;
        }
    }
    Ok(())
}

/// Checks that no file that the fix touches was read from the original tree while the patched one was compiled.
pub fn check_read(
    read: &BTreeSet<PathBuf>,
    orig: &Path,
    patched: &Path,
    touched: &BTreeSet<PathBuf>,
) -> Result<()> {
    if touched.is_empty() {
        return Ok(());
    }
    for path in read {
        let real = fs::canonicalize(path).unwrap_or_else(|_| path.clone());
        let inside = real
            .strip_prefix(orig)
            .ok()
            .filter(|_| !real.starts_with(patched));
        if let Some(inside) = inside.filter(|inside| touched.contains(*inside)) {
            bail!(
                "{} was read from the original tree although the patch changes it: give a whole patched tree with --patched",
                inside.display()
            );
        }
    }
    Ok(())
}

/// The absolute paths in a make rule that the compiler wrote.
pub fn dependencies(rule: &str) -> BTreeSet<PathBuf> {
    let words = rule
        .split_ascii_whitespace()
        .filter(|word| word.starts_with('/'));
    words
        .map(|word| PathBuf::from(std::ffi::OsStr::from_bytes(word.as_bytes())))
        .collect()
}

//! Builds a copy of a tree under the shims.
//!
//! Both trees are built in one and the same folder, one after the other, so that what the build makes of its own path
//! (debug information, `__FILE__`, what configure writes down) is the same. The person's trees are only read. The
//! tempting wrong way is to build where the tree is: a build that was there before would leave nothing to compile.

use super::names::make_shims;
use super::record::{self, Record};
use super::touched::{Touched, Watch};
use super::{copy, headers, reuse, shim};
use anyhow::{Context, Result, bail, ensure};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Lines of a failed build that are shown.
const SHOWN: usize = 30;

/// Where trees are built.
#[derive(Debug)]
pub(super) struct Workplace {
    /// The folder that each tree is copied to. It has the same path in every run on this tree.
    tree: PathBuf,
    /// Where the shims are, at the same path in every run, too: cmake writes it down.
    shims: PathBuf,
    /// What the compiled files shall say of where they are from.
    named: PathBuf,
    /// The author's headers.
    include: PathBuf,
}

/// How a tree is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum How<'a> {
    /// So that its functions can be taken out.
    Taken,
    /// The same, on what the original's build left in this folder.
    On(&'a Path),
    /// The same, and what each compilation reads is written down, so that another tree can go on from it.
    Base,
    /// As the person builds it, but for the path.
    Plain,
}

impl Workplace {
    /// In a folder that is new. `named`: the original tree.
    pub(super) fn new(folder: &Path, named: &Path) -> Result<Self> {
        Ok(Self {
            tree: folder.join("tree"),
            shims: folder.join("bin"),
            named: named.to_owned(),
            include: headers::provide(folder)?,
        })
    }

    /// The folder that a tree is built in.
    pub(super) fn tree(&self) -> &Path {
        &self.tree
    }

    /// Copies a tree and runs the commands in it; what the shims write goes to the new folder `root`.
    pub(super) fn build(
        &self,
        source: &Path,
        root: &Path,
        commands: &[String],
        how: How<'_>,
    ) -> Result<()> {
        self.clear()?;
        copy::sources(source, &self.tree)?;
        self.run_all(root, commands, how)
    }

    /// Removes the tree that was built before.
    pub(super) fn clear(&self) -> Result<()> {
        if self.tree.exists() {
            fs::remove_dir_all(&self.tree)
                .with_context(|| format!("cannot remove {}", self.tree.display()))?;
        }
        Ok(())
    }

    /// Gives the built tree away.
    pub(super) fn move_to(&self, path: &Path) -> Result<()> {
        fs::rename(&self.tree, path).with_context(|| format!("cannot make {}", path.display()))
    }

    /// Runs commands in the tree as it is.
    pub(super) fn run_all(&self, root: &Path, commands: &[String], how: How<'_>) -> Result<()> {
        for folder in ["records", "objects", "split"] {
            fs::create_dir_all(root.join(folder))?;
        }
        // They are this program.
        make_shims(&self.shims)?;
        let mut touched = Some(Touched::default());
        for (number, command) in commands.iter().enumerate() {
            if how == How::Base && number + 1 == commands.len() {
                super::rebuild::note_given(&self.tree, root)?;
            }
            let watch = (how == How::Base)
                .then(|| Watch::start(&self.tree))
                .flatten();
            let ran = self.run(command, root, how);
            let opened = watch.and_then(Watch::end);
            touched = touched.zip(opened).map(|(mut all, opened)| {
                all.add(opened);
                all
            });
            ran?;
        }
        touched.map_or(Ok(()), |touched| touched.write(root))
    }

    fn run(&self, command: &str, root: &Path, how: How<'_>) -> Result<()> {
        let log = root.join("log");
        let file = File::options().create(true).append(true).open(&log)?;
        let path = std::env::var_os("PATH").unwrap_or_default();
        let folders = std::iter::once(self.shims.clone()).chain(std::env::split_paths(&path));
        let path = std::env::join_paths(folders).context("the PATH")?;
        let more = format!(
            "-ffile-prefix-map={}={}\n-ffile-prefix-map={}=livepatch\n-idirafter\n{}",
            self.tree.display(),
            self.named.display(),
            self.include.display(),
            self.include.display()
        );
        tracing::debug!("{command}");
        let status = Command::new("sh")
            .args(["-c", command])
            .current_dir(&self.tree)
            .env("PATH", path)
            .env(record::ROOT, root)
            .env(shim::FOLDER, &self.shims)
            .env(shim::MORE, more)
            .env(reuse::PLACE, &self.tree)
            .env(
                reuse::BASE,
                match how {
                    How::On(base) => base.as_os_str(),
                    _ => OsStr::new(""),
                },
            )
            .env(shim::PLAIN, if how == How::Plain { "1" } else { "" })
            .env(
                shim::READS,
                if how == How::Base {
                    self.tree.as_os_str()
                } else {
                    OsStr::new("")
                },
            )
            // A compiler cache would give objects without sections, or keep ours for others; what compiles elsewhere
            // has no shim.
            .env("CCACHE_DISABLE", "1")
            .env("DISTCC_HOSTS", "localhost")
            // Else the time would be a difference.
            .env("SOURCE_DATE_EPOCH", epoch())
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .status()
            .context("cannot run sh")?;
        if status.success() {
            return Ok(());
        }
        let text = fs::read(&log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        let shown = lines[lines.len().saturating_sub(SHOWN)..].join("\n");
        bail!(
            "the build failed ({status}): {command}\n{shown}\nIt ran in a copy of the tree: try it in one of yours. What configures \
             the tree goes to --configure, and files beside the tree must be named by whole paths"
        );
    }
}

fn epoch() -> String {
    std::env::var("SOURCE_DATE_EPOCH").unwrap_or_else(|_| "1".to_owned())
}

/// A copy of the tree with patches, as `patch -p1` applies them.
pub(super) fn apply(patches: &[PathBuf], orig: &Path, folder: &Path) -> Result<()> {
    copy::sources(orig, folder)?;
    for patch in patches {
        let patch =
            fs::canonicalize(patch).with_context(|| format!("--patch {}", patch.display()))?;
        let done = Command::new("patch")
            .args(["-p1", "-N", "-f", "-s", "--no-backup-if-mismatch", "-i"])
            .arg(&patch)
            .current_dir(folder)
            .output()
            .context("cannot run patch")?;
        ensure!(
            done.status.success(),
            "the patch {} does not apply to {}: {}",
            patch.display(),
            orig.display(),
            // What is no patch at all is said on the other stream.
            String::from_utf8_lossy(&[done.stdout, done.stderr].concat()).trim()
        );
    }
    Ok(())
}

/// What the shims wrote; an error where they saw nothing.
pub(super) fn seen(root: &Path, commands: &[String]) -> Result<Record> {
    let record = Record::read(root)?;
    ensure!(
        !record.compiled.is_empty(),
        "'{}' compiled nothing that could be seen: let it call the compiler by its name on the PATH (make CC=gcc), \
         not by a whole path, and compile everything (make clean before it, if the tree has what was built earlier)",
        commands.join(" && ")
    );
    Ok(record)
}

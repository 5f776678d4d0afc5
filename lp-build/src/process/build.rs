//! Builds a copy of a tree under the shims.
//!
//! Both trees are built in one and the same folder, one after the other, so that what the build makes of its own path
//! (debug information, `__FILE__`, what configure writes down) is the same. The person's trees are only read. The
//! tempting wrong way is to build where the tree is: a build that was there before would leave nothing to compile.

use super::headers;
use super::names::make_shims;
use super::record::{self, Record};
use super::shim;
use anyhow::{Context, Result, bail, ensure};
use object::elf;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use walkdir::WalkDir;

/// Lines of a failed build that are shown.
const SHOWN: usize = 30;

/// Where trees are built.
#[derive(Debug)]
pub(super) struct Workplace {
    /// The folder that each tree is copied to. It has the same path in every run on this tree.
    tree: PathBuf,
    /// What the compiled files shall say of where they are from.
    named: PathBuf,
    /// The author's headers.
    include: PathBuf,
}

/// How a tree is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    /// So that its functions can be taken out.
    Taken,
    /// As the person builds it, but for the path.
    Plain,
}

impl Workplace {
    /// In a folder that is new. `named`: the original tree.
    pub(super) fn new(folder: &Path, named: &Path) -> Result<Self> {
        Ok(Self {
            tree: folder.join("tree"),
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
        how: How,
    ) -> Result<()> {
        if self.tree.exists() {
            fs::remove_dir_all(&self.tree)
                .with_context(|| format!("cannot remove {}", self.tree.display()))?;
        }
        copy_tree(source, &self.tree)?;
        for folder in ["bin", "records", "objects", "split"] {
            fs::create_dir_all(root.join(folder))?;
        }
        let shims = root.join("bin");
        make_shims(&shims)?;
        for command in commands {
            self.run(command, root, how)?;
        }
        // They are this program, which may be another one the next time.
        fs::remove_dir_all(shims)?;
        Ok(())
    }

    fn run(&self, command: &str, root: &Path, how: How) -> Result<()> {
        let log = root.join("log");
        let file = File::options().create(true).append(true).open(&log)?;
        let path = std::env::var_os("PATH").unwrap_or_default();
        let folders = std::iter::once(root.join("bin")).chain(std::env::split_paths(&path));
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
            .env(shim::MORE, more)
            .env(shim::PLAIN, if how == How::Plain { "1" } else { "" })
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
            "the build failed ({status}): {command}\n{shown}\nIt ran in a copy of {}: try it in one of yours. What configures \
             the tree goes to --configure, and files beside the tree must be named by whole paths",
            self.named.display()
        );
    }
}

fn epoch() -> String {
    std::env::var("SOURCE_DATE_EPOCH").unwrap_or_else(|_| "1".to_owned())
}

/// Copies a tree with its times, by which builds decide, and without objects of an earlier build, which would keep them
/// from compiling.
fn copy_tree(from: &Path, to: &Path) -> Result<()> {
    for entry in WalkDir::new(from) {
        let entry = entry.with_context(|| format!("cannot read {}", from.display()))?;
        let path = entry.path();
        let inside = path.strip_prefix(from).unwrap_or(path);
        copy_one(&entry, &to.join(inside))
            .with_context(|| format!("cannot copy {}", path.display()))?;
    }
    Ok(())
}

fn copy_one(entry: &walkdir::DirEntry, new: &Path) -> Result<()> {
    let (path, kind) = (entry.path(), entry.file_type());
    if kind.is_dir() {
        fs::create_dir_all(new)?;
    } else if kind.is_symlink() {
        std::os::unix::fs::symlink(fs::read_link(path)?, new)?;
    } else if kind.is_file() && !is_object(path)? {
        fs::copy(path, new)?;
        let modified = entry.metadata()?.modified()?;
        let times = fs::FileTimes::new().set_modified(modified);
        // A file that may only be read has its time set all the same by its owner.
        if let Ok(file) = File::options().append(true).open(new) {
            file.set_times(times)?;
        }
    }
    Ok(())
}

/// Whether a file is what a compiler made.
fn is_object(path: &Path) -> Result<bool> {
    let named = path
        .extension()
        .is_some_and(|extension| ["o", "lo", "os"].iter().any(|object| extension == *object));
    if !named {
        return Ok(false);
    }
    // `e_type` behind `e_ident`; the .lo of libtool is a text that names the object.
    let mut head = Vec::new();
    File::open(path)?.take(18).read_to_end(&mut head)?;
    let relocatable = head.starts_with(b"\x7fELF") && head.ends_with(&elf::ET_REL.0.to_le_bytes());
    Ok(relocatable || head.starts_with(b"# "))
}

/// A copy of the tree with patches, as `patch -p1` applies them.
pub(super) fn apply(patches: &[PathBuf], orig: &Path, folder: &Path) -> Result<()> {
    copy_tree(orig, folder)?;
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
            String::from_utf8_lossy(&done.stdout).trim()
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

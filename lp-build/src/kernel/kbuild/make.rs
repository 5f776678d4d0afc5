//! Runs the kernel's own build, always in the same surroundings.
//!
//! The environment is emptied: a stray `KCFLAGS`, `ARCH` or `MAKEFLAGS` of the person's shell would give other code
//! than the kernel's, and a build inside another make would fight over its job server.

use anyhow::{Context, Result, bail};
use rustix::fs::Access;
use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::LazyLock;

/// Every function and datum in a section of its own: what lp-diff takes apart. It changes no instruction.
pub const SECTION_FLAGS: &str = "KCFLAGS=-ffunction-sections -fdata-sections";

/// What a prepared folder has. A tree with newer times would have it made again, even by `make -n`.
const DONE: [&str; 6] = [
    "prepare",
    "scripts_basic",
    "outputmakefile",
    "include/config/auto.conf",
    "include/config/auto.conf.cmd",
    "include/generated/autoconf.h",
];

const KEPT: [&str; 4] = ["PATH", "HOME", "TMPDIR", "LD_LIBRARY_PATH"];

/// A command that sees nothing of the person's environment but what finding programs needs.
pub fn hermetic(program: &str) -> Command {
    let mut command = Command::new(resolved(program));
    command.arg0(program).env_clear().stdin(Stdio::null());
    let kept = KEPT
        .iter()
        .filter_map(|name| Some((*name, std::env::var_os(name)?)));
    command.envs(kept);
    command.envs([
        ("LC_ALL", "C"),
        ("KBUILD_BUILD_USER", "livepatch"),
        ("KBUILD_BUILD_HOST", "livepatch"),
        ("KBUILD_BUILD_TIMESTAMP", "Thu Jan  1 00:00:00 UTC 1970"),
    ]);
    command
}

/// Where a program is. With a bare name and an environment of its own, the standard library forks instead of calling
/// `posix_spawn`, and that copies the page tables of all our memory: a tenth of the time where a header brings 1,500 files.
fn resolved(program: &str) -> Cow<'_, OsStr> {
    static PLACES: LazyLock<Vec<PathBuf>> = LazyLock::new(|| {
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path)
            .filter(|place| place.is_absolute())
            .collect()
    });
    if program.contains('/') {
        return Cow::Borrowed(program.as_ref());
    }
    let mut found = PLACES.iter().map(|place| place.join(program));
    // What is not found is told by whoever runs it.
    match found.find(|file| rustix::fs::access(file, Access::EXEC_OK).is_ok() && file.is_file()) {
        Some(file) => Cow::Owned(file.into_os_string()),
        None => Cow::Borrowed(program.as_ref()),
    }
}

/// The kernel's build in a tree with its products elsewhere.
#[derive(Debug, Clone, Copy)]
pub struct Make<'a> {
    /// The source tree.
    pub tree: &'a Path,
    /// The build folder.
    pub build: &'a Path,
    /// The kernel's release, which ends up in the module's vermagic.
    pub release: &'a str,
    /// The compiler's command.
    pub compiler: &'a str,
}

impl Make<'_> {
    /// Runs make quietly; the end of its output is in the error if it fails.
    pub fn run<S: Into<OsString>>(self, args: impl IntoIterator<Item = S>) -> Result<Output> {
        let args: Vec<OsString> = args.into_iter().map(Into::into).collect();
        let mut command = hermetic("make");
        command
            .arg("-C")
            .arg(self.tree)
            .arg(assign("O=", self.build.as_os_str()));
        self.finish(command, &args)
    }

    /// Runs make for single files, in the build folder and without preparing it again.
    ///
    /// Even under `-n` the kernel's build would really make objtool again, because it calls that make with flags of
    /// its own: in a folder that other runs read.
    pub fn single<S: Into<OsString>>(self, args: impl IntoIterator<Item = S>) -> Result<Output> {
        let args: Vec<OsString> = args.into_iter().map(Into::into).collect();
        let mut command = hermetic("make");
        command
            .current_dir(self.build)
            .arg("-f")
            .arg(self.tree.join("Makefile"));
        // The first keeps make from starting itself once more, which would lose the others: all of that is done.
        command.arg("--no-print-directory");
        command.args(DONE.iter().flat_map(|goal| ["-o", goal]));
        self.finish(command, &args)
    }

    fn finish(self, mut command: Command, args: &[OsString]) -> Result<Output> {
        command
            .arg("--silent")
            .arg(assign("KERNELRELEASE=", self.release.as_ref()))
            .arg(assign("CC=", self.compiler.as_ref()))
            // What is prepared must not depend on whether there is one (`super::rust`).
            .arg("RUSTC=false")
            .args(args);
        let output = command
            .output()
            .context("cannot run `make`: install the package make")?;
        if !output.status.success() {
            let words: Vec<_> = args.iter().map(|arg| arg.to_string_lossy()).collect();
            bail!(
                "`make {}` failed in {}:\n{}{}{}",
                words.join(" "),
                self.tree.display(),
                full_disk(&output),
                tail(&output.stdout),
                tail(&output.stderr)
            );
        }
        Ok(output)
    }
}

fn assign(name: &str, value: &OsStr) -> OsString {
    let mut word = OsString::from(name);
    word.push(value);
    word
}

/// A full disk is the cause of whatever fails after it, and its own message may be far from the end.
fn full_disk(output: &Output) -> &'static str {
    let says = |bytes: &[u8]| String::from_utf8_lossy(bytes).contains("No space left on device");
    if says(&output.stderr) || says(&output.stdout) {
        "  No space left on device\n"
    } else {
        ""
    }
}

/// The last lines of an output: the first error of a failing make is near its end.
fn tail(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let lines: Vec<&str> = text.lines().collect();
    let from = lines.len().saturating_sub(30);
    lines
        .iter()
        .skip(from)
        .map(|line| format!("  {line}\n"))
        .collect()
}

//! Runs the kernel's own build, always in the same surroundings.
//!
//! The environment is emptied: a stray `KCFLAGS`, `ARCH` or `MAKEFLAGS` of the person's shell would give other code
//! than the kernel's, and a build inside another make would fight over its job server.

use anyhow::{Context, Result, bail};
use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::{Command, Output, Stdio};

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
    let mut command = Command::new(program);
    command.env_clear().stdin(Stdio::null());
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

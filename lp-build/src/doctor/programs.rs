//! The programs and headers that preparing a build folder and building a module take: each is tried, not looked up.

use super::{Check, check};
use crate::kernel::kbuild::make::hermetic;
use crate::kernel::running::config::Config;
use anyhow::{Context, Result, ensure};
use std::io::Write;
use std::process::Stdio;

/// A program, what it is asked for, the package that has it, and the option without which it is not needed.
const PROGRAMS: [(&str, &str, &str, Option<&str>); 8] = [
    ("make", "--version", "make", None),
    ("ld", "--version", "binutils", None),
    ("patch", "--version", "patch", None),
    ("flex", "--version", "flex", None),
    ("bison", "--version", "bison", None),
    ("bc", "--version", "bc", None),
    ("perl", "--version", "perl", None),
    (
        "pahole",
        "--version",
        "dwarves",
        Some("CONFIG_DEBUG_INFO_BTF"),
    ),
];

/// A header that the kernel's own tools include, its package, and the options of which one wants it.
const HEADERS: [(&str, &str, &[&str]); 2] = [
    (
        "gelf.h",
        "libelf-dev",
        &[
            "CONFIG_OBJTOOL",
            "CONFIG_STACK_VALIDATION",
            "CONFIG_UNWINDER_ORC",
        ],
    ),
    (
        "openssl/evp.h",
        "libssl-dev",
        &["CONFIG_MODULE_SIG", "CONFIG_SYSTEM_TRUSTED_KEYRING"],
    ),
];

/// Tries all that this configuration needs.
pub(super) fn examine(config: &Config) -> Vec<Check> {
    let is_set = |name: &&str| config.get(*name).is_some_and(|value| value == "y");
    let programs = PROGRAMS
        .iter()
        .filter(|(.., option)| option.as_ref().is_none_or(is_set))
        .map(|(program, word, package, _)| check(program, version(program, word, package)));
    let headers = HEADERS
        .iter()
        .filter(|(.., options)| options.iter().any(&is_set))
        .map(|(header, package, _)| check(header, included(header, package)));
    programs.chain(headers).collect()
}

/// The first line of what a program says of itself.
fn version(program: &str, word: &str, package: &str) -> Result<String> {
    let output = hermetic(program).arg(word).output();
    let output =
        output.with_context(|| format!("it does not run: install the package {package}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().find(|line| !line.trim().is_empty());
    Ok(line.unwrap_or(program).trim().to_owned())
}

/// Whether the compiler for the build's own tools finds a header.
fn included(header: &str, package: &str) -> Result<String> {
    let mut compiler = hermetic("gcc")
        .args(["-E", "-x", "c", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("gcc does not run: install the package gcc")?;
    if let Some(mut stdin) = compiler.stdin.take() {
        // A compiler that is gone says so by its status.
        let _ = writeln!(stdin, "#include <{header}>");
    }
    ensure!(
        compiler.wait()?.success(),
        "gcc does not find it: install the package {package}"
    );
    Ok("found".to_owned())
}

//! Sound files to be damaged, assembled from the sources beside this file.

use std::io::Write;
use std::process::{Command, Stdio};

/// A livepatch module.
pub(crate) const MODULE: &str = include_str!("module.s");

/// The object of a source.
pub(crate) fn assemble(source: &str) -> Vec<u8> {
    let output = tempfile::NamedTempFile::new().expect("a file");
    let mut gcc = Command::new("gcc");
    gcc.args(["-c", "-x", "assembler", "-", "-o"])
        .arg(output.path())
        .stdin(Stdio::piped());
    let mut child = gcc.spawn().expect("gcc runs");
    let mut stdin = child.stdin.take().expect("it is piped");
    stdin.write_all(source.as_bytes()).expect("gcc reads it");
    drop(stdin);
    assert!(child.wait().expect("gcc ends").success());
    std::fs::read(output.path()).expect("the object")
}

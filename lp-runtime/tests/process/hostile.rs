//! Processes in places and conditions that make it hard, and programs of other compilers: patched, or refused for a reason, and in
//! both cases alive and unharmed.

mod compilers;
mod conditions;
mod languages;
mod places;

use crate::patch::{make, manifest, object_of};
use crate::program::{Folder, Program};
use lp_runtime::process::prepare::patch_file::PatchFile;
use lp_runtime::process::{Options, Process, ProcessError};
use std::path::Path;
use std::time::Duration;

/// Answers a number by the next one; patched, by one that is 100 more.
const NEXT: &str = r#"
    #include <stdio.h>
    #include <stdlib.h>
    __attribute__((noipa)) int one(int x) { return x > 100000 ? x / 7 : x + 1; }
    void answer(const char *q, char *r) { sprintf(r, "%d", one(atoi(q))); }
"#;

const ONE: &str = "int one(int x) { return x + 100; }";

/// The patch for [`NEXT`], or any other program with `one`.
fn fix(folder: &Folder, path: &Path) -> PatchFile {
    let mut manifest = manifest("fix");
    manifest.objects.push(object_of(path, &["one"]));
    PatchFile::parse(&make(folder, ONE, &[], &manifest)).expect("a patch")
}

fn load(pid: i32, patch: &PatchFile) -> Result<(), ProcessError> {
    let options = Options {
        timeout: Duration::from_secs(5),
        ..Options::default()
    };
    Process::attach(pid)?.load(patch, options).map(drop)
}

fn unload(pid: i32) -> Result<(), ProcessError> {
    Process::attach(pid)?
        .unload("fix", Options::default())
        .map(drop)
}

/// Patches a program that answers as [`NEXT`] does, and takes the patch out again.
fn there_and_back(program: &mut Program, pid: i32, patch: &PatchFile) {
    assert_eq!(program.ask("1"), "2");
    load(pid, patch).expect("it goes in");
    assert_eq!(program.ask("2"), "102");
    unload(pid).expect("it goes out");
    assert_eq!(program.ask("3"), "4");
}

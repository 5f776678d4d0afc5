//! What lp-build decides without a kernel: everything here runs on tiny made-up trees.

mod absent;
mod built;
mod cache;
mod callbacks;
mod commands;
mod config;
mod describe;
mod detour;
mod docs;
mod elsewhere;
mod external;
mod followed;
mod guide;
mod header_names;
mod host_program;
mod include_graph;
mod kinds;
mod module;
mod new;
mod noreturn;
mod objects;
mod options;
mod patch;
mod report;
mod review;
mod rust;
mod scope;
mod sealed;
mod states;
mod trees;
mod unaffected;
mod unpacked;

use std::fs;
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

/// A folder with files, given as path and content.
fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (path, content) in files {
        write(folder.path(), path, content);
    }
    folder
}

fn write(root: &Path, path: &str, content: &str) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().expect("a file has a folder")).expect("a folder");
    fs::write(path, content).expect("a file");
}

/// The object of a C text. Not for a library: what it calls may have names that no `@PLT` can follow.
fn compile(text: &str) -> Vec<u8> {
    let folder = folder(&[("x.c", text)]);
    let compiled = Command::new("cc")
        .args(["-c", "-fno-pic", "x.c", "-o", "x.o"])
        .current_dir(folder.path())
        .status()
        .expect("cc runs");
    assert!(compiled.success());
    fs::read(folder.path().join("x.o")).expect("an object")
}

/// The whole of an error, as the terminal shows it.
fn message<T>(result: anyhow::Result<T>) -> String {
    match result {
        Ok(_) => panic!("it worked, an error was expected"),
        Err(error) => format!("{error:#}"),
    }
}

//! Thousands of cycles in one process, by one loader, while the process works: nothing may be left behind.

use std::fs;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use super::server::Held;
use crate::{command, paths, tools};

/// Threads that call what is patched all the time, and check what it gives.
const TARGET: &str = include_str!("clients/cycles.c");
const MAKEFILE: &str = "CFLAGS = -g -O2\ntarget: target.o\n\t$(CC) -pthread -o $@ $^\n";
const CHANGE: (&str, &str) = ("return number + 1;", "return number + 1 + (number > 1000);");

/// Builds the program and the patch, and runs the cycles.
pub(super) fn run(cycles: usize) -> Result<()> {
    println!("\n== {cycles} cycles");
    let folder = paths::output("real").join("cycles");
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("remove {}", folder.display()))?;
    }
    for (name, text) in [
        ("orig", TARGET.to_owned()),
        ("running", TARGET.to_owned()),
        ("patched", TARGET.replace(CHANGE.0, CHANGE.1)),
    ] {
        let tree = folder.join(name);
        fs::create_dir_all(&tree).with_context(|| format!("create {}", tree.display()))?;
        fs::write(tree.join("target.c"), text)?;
        fs::write(tree.join("Makefile"), MAKEFILE)?;
    }
    let running = folder.join("running");
    let mut make = Command::new("make");
    command::quiet(make.arg("--silent").arg("--directory").arg(&running))?;
    let binary = running.join("target");
    let patch = folder.join("cycles.lp");
    let mut build = Command::new(tools::lp_build()?);
    build.arg("process").arg("--orig").arg(folder.join("orig"));
    build.arg("--patched").arg(folder.join("patched"));
    build.args(["--build", "make", "--name", "cycles", "--binary"]);
    command::quiet(build.arg(&binary).arg("-o").arg(&patch))?;
    let mut program = Command::new(&binary);
    let mut program = Held(program.stdin(Stdio::null()).spawn()?);
    let mut example = tools::cargo();
    example.args(["run", "--release", "--quiet", "--package", "lp-runtime"]);
    example.args(["--example", "cycles", "--", &program.0.id().to_string()]);
    command::run(example.arg(&patch).arg(cycles.to_string()))?;
    let ended = program.0.try_wait()?;
    ensure!(ended.is_none(), "the program ended: {ended:?}");
    Ok(())
}

//! `cargo xtask bench process`: how long a process stands still while it is patched, beside a bare stop, write and resume of
//! the same run; how long loading and unloading take in all; and what a call of a patched function costs.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::{command, paths, tools};

const TARGET: &str = include_str!("process/target.c");
const MAKEFILE: &str = "CFLAGS = -g -O2\ntarget: target.o\n\t$(CC) -pthread -o $@ $^\n";
/// What the patch changes: nothing that takes longer.
const CHANGE: (&str, &str) = ("return number + 1;", "return number + 2;");

/// Measures and prints, beside the last run's numbers.
pub(super) fn run() -> Result<()> {
    let folder = paths::output("bench").join("process");
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
    command::quiet(
        Command::new("make")
            .arg("--silent")
            .arg("--directory")
            .arg(&running),
    )?;
    let patch = folder.join("bench.lp");
    let mut build = Command::new(tools::lp_build()?);
    build.arg("process").arg("--orig").arg(folder.join("orig"));
    build.arg("--patched").arg(folder.join("patched"));
    build.args(["--build", "make", "--name", "bench", "--binary"]);
    command::quiet(build.arg(running.join("target")).arg("-o").arg(&patch))?;
    let mut bench = tools::cargo();
    bench.args(["run", "--release", "--quiet", "--package", "lp-runtime"]);
    bench.args(["--example", "process_bench", "--"]);
    let said = command::capture(bench.arg(running.join("target")).arg(&patch))?;
    let numbers: Vec<(String, f64)> = serde_json::from_str(&said)?;
    print_beside_last(&numbers, &paths::output("bench").join("process.json"))
}

fn print_beside_last(numbers: &[(String, f64)], kept: &Path) -> Result<()> {
    let last: BTreeMap<String, f64> = fs::read(kept)
        .ok()
        .and_then(|text| serde_json::from_slice::<Vec<(String, f64)>>(&text).ok())
        .map(|last| last.into_iter().collect())
        .unwrap_or_default();
    println!("processes (in brackets the last time)");
    for (name, number) in numbers {
        let last = last.get(name);
        let last = last.map_or(String::new(), |last| format!(" ({last:.2})"));
        println!("{name:<52} {number:>10.2}{last}");
    }
    let of = |name: String| numbers.iter().find(|(of, _)| *of == name).map(|of| of.1);
    for threads in [1, 17, 129, 513] {
        let of = |what: &str, which: &str| of(format!("{threads:>3} threads, {what}, {which} us"));
        let ratio = |what: &str, which: &str| {
            Some(of(what, which)? / of("bare stop, write and resume", which)?)
        };
        for what in ["load, stood", "unload, stood"] {
            if let (Some(least), Some(median)) = (ratio(what, "least"), ratio(what, "median")) {
                println!(
                    "{threads:>3} threads, {what}: {least:.2} times the floor at best, {median:.2} in the median"
                );
            }
        }
    }
    fs::write(kept, serde_json::to_vec_pretty(numbers)?)
        .with_context(|| format!("write {}", kept.display()))
}

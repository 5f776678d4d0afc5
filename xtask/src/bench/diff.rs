//! `cargo xtask bench diff`: lp-diff's time and memory for synthetic pairs and real ones, beside the targets and the last
//! run; how many times as fast more threads make a folder of pairs; and the benchmarks of its phases.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use super::{memory, synthetic};
use crate::{command, paths, tools};

/// Numbers of functions, with the most seconds that a diff may take.
const SYNTHETIC: [(usize, f64); 2] = [(4_000, 0.10), (64_000, 2.0)];
/// How many pairs of how many functions are a folder of pairs.
const FOLDER: (usize, usize) = (32, 1_000);
/// The most seconds for a real pair of up to 1.2 MB.
const REAL: f64 = 0.010;
const TIMES: usize = 5;

/// One pair.
struct Pair {
    name: String,
    orig: PathBuf,
    patched: PathBuf,
    target: f64,
}

/// The best of some runs.
#[derive(Debug, Serialize, Deserialize)]
struct Measured {
    name: String,
    seconds: f64,
    /// Peak of the process's resident memory.
    peak_kib: u64,
}

/// Measures and prints. `objects` is a folder with `NAME.ORIG.o` beside `NAME.PATCHED.o`.
pub(super) fn run(objects: Option<&Path>) -> Result<()> {
    let lp_diff = tools::lp_diff()?;
    let folder = paths::output("bench");
    fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
    let mut pairs = Vec::new();
    for (count, target) in SYNTHETIC {
        pairs.push(synthetic(&folder, count, target)?);
    }
    if let Some(objects) = objects {
        pairs.extend(real(objects)?);
    }
    let kept = folder.join("diff.json");
    let last: Vec<Measured> = fs::read(&kept)
        .ok()
        .and_then(|text| serde_json::from_slice(&text).ok())
        .unwrap_or_default();
    println!("lp-diff, best of {TIMES} (in brackets the last time)");
    let mut all = Vec::new();
    for pair in &pairs {
        let measured = measure(&lp_diff, pair, &folder)?;
        print(
            pair,
            &measured,
            last.iter().find(|old| old.name == pair.name),
        )?;
        all.push(measured);
    }
    fs::write(&kept, serde_json::to_vec_pretty(&all)?)
        .with_context(|| format!("write {}", kept.display()))?;
    folders(&lp_diff, &folder.join("pairs"))?;
    phases(objects)
}

/// Measures a folder of pairs on one thread, on two, and so on.
fn folders(lp_diff: &Path, folder: &Path) -> Result<()> {
    let (count, functions) = FOLDER;
    for (side, is_changed) in [("orig", false), ("patched", true)] {
        let side = folder.join(side);
        fs::create_dir_all(&side).with_context(|| format!("create {}", side.display()))?;
        for number in 0..count {
            let changed = is_changed.then_some(number);
            assemble(&side.join(format!("{number}.o")), functions, changed)?;
        }
    }
    let seconds = |threads: usize| -> Result<f64> {
        let mut best = f64::MAX;
        for _ in 0..TIMES {
            let start = Instant::now();
            let status = Command::new(lp_diff)
                .arg("--pairs")
                .args([folder.join("orig"), folder.join("patched")])
                .env("RAYON_NUM_THREADS", threads.to_string())
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status()
                .context("run lp-diff --pairs")?;
            ensure!(status.code() != Some(1), "lp-diff --pairs: an error");
            best = best.min(start.elapsed().as_secs_f64());
        }
        Ok(best)
    };
    let alone = seconds(1)?;
    println!("{count} pairs of {functions} functions in one call: {alone:.3} s on one thread");
    for threads in 2..=thread::available_parallelism().map_or(1, usize::from) {
        let now = seconds(threads)?;
        println!(
            "  {now:.3} s on {threads}: {:.2} times as fast",
            alone / now
        );
    }
    Ok(())
}

/// The benchmarks of the library, which say what each phase allocates besides.
fn phases(objects: Option<&Path>) -> Result<()> {
    let mut bench = tools::cargo();
    bench.args(["bench", "--quiet", "--package", "lp-diff"]);
    bench.envs(objects.map(|folder| ("LP_BENCH_PAIRS", folder)));
    command::run(&mut bench)
}

fn print(pair: &Pair, now: &Measured, last: Option<&Measured>) -> Result<()> {
    let size = |path: &Path| fs::metadata(path).map(|file| file.len() as f64);
    let (one, both) = (size(&pair.orig)?, size(&pair.orig)? + size(&pair.patched)?);
    let peak = now.peak_kib as f64 * 1024.0;
    let before = last.map_or(String::new(), |old| {
        format!(" ({:.4} s, {} KiB)", old.seconds, old.peak_kib)
    });
    println!(
        "{:<32} {:.4} s, target {:.3}; {:>7} KiB, {:.1} times one object, {:.1} times both{before}",
        pair.name,
        now.seconds,
        pair.target,
        now.peak_kib,
        peak / one,
        peak / both,
    );
    Ok(())
}

fn measure(lp_diff: &Path, pair: &Pair, folder: &Path) -> Result<Measured> {
    let mut best = Measured {
        name: pair.name.clone(),
        seconds: f64::MAX,
        peak_kib: 0,
    };
    for _ in 0..TIMES {
        let start = Instant::now();
        let mut child = Command::new(lp_diff)
            .args([&pair.orig, &pair.patched])
            .arg("-o")
            .arg(folder.join("diff.out.o"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("run lp-diff")?;
        let status = loop {
            best.peak_kib = best.peak_kib.max(memory::peak_kib(child.id()).unwrap_or(0));
            if let Some(status) = child.try_wait().context("wait for lp-diff")? {
                break status;
            }
            thread::sleep(Duration::from_micros(200));
        };
        best.seconds = best.seconds.min(start.elapsed().as_secs_f64());
        ensure!(
            status.code() != Some(1),
            "lp-diff: an error for {}",
            pair.name
        );
    }
    Ok(best)
}

fn real(folder: &Path) -> Result<Vec<Pair>> {
    let mut pairs = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("read {}", folder.display()))? {
        let orig = entry?.path();
        let file = orig.file_name().unwrap_or_default().to_string_lossy();
        let Some(name) = file.strip_suffix(".ORIG.o") else {
            continue;
        };
        let patched = folder.join(format!("{name}.PATCHED.o"));
        if patched.exists() {
            pairs.push(Pair {
                name: name.to_owned(),
                orig: orig.clone(),
                patched,
                target: REAL,
            });
        }
    }
    pairs.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(pairs)
}

fn synthetic(folder: &Path, count: usize, target: f64) -> Result<Pair> {
    let object = |version: &str| folder.join(format!("{count}.{version}.o"));
    let (orig, patched) = (object("orig"), object("patched"));
    assemble(&orig, count, None)?;
    assemble(&patched, count, Some(count / 2))?;
    Ok(Pair {
        name: format!("{count} functions"),
        orig,
        patched,
        target,
    })
}

fn assemble(object: &Path, functions: usize, changed: Option<usize>) -> Result<()> {
    let source = object.with_extension("s");
    let text = synthetic::text(functions, changed);
    fs::write(&source, text).with_context(|| source.display().to_string())?;
    command::quiet(Command::new("as").arg(&source).arg("-o").arg(object))
}

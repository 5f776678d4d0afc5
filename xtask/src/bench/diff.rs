//! `cargo xtask bench diff`: lp-diff's time and memory for synthetic pairs and real ones, beside the targets and the last run.
//!
//! A synthetic pair has N functions, each with a static variable and a static local, and one function differs. It is written as
//! assembler text, in the shape that gcc gives it: compiling 64,000 functions would take minutes.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use super::memory;
use crate::{command, paths, tools};

/// Numbers of functions, with the most seconds that a diff may take.
const SYNTHETIC: [(usize, f64); 2] = [(4_000, 0.10), (64_000, 2.0)];
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
        .with_context(|| format!("write {}", kept.display()))
}

fn print(pair: &Pair, now: &Measured, last: Option<&Measured>) -> Result<()> {
    let size = (fs::metadata(&pair.orig)?.len() + fs::metadata(&pair.patched)?.len()) as f64;
    let before = last.map_or(String::new(), |old| {
        format!(" ({:.4} s, {} KiB)", old.seconds, old.peak_kib)
    });
    println!(
        "{:<32} {:.4} s, target {:.3}; {:>7} KiB, {:.1} times both objects{before}",
        pair.name,
        now.seconds,
        pair.target,
        now.peak_kib,
        now.peak_kib as f64 * 1024.0 / size,
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
    let assemble = |version: &str, changed: Option<usize>| -> Result<PathBuf> {
        let source = folder.join(format!("{count}.{version}.s"));
        let object = source.with_extension("o");
        fs::write(&source, text(count, changed)).with_context(|| source.display().to_string())?;
        command::quiet(Command::new("as").arg(&source).arg("-o").arg(&object))?;
        Ok(object)
    };
    Ok(Pair {
        name: format!("{count} functions"),
        orig: assemble("orig", None)?,
        patched: assemble("patched", Some(count / 2))?,
        target,
    })
}

/// `static int state; int func(int x) { static int count; count += x; state += count; return state + 1; }`, N times.
fn text(count: usize, changed: Option<usize>) -> String {
    let mut text = String::from(".file \"synthetic.c\"\n");
    for n in 0..count {
        let constant = if changed == Some(n) { 2 } else { 1 };
        let code = format!(
            ".section .text.func_{n},\"ax\",@progbits\n.p2align 4\n.globl func_{n}\n.type func_{n},@function\nfunc_{n}:\n\
             1: call __fentry__\n.section __mcount_loc,\"a\",@progbits\n.quad 1b\n.previous\n\
             addl count.{n}(%rip), %edi\nmovl %edi, count.{n}(%rip)\naddl state_{n}(%rip), %edi\n\
             movl %edi, state_{n}(%rip)\nleal {constant}(%rdi), %eax\nret\n.size func_{n}, .-func_{n}\n"
        );
        text.push_str(&code);
        for name in [format!("count.{n}"), format!("state_{n}")] {
            // Writing to a String cannot fail.
            let _ = write!(
                text,
                ".section .data.{name},\"aw\",@progbits\n.balign 4\n.type {name},@object\n.size {name},4\n{name}: .long {n}\n"
            );
        }
    }
    text
}

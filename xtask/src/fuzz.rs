//! `cargo xtask fuzz`: libFuzzer on the targets of lp-diff and lp-verify, with sound files as seeds.
//!
//! Needs a nightly compiler and `cargo install cargo-fuzz`. What it finds goes to `CRATE/tests/hostile/found`, named
//! `TARGET-WHAT`, where the tests try it again for ever.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use clap::ValueEnum;

use crate::{command, paths, tools};

/// Options of `fuzz`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// What is fuzzed
    #[arg(value_enum, default_value = "diff")]
    target: Target,
    /// How long
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// End after so many executions, if that is sooner
    #[arg(long, value_name = "N")]
    runs: Option<u64>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Target {
    /// The parser
    Object,
    /// The whole differ, on two objects
    Diff,
    /// Both versions of what changed, as text and as a page
    Show,
    /// lp-verify's reader of modules, and all its rules
    Module,
    /// lp-verify's reader of the kernel's files
    Kernel,
    /// lp-verify's reader of inventories
    Inventory,
}

impl Target {
    fn name(self) -> &'static str {
        match self {
            Self::Object => "object",
            Self::Diff => "diff",
            Self::Show => "show",
            Self::Module => "module",
            Self::Kernel => "kernel",
            Self::Inventory => "inventory",
        }
    }

    /// The crate whose `fuzz` folder has it.
    fn package(self) -> &'static str {
        match self {
            Self::Object | Self::Diff | Self::Show => "lp-diff",
            Self::Module | Self::Kernel | Self::Inventory => "lp-verify",
        }
    }
}

/// Writes the seeds and fuzzes until the time is up or something is found.
pub(crate) fn run(args: &Args) -> Result<()> {
    let (target, name) = (args.target, args.target.name());
    let folder = paths::output("fuzz").join(name);
    let (seeds, corpus) = (folder.join("seeds"), folder.join("corpus"));
    for folder in [&seeds, &corpus] {
        fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
    }
    write_seeds(target, &seeds)?;
    let mut fuzz = tools::cargo();
    fuzz.current_dir(paths::workspace().join(target.package()));
    // They have no unsafe code: without a sanitizer they are tried ten times as often. Telling the fuzzer of each comparison takes half of
    // the rest, and finds less in the same time: the mutator knows the format.
    fuzz.env("RUSTUP_TOOLCHAIN", "nightly").args([
        "fuzz",
        "run",
        "--fuzz-dir",
        "fuzz",
        "--sanitizer",
        "none",
        "--no-trace-compares",
    ]);
    fuzz.arg(name).args([&corpus, &seeds]).arg("--");
    fuzz.args(["-rss_limit_mb=2048", "-timeout=10", "-max_len=32768"])
        .arg(format!("-max_total_time={}", args.seconds))
        .args(args.runs.map(|runs| format!("-runs={runs}")))
        .arg(format!("-artifact_prefix={}/", folder.display()));
    // `cargo run` says which toolchain's cargo it is; the other one must find its own.
    fuzz.env_remove("CARGO");
    command::run(&mut fuzz)
}

fn write_seeds(target: Target, folder: &Path) -> Result<()> {
    let hostile = paths::workspace().join("lp-verify/tests/hostile");
    match target {
        Target::Object | Target::Diff | Target::Show => write_cases(target, folder),
        Target::Module | Target::Kernel => {
            let source = hostile.join(target.name()).with_extension("s");
            let mut gcc = Command::new("gcc");
            gcc.arg("-c").arg(source).arg("-o").arg(folder.join("seed"));
            command::quiet(&mut gcc)
        }
        Target::Inventory => {
            let (seed, copy) = (hostile.join("inventory.jsonl"), folder.join("seed"));
            fs::copy(&seed, copy).with_context(|| format!("read {}", seed.display()))?;
            Ok(())
        }
    }
}

/// Both versions of each case that gcc compiles: the original, or the original's length and both.
fn write_cases(target: Target, folder: &Path) -> Result<()> {
    let cases = paths::workspace().join("lp-diff/tests/cases");
    // Debug information makes an object five times as large: a little tells the differ enough.
    let debug = match target {
        Target::Diff => "-g1",
        _ => "-g",
    };
    for entry in fs::read_dir(&cases).with_context(|| format!("read {}", cases.display()))? {
        let case = entry?;
        let source = case.path().join("case.c");
        let compile = |version: &str| -> Option<Vec<u8>> {
            let output = folder.with_extension("o");
            let mut gcc = Command::new("gcc");
            gcc.args([
                "-c",
                "-O2",
                "-pg",
                "-mfentry",
                "-mrecord-mcount",
                "-fno-pie",
            ])
            .args(["-ffunction-sections", "-fdata-sections", debug, version])
            .arg(&source)
            .arg("-o")
            .arg(&output);
            // What another compiler alone takes is no seed.
            command::quiet(&mut gcc).ok()?;
            fs::read(output).ok()
        };
        let (Some(orig), Some(patched)) = (compile("-DORIG"), compile("-DPATCHED")) else {
            continue;
        };
        let seed = match target {
            Target::Object => orig,
            _ => [&(orig.len() as u32).to_le_bytes()[..], &orig, &patched].concat(),
        };
        let path = folder.join(case.file_name());
        fs::write(&path, seed).with_context(|| format!("write {}", path.display()))?;
    }
    Ok(())
}

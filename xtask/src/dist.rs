//! `cargo xtask dist`: the tools as a Debian package, and a try of it where nothing else is.
//!
//! What goes into the package is said in `lp-build/Cargo.toml`; completions and man pages are written by the programs
//! themselves. cargo-deb makes the package.

mod chroot;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{command, paths, tools};

const CARGO_DEB: &str = "3.8.0";
const PROGRAMS: [&str; 4] = ["lp-build", "lp-diff", "lp-verify", "lp-ctl"];
const SHELLS: [&str; 3] = ["bash", "zsh", "fish"];

/// Options of `dist`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Install the package in a fresh Debian in a folder, use it there and remove it (needs root)
    #[arg(long = "try")]
    attempt: bool,
}

/// Makes the package, and tries it if asked.
pub(crate) fn run(args: &Args) -> Result<()> {
    let programs = build()?;
    generate(&programs)?;
    let package = package()?;
    let size = fs::metadata(&package)?.len() >> 10;
    println!("{} ({size} KiB)", package.display());
    if args.attempt {
        chroot::attempt(&package)?;
    }
    Ok(())
}

/// Builds the programs; the folder that they are in.
fn build() -> Result<PathBuf> {
    let mut build = tools::cargo();
    build.args(["build", "--release", "--quiet"]);
    build.args(PROGRAMS.iter().flat_map(|program| ["--bin", program]));
    command::run(&mut build)?;
    Ok(paths::cargo_output().join("release"))
}

/// Completions and man pages, in a folder each.
fn generate(programs: &Path) -> Result<()> {
    for kind in SHELLS.iter().chain(&["man"]) {
        let folder = paths::output("dist").join(kind);
        if folder.is_dir() {
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir_all(&folder).with_context(|| format!("make {}", folder.display()))?;
        for program in PROGRAMS {
            let mut generate = Command::new(programs.join(program));
            command::quiet(generate.args(["--generate", kind]).arg(&folder))?;
        }
    }
    Ok(())
}

/// Makes the package of what was built; its file.
fn package() -> Result<PathBuf> {
    let root = paths::output("tools");
    let cargo_deb = root.join("bin/cargo-deb");
    if !is_current(&cargo_deb) {
        println!("installing cargo-deb {CARGO_DEB}, once");
        let mut install = tools::cargo();
        install.args([
            "install",
            "--quiet",
            "--locked",
            "cargo-deb",
            "--version",
            CARGO_DEB,
            "--root",
        ]);
        command::run(install.arg(&root))?;
    }
    let folder = paths::output("dist");
    let mut deb = Command::new(cargo_deb);
    deb.current_dir(paths::workspace())
        .args(["--package", "lp-build", "--no-build", "--output"])
        .arg(&folder);
    let text = command::capture(&mut deb)?;
    let file = text.lines().rfind(|line| line.ends_with(".deb"));
    match file {
        Some(file) => Ok(PathBuf::from(file.trim())),
        None => bail!("cargo-deb did not say which package it made:\n{text}"),
    }
}

fn is_current(cargo_deb: &Path) -> bool {
    let version = command::capture(Command::new(cargo_deb).arg("--version"));
    version.is_ok_and(|version| version.trim().ends_with(CARGO_DEB))
}

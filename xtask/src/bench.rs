//! `cargo xtask bench build`: how long lp-build takes for one file, cold and warm, for fifty, and for a header, how much
//! memory, and how long the kernel takes to load and to switch; beside the last run.
//! `cargo xtask bench diff`: the same for lp-diff. `cargo xtask bench fleet`: the same for lp-verify and a million machines.
//! `cargo xtask bench process`: the same for patching a process.
//!
//! A benchmark and not a timed test: a limit in a test fails on a busy machine and hides what crept in on a fast one.

mod build;
mod change;
mod diff;
mod fleet;
mod memory;
mod process;
#[path = "../../lp-diff/benches/synthetic/mod.rs"]
mod synthetic;
mod table;

use std::path::PathBuf;

use anyhow::Result;
use clap::Subcommand;

/// Options of `bench`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// lp-build for one file, with an empty cache and warm, for fifty files and for a header; loading in a virtual machine
    Build {
        /// The case whose patch is built
        #[arg(long, default_value = "meminfo-string")]
        case: String,
        /// How often with a warm cache
        #[arg(long, default_value_t = 3)]
        warm: usize,
    },
    /// lp-diff for synthetic pairs, and for real ones
    Diff {
        /// A folder with NAME.ORIG.o beside NAME.PATCHED.o
        #[arg(long, value_name = "DIR")]
        objects: Option<PathBuf>,
    },
    /// lp-verify for an inventory of a million machines
    Fleet,
    /// Patching a process: how long it stands still, how long it takes in all, and what a patched call costs
    Process,
}

/// Measures and prints.
pub(crate) fn run(args: &Args) -> Result<()> {
    match &args.what {
        What::Build { case, warm } => build::run(case, *warm),
        What::Diff { objects } => diff::run(objects.as_deref()),
        What::Fleet => fleet::run(),
        What::Process => process::run(),
    }
}

//! `cargo xtask test`, also called `ci`: everything that can show a mistake, cheapest first.
//!
//! A badly formatted line must not cost a boot. What CI runs is what a user runs: there is one command.

use anyhow::Result;

use crate::{command, e2e, tidy, tools, vm};

/// Options of `test`.
#[derive(Debug, Clone, clap::Args)]
#[group(skip)]
pub(crate) struct Args {
    #[command(flatten)]
    vm: vm::Args,
}

/// Runs all of it.
pub(crate) fn run(args: &Args) -> Result<()> {
    command::run(tools::cargo().args(["fmt", "--all", "--check"]))?;
    tidy::run()?;
    let clippy = [
        "clippy",
        "--quiet",
        "--workspace",
        "--all-targets",
        "--",
        "-D",
        "warnings",
    ];
    command::run(tools::cargo().args(clippy))?;
    command::run(tools::cargo().args(["test", "--workspace"]))?;
    e2e::run(&e2e::Args::all(args.vm.clone()))?;
    println!("test: ok");
    Ok(())
}

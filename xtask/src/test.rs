//! `cargo xtask test`: everything that can show a mistake, quickest first.

use anyhow::Result;

use crate::{command, e2e, tools, vm};

/// Options of `test`.
#[derive(Debug, Clone, clap::Args)]
#[group(skip)]
pub(crate) struct Args {
    #[command(flatten)]
    vm: vm::Args,
}

/// Runs all tests.
pub(crate) fn run(args: &Args) -> Result<()> {
    command::run(tools::cargo().args(["test", "--workspace", "--quiet"]))?;
    e2e::run(&e2e::Args::all(args.vm.clone()))?;
    println!("test: ok");
    Ok(())
}

//! `cargo xtask test`, also called `ci`: everything that can show a mistake, cheapest first.
//!
//! A badly formatted line must not cost a boot. What CI runs is what a user runs: there is one command.

use anyhow::Result;

use crate::{command, demo, differential, e2e, kernels, system, tidy, tools, vm};

/// Options of `test`.
#[derive(Debug, Clone, clap::Args)]
#[group(skip)]
pub(crate) struct Args {
    /// The virtual machine's cases on every pinned kernel, not on the first alone
    #[arg(long)]
    all_kernels: bool,
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
    system::ensure_packages()?;
    // A compiler that is missing after all is a failure of lp-diff's corpus, not a line of its output.
    let mut test = tools::cargo();
    test.env("LP_ALL_COMPILERS", "1").env("ORACLE_PAIRS", "300");
    command::run(test.args(["test", "--workspace"]))?;
    demo::process::run()?;
    e2e::run(&e2e::Args::all(kernels::DEFAULT, args.vm.clone()))?;
    if args.all_kernels {
        for kernel in kernels::names()
            .into_iter()
            .filter(|name| name != kernels::DEFAULT)
        {
            e2e::run(&e2e::Args::all(&kernel, args.vm.clone()))?;
        }
    }
    differential::run(&differential::Args::fixed(args.vm.clone()))?;
    println!("test: ok");
    Ok(())
}

//! `cargo xtask ci`: what CI runs, cheapest first, so that a badly formatted line does not cost a boot.

use anyhow::Result;

use crate::{command, test, tidy, tools};

/// Options of `ci`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    test: test::Args,
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
    test::run(&args.test)?;
    println!("ci: ok");
    Ok(())
}

//! `cargo xtask test`, also called `ci`: everything that can show a mistake, cheapest first.
//!
//! A badly formatted line must not cost a boot. What CI runs is what a user runs: there is one command.

use std::thread::{self, ScopedJoinHandle};
use std::time::Instant;

use anyhow::{Result, bail};

use crate::{command, demo, differential, e2e, kernels, system, tidy, tools, vm};

const CLIPPY: [&str; 7] = [
    "clippy",
    "--quiet",
    "--workspace",
    "--all-targets",
    "--",
    "-D",
    "warnings",
];

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
    tools::build_in(tools::Profile::Dev);
    stage("form", || {
        command::run(tools::cargo().args(["fmt", "--all", "--check"]))?;
        tidy::run()
    })?;
    system::ensure_packages_of_tests()?;
    thread::scope(|scope| {
        // Fetched and unpacked while the compiler works.
        let kernel = scope.spawn(|| {
            stage("fetching the kernel", || {
                kernels::ensure(kernels::DEFAULT).map(drop)
            })
        });
        let outside = outside_machines();
        outside.and(joined(kernel))
    })?;
    in_virtual_machines(args)?;
    let others = kernels::names()
        .into_iter()
        .filter(|name| args.all_kernels && name != kernels::DEFAULT);
    for kernel in others {
        stage(&format!("the cases on {kernel}"), || {
            e2e::run(&e2e::Args::all(&kernel, args.vm.clone()))
        })?;
    }
    println!("test: ok");
    Ok(())
}

fn outside_machines() -> Result<()> {
    stage("clippy", || command::run(tools::cargo().args(CLIPPY)))?;
    let mut test = tools::cargo();
    // A compiler that is missing after all is a failure of lp-diff's corpus, not a line of its output.
    test.env("LP_ALL_COMPILERS", "1").env("ORACLE_PAIRS", "300");
    test.args(["test", "--workspace"]);
    stage("the workspace's tests", || command::run(&mut test))?;
    stage("a process", demo::process::run)
}

/// Side by side, as each machine keeps one processor busy: the model's clock is its own, and no slower machine can disturb it.
fn in_virtual_machines(args: &Args) -> Result<()> {
    thread::scope(|scope| {
        let model = scope.spawn(|| {
            stage("the model against the kernel", || {
                differential::run(&differential::Args::fixed(args.vm.clone()))
            })
        });
        let cases = stage("the cases in the virtual machine", || {
            e2e::run(&e2e::Args::all(kernels::DEFAULT, args.vm.clone()))
        });
        cases.and(joined(model))
    })
}

/// What became of a part that ran beside another.
fn joined(part: ScopedJoinHandle<'_, Result<()>>) -> Result<()> {
    let result = part.join();
    result.unwrap_or_else(|_| bail!("a part of the test panicked"))
}

/// Runs a part and says how long it took.
fn stage(name: &str, work: impl FnOnce() -> Result<()>) -> Result<()> {
    let start = Instant::now();
    work()?;
    println!("test: {name}: {:.0} s", start.elapsed().as_secs_f64());
    Ok(())
}

//! `cargo xtask`: the project's chores, from fetching kernels to CI.
//!
//! Architecture invariant: this depends on no `lp-*` crate. It runs the tools as a user would, as programs, so that what the
//! demo and the virtual machine show is what a user gets.

mod bench;
mod case;
mod command;
mod demo;
mod differential;
mod dist;
mod e2e;
mod fuzz;
mod kbuild;
mod kernels;
mod patch_build;
mod patched_tree;
mod paths;
mod real;
mod selftests;
mod sequence;
mod smoke;
mod sweep;
mod system;
mod test;
mod tidy;
mod tools;
mod vm;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

/// The project's chores
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// From two kernel source trees to a livepatch in a stock kernel, shown step by step
    Demo(demo::Args),
    /// Everything, as CI runs it: fmt, tidy, clippy, the workspace's tests, the virtual machine's cases
    #[command(visible_alias = "ci")]
    Test(test::Args),
    /// The cases in the virtual machine alone
    E2e(e2e::Args),
    /// Random livepatch operations in our model and in the kernel must end the same
    Differential(differential::Args),
    /// The kernel's own livepatch selftests, as a check of the virtual machine itself
    Selftests(selftests::Args),
    /// Load and unload given patch modules in the virtual machine
    Smoke(smoke::Args),
    /// Every source file that a kernel update changes, as a patch of its own in the virtual machine
    Sweep(sweep::Args),
    /// Real programs, patched and reverted under load
    Real(real::Args),
    /// Fetch and unpack the pinned kernels into target/kernels
    Kernels(kernels::Args),
    /// Measure, beside the last run's numbers
    Bench(bench::Args),
    /// Try lp-diff and lp-verify with damaged files, for as long as you like
    Fuzz(fuzz::Args),
    /// The tools as a Debian package
    Dist(dist::Args),
    /// Check the rules for our sources that no compiler checks
    Tidy,
}

fn main() -> ExitCode {
    match run(Args::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<()> {
    match command {
        Command::Demo(args) => demo::run(&args),
        Command::Test(args) => test::run(&args),
        Command::E2e(args) => e2e::run(&args),
        Command::Differential(args) => differential::run(&args),
        Command::Selftests(args) => selftests::run(&args),
        Command::Smoke(args) => smoke::run(&args),
        Command::Sweep(args) => sweep::run(&args),
        Command::Real(args) => real::run(&args),
        Command::Kernels(args) => kernels::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Fuzz(args) => fuzz::run(&args),
        Command::Dist(args) => dist::run(&args),
        Command::Tidy => tidy::run(),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        super::Args::command().debug_assert();
    }
}

//! `cargo xtask demo`: the whole road, for the eyes: a stock kernel, two trees, one command, and the fix runs.

pub(crate) mod process;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result};

use crate::case::{self, Case};
use crate::kernels::{self, Installed};
use crate::patch_build::{self, Order, PatchBuild, Trees};
use crate::vm::plan::Kind;
use crate::{command, e2e, patched_tree, paths, system, tools, vm};

/// The example that is shown.
const EXAMPLE: &str = "meminfo-string";

/// Options of `demo`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The pinned kernel to show it on
    #[arg(long, value_name = "NAME", default_value = kernels::DEFAULT)]
    kernel: String,
    /// Show it on a running process instead: no virtual machine, no root
    #[arg(long, conflicts_with = "kernel")]
    process: bool,
    #[command(flatten)]
    vm: vm::Args,
}

/// Shows the example.
pub(crate) fn run(args: &Args) -> Result<()> {
    if args.process {
        return process::run();
    }
    let start = Instant::now();
    let cases = case::find(EXAMPLE)?;
    let example = cases.iter().find(|case| case.name == EXAMPLE);
    let example = example.with_context(|| format!("there is no examples/{EXAMPLE}/guest.toml"))?;

    title("the stock kernel and its source");
    system::ensure_packages()?;
    let kernel = kernels::ensure(&args.kernel)?;
    println!(
        "kernel {}, source {}",
        kernel.release,
        patch_build::relative(&kernel.source).display()
    );

    title("the second tree, with the fix");
    let patched = paths::output("demo").join(format!("linux-{}-patched", kernel.version));
    patched_tree::ensure(&kernel.source, &example.fix(), &patched)?;
    print!("{}", changed_lines(&example.fix())?);

    title("the patch module, from the two trees");
    let patch = build(example, &kernel, &patched)?;

    title("the stock kernel, in a virtual machine");
    let job = e2e::job(example, Kind::Demo, [(EXAMPLE.to_owned(), patch)].into());
    vm::run("demo", &kernel, vec![job], &args.vm.verbosely())?.into_result()?;
    println!("\ndone in {:.0} s", start.elapsed().as_secs_f64());
    println!("demo: ok");
    Ok(())
}

fn build(example: &Case, kernel: &Installed, patched: &Path) -> Result<PathBuf> {
    let lp_build = tools::lp_build()?;
    let output = Order::of(example, paths::output("demo").join(&kernel.release))?.output;
    fs::create_dir_all(output.parent().unwrap_or(&output)).context("create the demo's folder")?;
    let build = PatchBuild {
        lp_build: &lp_build,
        kernel,
    };
    let mut command = build.command(
        &Trees::Two(patched),
        &example.description(),
        &output,
        &patch_build::cache(),
    );
    println!("$ {}", command::line(&command));
    command::run(&mut command)?;
    Ok(output)
}

fn title(text: &str) {
    println!("\n== {text}");
}

/// The lines of a patch that say what changes where.
fn changed_lines(patch: &Path) -> Result<String> {
    let text = fs::read_to_string(patch).with_context(|| format!("read {}", patch.display()))?;
    let from_first_hunk = text.lines().skip_while(|line| !line.starts_with("--- "));
    Ok(from_first_hunk
        .filter(|line| line.starts_with(['+', '-']))
        .map(|line| format!("  {line}\n"))
        .collect())
}

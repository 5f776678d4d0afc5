//! `cargo xtask differential`: random sequences of livepatch operations, in our model and in the kernel, must end the same.
//!
//! All is decided in the guest (`tests/src/differential`): here its modules are built, once, and a machine is booted whose clock
//! jumps while it sleeps. Sequences that failed once are kept in `tests/differential/cases`, and are played first.

mod pool;
mod vmlinux;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::vm::plan::{Differential, KeptCase};
use crate::{kernels, paths, system, vm};

/// What CI plays.
const SEQUENCES: u64 = 200;

/// Options of `differential`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How many random sequences
    #[arg(long, default_value_t = SEQUENCES)]
    sequences: u64,
    /// Which ones
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The number of the first, to go on where another run ended
    #[arg(long, default_value_t = 0)]
    first: u64,
    /// Play these cases alone: files with an operation a line, as a failure is printed
    #[arg(long, value_name = "FILE.case", num_args = 1..)]
    replay: Vec<PathBuf>,
    /// The pinned kernel to boot
    #[arg(long, value_name = "NAME", default_value = kernels::DEFAULT)]
    kernel: String,
    #[command(flatten)]
    vm: vm::Args,
}

impl Args {
    /// What CI plays, always the same.
    pub(crate) fn fixed(vm: vm::Args) -> Self {
        Self {
            sequences: SEQUENCES,
            seed: 1,
            first: 0,
            replay: Vec::new(),
            kernel: kernels::DEFAULT.into(),
            vm,
        }
    }
}

/// Plays sequences.
pub(crate) fn run(args: &Args) -> Result<()> {
    system::ensure_packages()?;
    let kernel = kernels::ensure(&args.kernel)?;
    let files = if args.replay.is_empty() {
        kept()?
    } else {
        args.replay.clone()
    };
    let job = Differential {
        name: "differential".into(),
        modules: pool::ensure(&kernel)?,
        vmlinux: vmlinux::ensure(&kernel)?,
        seed: args.seed,
        first: args.first,
        sequences: if args.replay.is_empty() {
            args.sequences
        } else {
            0
        },
        cases: files.iter().map(|file| case(file)).collect::<Result<_>>()?,
    };
    vm::run_differential(&kernel, &job, &args.vm)?.into_result()
}

fn kept() -> Result<Vec<PathBuf>> {
    let folder = paths::workspace().join("tests/differential/cases");
    let entries = fs::read_dir(&folder).with_context(|| format!("read {}", folder.display()))?;
    let files = entries.map(|entry| Ok(entry?.path()));
    let mut files: Vec<PathBuf> = files.collect::<Result<_>>()?;
    files.retain(|file| {
        file.extension()
            .is_some_and(|extension| extension == "case")
    });
    files.sort();
    Ok(files)
}

fn case(file: &Path) -> Result<KeptCase> {
    let text = fs::read_to_string(file).with_context(|| format!("read {}", file.display()))?;
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    Ok(KeptCase {
        name: name.into_owned(),
        text,
    })
}

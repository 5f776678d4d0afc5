//! `cargo xtask sweep`: every source file that a real kernel update changes, as a livepatch of its own.
//!
//! Each file is built against the stock kernel of the older version, with the headers that it needs; what could be built is loaded
//! in the virtual machine, many in one boot, while the guest works. The tempting wrong way would be whole commits: Debian's updates
//! carry no history, and one file is what shows where a tool fails.
//!
//! Everything is below `target/sweep/FROM_TO`: `patches`, `reports` of lp-build, `modules`, a line of `files.jsonl` for each file as
//! soon as it is done, and at the end `table.txt` and `results.json`.

mod build;
mod changes;
mod edits;
mod fix;
mod hunks;
mod includes;
mod items;
mod learn;
mod missed;
mod record;
mod store;
mod table;

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Result, bail};

use crate::kernels::{self, Installed};
use crate::vm::plan::Job;
use crate::{paths, system, tools, vm};
use build::Builder;
use changes::Changes;
use record::{Class, Journal, Record};
use store::Store;

const EXAMPLES: &str = "\
Examples:
  Thirty of the files that the update changes, always the same ones for a seed:
    cargo xtask sweep --from 6.1.187-1 --to 6.1.190-1 --sample 30 --seed 1

  Go on where a killed run stopped, and try again what was refused or failed:
    cargo xtask sweep --from 6.1.187-1 --to 6.1.190-1 --resume

  One file again, after a change to the tools:
    cargo xtask sweep --from 6.1.187-1 --to 6.1.190-1 net/sched/cls_u32.c";

/// Options of `sweep`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Debian's version of the kernel that runs
    #[arg(long, value_name = "VERSION")]
    from: String,
    /// Debian's version of the source with the changes
    #[arg(long, value_name = "VERSION")]
    to: String,
    /// Which of Debian's kernels of that version
    #[arg(long, default_value = "cloud-amd64")]
    flavour: String,
    /// So many files, chosen by the seed [default: all]
    #[arg(long, value_name = "N")]
    sample: Option<usize>,
    /// Chooses the sample
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,
    /// Keep what an earlier run built and loaded, and what it found unchanged
    #[arg(long)]
    resume: bool,
    /// Build only
    #[arg(long)]
    no_load: bool,
    /// Seconds that lp-build may take for one file
    #[arg(long, value_name = "SECONDS", default_value_t = 900)]
    patience: u64,
    /// So many patches in one boot
    #[arg(long, value_name = "N", default_value_t = 40)]
    boot: usize,
    /// These files alone
    #[arg(value_name = "FILE", conflicts_with = "sample")]
    files: Vec<String>,
    #[command(flatten)]
    vm: vm::Args,
}

/// Builds, loads, prints. A file that failed is an error; one that was refused is for people to judge.
pub(crate) fn run(args: &Args) -> Result<()> {
    system::ensure_packages()?;
    let kernel = kernels::ensure_version(&args.from, &args.flavour)?;
    let later = kernels::ensure_source(&args.to)?;
    let changes = changes::between(&kernel.source, &later)?;
    let files = chosen(&changes, args)?;
    println!(
        "{} of {} source files and {} headers that differ between {} and {}, for {}",
        files.len(),
        changes.sources.len(),
        changes.headers.len(),
        args.from,
        args.to,
        kernel.release
    );
    let folder = paths::output("sweep").join(format!("{}_{}", args.from, args.to));
    let mut journal = Journal::open(&folder, args.resume)?;
    let store = Store::read(&changes)?;
    let builder = Builder {
        lp_build: tools::lp_build()?,
        kernel: &kernel,
        store: &store,
        folder: folder.clone(),
        patience: args.patience,
    };
    let mut records = Vec::new();
    for (index, file) in files.iter().enumerate() {
        let record = match journal.known(file) {
            Some(known) => known,
            None => journal.keep(builder.build(file)?)?,
        };
        println!("{:>4} {}", index + 1, table::line(&record));
        records.push(record);
    }
    if !args.no_load {
        load(&kernel, &mut records, &mut journal, args)?;
    }
    table::write(&folder, &records)?;
    let failed = records
        .iter()
        .filter(|record| record.class == Class::Failed);
    match failed.count() {
        0 => Ok(()),
        count => bail!("{count} of {} files failed", records.len()),
    }
}

fn chosen(changes: &Changes, args: &Args) -> Result<Vec<String>> {
    if args.files.is_empty() {
        let count = args.sample.unwrap_or(usize::MAX);
        return Ok(changes.sample(count, args.seed));
    }
    let unknown = args
        .files
        .iter()
        .find(|file| !changes.sources.contains(*file));
    match unknown {
        Some(file) => bail!(
            "{file} does not differ between {} and {}",
            args.from,
            args.to
        ),
        None => Ok(args.files.clone()),
    }
}

/// Loads what was built, a boot at a time.
fn load(
    kernel: &Installed,
    records: &mut [Record],
    journal: &mut Journal,
    args: &Args,
) -> Result<()> {
    let mut built: Vec<&mut Record> = records
        .iter_mut()
        .filter(|record| record.class == Class::Built)
        .collect();
    for (number, batch) in built.chunks_mut(args.boot.max(1)).enumerate() {
        let modules: BTreeMap<String, PathBuf> = batch
            .iter()
            .filter_map(|record| Some((record.name(), record.module.clone()?)))
            .collect();
        let jobs = batch.iter().filter_map(|record| {
            let module = modules.get(&record.name())?;
            Some(Job::sweep(record.name(), module, record.modules()))
        });
        let name = format!("sweep-{}-{}", kernel.release, number + 1);
        let outcome = vm::run(&name, kernel, jobs.collect(), &args.vm)?;
        for record in batch.iter_mut() {
            record.was_loaded(outcome.detail(&record.name()));
            journal.keep(record.clone())?;
        }
    }
    Ok(())
}

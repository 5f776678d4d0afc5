//! The virtual machine: a stock kernel, an initramfs of our own, jobs in, verdicts out.
//!
//! QEMU emulates (TCG) unless `--kvm` is given: nested virtualisation that opens and then hangs is common in CI.

pub(crate) mod arch;
mod cpio;
mod image;
mod modules;
pub(crate) mod plan;
mod qemu;
mod verdict;
mod watch;

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::kernels::Installed;
use crate::{paths, tools};
use arch::Arch;
use plan::{Differential, Job, Selftests};
use qemu::{Clock, Machine};

pub(crate) use verdict::{Detail, Outcome};

/// What the kernel's selftests may take: every program they start is emulated, and they start thousands.
const SELFTESTS_SECONDS: u64 = 1200;

/// Options that all commands with a virtual machine have.
#[derive(Debug, Clone, Default, clap::Args)]
#[group(skip)]
pub(crate) struct Args {
    /// Use /dev/kvm instead of emulation
    #[arg(long)]
    kvm: bool,
    /// Show every step of every job
    #[arg(long, short)]
    verbose: bool,
    /// Show the kernel's console
    #[arg(long)]
    console: bool,
    /// Wall-clock limit of the whole boot in seconds [default: 60 and 60 for each job]
    #[arg(long, value_name = "SECONDS")]
    limit: Option<u64>,
}

impl Args {
    /// The same, with every step shown.
    pub(crate) fn verbosely(&self) -> Self {
        Self {
            verbose: true,
            ..self.clone()
        }
    }
}

/// Has a kernel do the jobs, prints their verdicts as they come. A job that breaks the machine fails alone: those after it get
/// another boot.
pub(crate) fn run(
    name: &str,
    kernel: &Installed,
    mut jobs: Vec<Job>,
    args: &Args,
) -> Result<Outcome> {
    let arch = Arch::host()?;
    let guest = tools::guest()?;
    let folder = paths::output("vm");
    fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
    let mut outcome = Outcome::new();
    let mut boots = 0;
    while !jobs.is_empty() {
        boots += 1;
        let name = if boots == 1 {
            name.to_owned()
        } else {
            format!("{name}-{boots}")
        };
        let initrd = folder.join(format!("{name}.cpio"));
        image::write(&initrd, kernel, &guest, &jobs)?;
        outcome.reopen(jobs.iter().map(|job| job.name.clone()).collect());
        let machine = machine(
            &arch,
            kernel,
            initrd,
            folder.join(format!("{name}.console")),
            jobs.len(),
            args,
        );
        let left = boot(&machine, &mut outcome, args)?;
        jobs.retain(|job| left.contains(&job.name));
    }
    Ok(outcome)
}

/// Has a kernel do the differential test, in one boot.
pub(crate) fn run_differential(
    kernel: &Installed,
    job: &Differential,
    args: &Args,
) -> Result<Outcome> {
    let arch = Arch::host()?;
    let guest = tools::guest()?;
    let folder = paths::output("vm");
    fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
    let initrd = folder.join(format!("{}.cpio", job.name));
    image::write_differential(&initrd, &guest, job)?;
    let console = folder.join(format!("{}.console", job.name));
    let mut machine = machine(&arch, kernel, initrd, console, 1, args);
    machine.clock = Clock::Jumping;
    machine.limit = Duration::from_secs(args.limit.unwrap_or(120 + job.sequences));
    let mut outcome = Outcome::new();
    outcome.reopen(vec![job.name.clone()]);
    boot(&machine, &mut outcome, args)?;
    Ok(outcome)
}

/// Has a kernel do its own selftests, in one boot.
pub(crate) fn run_selftests(kernel: &Installed, job: &Selftests, args: &Args) -> Result<Outcome> {
    let arch = Arch::host()?;
    let guest = tools::guest()?;
    let folder = paths::output("vm");
    fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
    let initrd = folder.join("selftests.cpio");
    image::write_selftests(&initrd, &guest, job)?;
    let console = folder.join("selftests.console");
    let mut machine = machine(&arch, kernel, initrd, console, job.scripts.len(), args);
    machine.limit = Duration::from_secs(args.limit.unwrap_or(SELFTESTS_SECONDS));
    let mut outcome = Outcome::new();
    outcome.reopen(job.scripts.clone());
    boot(&machine, &mut outcome, args)?;
    Ok(outcome)
}

fn machine(
    arch: &Arch,
    kernel: &Installed,
    initrd: PathBuf,
    console_log: PathBuf,
    jobs: usize,
    args: &Args,
) -> Machine {
    let image = format!("{}-{}", arch.image_stem, kernel.release);
    println!(
        "booting {} with {jobs} job{}",
        kernel.release,
        if jobs == 1 { "" } else { "s" }
    );
    Machine {
        arch: arch.clone(),
        kernel: kernel.sysroot.join("boot").join(image),
        release: kernel.release.clone(),
        initrd,
        console_log,
        show_console: args.console,
        kvm: args.kvm,
        clock: Clock::Wall,
        limit: Duration::from_secs(args.limit.unwrap_or(60 + 60 * jobs as u64)),
    }
}

/// One boot; the names of the jobs that are left.
fn boot(machine: &Machine, outcome: &mut Outcome, args: &Args) -> Result<Vec<String>> {
    let start = Instant::now();
    let end = machine.run(&mut |line| {
        let important = outcome.take(line);
        if important || args.verbose {
            println!("{}", line.strip_prefix("VERDICT ").unwrap_or(line));
        }
    })?;
    println!("the machine ran for {:.1} s", start.elapsed().as_secs_f64());
    Ok(outcome.end(&end))
}

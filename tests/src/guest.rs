//! The guest: mounts what is needed, does the jobs of its plan one after another, gives a verdict for each, powers off.

pub mod cycle;
pub mod demo;
pub mod differential;
pub mod kernel_log;
pub mod load_fails;
pub mod plan;
pub mod refusals;
pub mod report;
pub mod selftest;
pub mod sequence;
pub mod shell;
pub mod smoke;
pub mod steps;
pub mod sweep;
pub mod system;
pub mod workload;

use std::path::Path;
use std::time::Instant;

use anyhow::Result;

use plan::{Job, Plan};
use report::Report;

/// Where the host puts the plan.
const PLAN: &str = "/plan.json";

/// All of the guest's life between boot and power-off.
pub fn run() -> Result<()> {
    system::mount_all()?;
    let mut report = Report::open()?;
    let done = system::install_busybox().and_then(|()| jobs(&mut report));
    if let Err(error) = &done {
        report.line(&format!("ERROR {error:#}"));
    }
    report.finish();
    done
}

fn jobs(report: &mut Report) -> Result<()> {
    let plan = Plan::read(Path::new(PLAN))?;
    for job in &plan.jobs {
        let start = Instant::now();
        let verdict = job_verdict(job, report);
        report.verdict(job.name(), &verdict, start.elapsed());
    }
    report.line(&format!("DONE {}", plan.jobs.len()));
    Ok(())
}

/// Does one job; the detail of a verdict, or why it failed.
fn job_verdict(job: &Job, report: &mut Report) -> Result<String> {
    match job {
        Job::Cycle(case) => cycle::run(case, report),
        Job::Demo(case) => demo::run(case, report),
        Job::Smoke(case) => smoke::run(case, report),
        Job::Sweep(case) => sweep::run(case, report),
        Job::Refusals(case) => refusals::run(case, report),
        Job::LoadFails(case) => load_fails::run(case, report),
        Job::Steps(case) => sequence::run(case, report),
        Job::Differential(job) => differential::run(job, report),
        Job::Selftest(job) => selftest::run(job, report),
    }
}

//! The life of a patch: the original code, the patch, the original again, and once more, with nothing left behind.
//!
//! Loading a second time is not repetition: it is what finds a patch that changed data for good, or that the kernel did not let go.

use anyhow::{Context, Result};
use lp_runtime::kernel::Host;

use super::kernel_log::Watch;
use super::plan::Case;
use super::report::Report;
use super::steps::{self, Code, shown};

/// Runs a case through its cycle; the timings.
pub fn run(case: &Case, report: &mut Report) -> Result<String> {
    let host = Host::running();
    let mut watch = Watch::start(&host);
    let result = cycle(&host, case, report);
    steps::clean(&host, case);
    let result = result?;
    watch.check(&case.allow_log)?;
    Ok(result)
}

fn cycle(host: &Host, case: &Case, report: &mut Report) -> Result<String> {
    steps::prepare(case)?;
    steps::probe_all(case, Code::Original, "before", report)?;
    let first = steps::load(host, case, report)?;
    steps::probe_all(case, Code::Patched, "patched", report)?;
    steps::disable(host, case, report)?;
    steps::probe_all(case, Code::Original, "disabled", report)?;
    steps::unload(host, case, report)?;
    steps::load(host, case, report).context("the second time")?;
    steps::probe_all(case, Code::Patched, "patched again", report)?;
    steps::disable(host, case, report)?;
    steps::unload(host, case, report)?;
    steps::probe_all(case, Code::Original, "unloaded", report)?;
    Ok(format!(
        "load {}, transition {}",
        shown(first.load),
        shown(first.transition)
    ))
}

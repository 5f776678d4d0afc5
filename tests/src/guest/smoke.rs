//! Whether the kernel takes a module and gives it back, for patches that come without a probe.

use anyhow::Result;
use lp_runtime::kernel::Host;

use super::kernel_log::Watch;
use super::plan::Case;
use super::report::Report;
use super::steps::{self, shown};

/// Loads, disables and unloads a patch; the timings.
pub fn run(case: &Case, report: &mut Report) -> Result<String> {
    let host = Host::running();
    let mut watch = Watch::start(&host);
    let result = load_and_unload(&host, case, report);
    steps::clean(&host, case);
    let result = result?;
    watch.check(&case.allow_log)?;
    Ok(result)
}

fn load_and_unload(host: &Host, case: &Case, report: &mut Report) -> Result<String> {
    steps::prepare(case)?;
    let loaded = steps::load(host, case, report)?;
    steps::disable(host, case, report)?;
    steps::unload(host, case, report)?;
    Ok(format!(
        "load {}, transition {}",
        shown(loaded.load),
        shown(loaded.transition)
    ))
}

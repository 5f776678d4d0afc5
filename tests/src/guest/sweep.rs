//! One patch of many: the kernel takes it while it works, works under it, and gives it back.
//!
//! Nothing here shows that the patch does what it is for; a real update says nothing of how to see that. What shows is a patch that
//! breaks what it touches: the work goes on through loading, the transition and disabling, each of which must not be noticed.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use lp_runtime::kernel::{self, Host};

use super::kernel_log::Watch;
use super::plan::Case;
use super::report::Report;
use super::steps::{self, explained};
use super::system;
use super::workload::Running;

/// Loads, works, disables and unloads; the times in milliseconds, which the host reads.
pub fn run(case: &Case, report: &mut Report) -> Result<String> {
    let host = Host::running();
    let absent = insert(&case.insmod);
    let mut watch = Watch::start(&host);
    let result = live(&host, case, report);
    steps::clean(&host, case);
    let result = result?;
    watch.check(&case.allow_log)?;
    Ok(match absent {
        Some(why) => format!("{result}; without its module: {why}"),
        None => result,
    })
}

/// Inserts the modules that the patch is for. One that this machine has no use for (`ENODEV`) is no failure of the patch, which then
/// waits for it.
fn insert(modules: &[impl AsRef<Path>]) -> Option<String> {
    let inserted = modules
        .iter()
        .try_for_each(|module| system::insmod(module.as_ref()));
    inserted.err().map(|error| format!("{error:#}"))
}

fn live(host: &Host, case: &Case, report: &mut Report) -> Result<String> {
    let mut work = Running::start()?;
    work.rounds(1).context("before the patch")?;
    let loaded = kernel::load(host, case.patch(), &steps::wait(), &mut |_| {});
    let loaded = loaded.map_err(explained)?;
    let patch = kernel::patch(host, &loaded.name)?;
    let patch = patch.context("loaded, but not in /sys/kernel/livepatch")?;
    ensure!(
        patch.enabled && !patch.transition,
        "loaded, but the kernel says {patch:?}"
    );
    work.rounds(2).context("under the patch")?;
    steps::disable(host, case, report)?;
    work.rounds(1).context("after the patch")?;
    steps::unload(host, case, report)?;
    let rounds = work.end().context("at the end")?;
    Ok(format!(
        "load {} ms, transition {} ms, {rounds} rounds of work",
        loaded.load.as_millis(),
        loaded.transition.as_millis()
    ))
}

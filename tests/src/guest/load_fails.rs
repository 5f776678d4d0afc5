//! A patch that the kernel must not take: the errno, and that the system is as it was.

use anyhow::{Context, Result, bail, ensure};
use lp_runtime::error::Error;
use lp_runtime::kernel::{self, Host};

use super::kernel_log::Watch;
use super::plan::Case;
use super::report::Report;
use super::steps::{self, Code};

/// Tries to load a patch; the refusal.
pub fn run(case: &Case, report: &mut Report) -> Result<String> {
    let host = Host::running();
    let mut watch = Watch::start(&host);
    let result = try_to_load(&host, case, report);
    steps::clean(&host, case);
    let result = result?;
    watch.check(&case.allow_log)?;
    Ok(result)
}

fn try_to_load(host: &Host, case: &Case, report: &mut Report) -> Result<String> {
    let wanted = case.errno.as_deref().context("the plan gives no errno")?;
    steps::prepare(case)?;
    steps::probe_all(case, Code::Original, "before", report)?;
    let Err(error) = kernel::load(host, case.patch(), &steps::wait(), &mut |_| {}) else {
        bail!("expected {wanted}, but it was loaded");
    };
    let Error::Refused(refusal) = &error else {
        bail!("not the kernel's refusal: {error}")
    };
    ensure!(
        refusal.errno_name() == wanted,
        "expected {wanted}, got {error}"
    );
    let advice = refusal.advice.clone().context("no advice")?;
    let name = steps::name(case)?;
    ensure!(
        kernel::patch(host, &name)?.is_none(),
        "refused, but in /sys/kernel/livepatch"
    );
    report.step(&format!("{error}\n  help: {advice}"));
    steps::probe_all(case, Code::Original, "afterwards", report)?;
    Ok(format!("refused: {wanted}"))
}

//! What the demo shows: the commands that a person would type, with what they print.

use anyhow::{Result, ensure};
use lp_runtime::kernel::Host;

use super::kernel_log::Watch;
use super::plan::Case;
use super::report::Report;
use super::shell;
use super::steps::{self, Code};

/// Shows a patch's life through `lp-ctl`.
pub fn run(case: &Case, report: &mut Report) -> Result<String> {
    let mut watch = Watch::start(&Host::running());
    let name = steps::name(case)?;
    steps::prepare(case)?;
    steps::probe_all(case, Code::Original, "before", report)?;
    typed(&format!("lp-ctl load {}", case.patch().display()), report)?;
    typed(&format!("lp-ctl status {name}"), report)?;
    steps::probe_all(case, Code::Patched, "patched", report)?;
    typed(&format!("lp-ctl disable {name}"), report)?;
    steps::probe_all(case, Code::Original, "disabled", report)?;
    typed(&format!("lp-ctl unload {name}"), report)?;
    watch.check(&case.allow_log)?;
    Ok("before, patched, disabled".into())
}

fn typed(command: &str, report: &mut Report) -> Result<()> {
    let done = shell::run(command)?;
    report.step(&format!("{:<14} $ {command}\n{}", "", done.output));
    ensure!(done.success, "`{command}` failed: {}", done.output);
    Ok(())
}

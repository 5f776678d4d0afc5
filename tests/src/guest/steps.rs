//! The steps that jobs are made of: probe, load, disable, unload, each told to the host.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use lp_runtime::kernel::{self, Host, Loaded, PatchName, Wait, modinfo};

use super::plan::{Case, Probe};
use super::report::Report;
use super::shell;
use super::system;

/// Which code should run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// The kernel's own.
    Original,
    /// The patch's.
    Patched,
}

/// Inserts a case's modules and runs its set-up.
pub fn prepare(case: &Case) -> Result<()> {
    for module in &case.insmod {
        system::insmod(module)?;
    }
    for command in &case.setup {
        let done = shell::run(command)?;
        ensure!(done.success, "set-up `{command}` failed: {}", done.output);
    }
    Ok(())
}

/// Takes away what a case may have left behind, so that the next one starts clean. What is not there is no error.
pub fn clean(host: &Host, case: &Case) {
    for patch in case.patches.values() {
        if let Ok(info) = modinfo::read(patch) {
            let _ = kernel::disable(host, &info.name, &wait(), &mut |_| {});
            let _ = kernel::unload(host, &info.name);
        }
    }
    for module in case.insmod.iter().rev() {
        let _ = system::rmmod(module);
    }
}

/// Runs all probes; each must show the code given, and not the other.
pub fn probe_all(case: &Case, code: Code, when: &str, report: &mut Report) -> Result<()> {
    for probe in &case.probes {
        let output = shell::run(&probe.run)?.output;
        report.step(&format!("{when:<14} $ {}\n{output}", probe.run));
        judge(probe, code, &output).with_context(|| format!("{when}: `{}`", probe.run))?;
    }
    Ok(())
}

fn judge(probe: &Probe, code: Code, output: &str) -> Result<()> {
    let (wanted, other) = match code {
        Code::Original => (&probe.before, &probe.patched),
        Code::Patched => (&probe.patched, &probe.before),
    };
    if !output.contains(wanted.as_str()) {
        bail!("expected `{wanted}`, got `{output}`");
    }
    // One text may be part of the other, and then the shorter one proves nothing by being there.
    if !wanted.contains(other.as_str()) && output.contains(other.as_str()) {
        bail!("`{other}` of the other code is still there: `{output}`");
    }
    Ok(())
}

/// Loads a case's patch; afterwards the kernel must list it as enabled.
pub fn load(host: &Host, case: &Case, report: &mut Report) -> Result<Loaded> {
    let loaded = kernel::load(host, case.patch(), &wait(), &mut |_| {}).map_err(explained)?;
    let patch =
        kernel::patch(host, &loaded.name)?.context("loaded, but not in /sys/kernel/livepatch")?;
    ensure!(
        patch.enabled && !patch.transition,
        "loaded, but the kernel says {patch:?}"
    );
    // A patch of callbacks alone has objects without functions.
    ensure!(
        patch
            .objects
            .iter()
            .any(|object| object.patched != Some(false)),
        "loaded, but it patches no object"
    );
    let (load, transition) = (shown(loaded.load), shown(loaded.transition));
    report.step(&format!(
        "loaded {} in {load}, transition {transition}",
        loaded.name
    ));
    Ok(loaded)
}

/// Disables a case's patch and removes its module.
pub fn unload(host: &Host, case: &Case, report: &mut Report) -> Result<()> {
    let name = name(case)?;
    kernel::unload(host, &name).map_err(explained)?;
    report.step(&format!("unloaded {name}"));
    Ok(())
}

/// Disables a case's patch; afterwards the kernel must not list it.
pub fn disable(host: &Host, case: &Case, report: &mut Report) -> Result<()> {
    let name = name(case)?;
    let took = kernel::disable(host, &name, &wait(), &mut |_| {}).map_err(explained)?;
    ensure!(
        kernel::patch(host, &name)?.is_none(),
        "disabled, but still in /sys/kernel/livepatch"
    );
    report.step(&format!("disabled {name} in {}", shown(took)));
    Ok(())
}

/// The name under which a case's patch will be loaded.
pub fn name(case: &Case) -> Result<PatchName> {
    Ok(modinfo::read(case.patch())?.name)
}

/// How long the guest waits for a transition: the kernel signals stragglers every 15 s.
pub fn wait() -> Wait {
    Wait {
        timeout: Duration::from_secs(50),
        ..Wait::default()
    }
}

/// `12 ms` or `1.2 s`
pub fn shown(time: Duration) -> String {
    if time < Duration::from_secs(1) {
        format!("{} ms", time.as_millis())
    } else {
        format!("{:.1} s", time.as_secs_f64())
    }
}

/// Everything that an error of lp-runtime knows, in one line.
pub fn explained(error: lp_runtime::error::Error) -> anyhow::Error {
    let mut text = error.to_string();
    for line in error.kernel_log() {
        text += &format!("; kernel log: {line}");
    }
    for task in error.tasks() {
        let innermost = task
            .stack
            .iter()
            .find(|frame| !frame.starts_with("__switch"))
            .map_or("", String::as_str);
        text += &format!("; task {} ({}) in {innermost}", task.tid, task.comm);
    }
    anyhow::anyhow!(text)
}

//! Several patches on one system: what is loaded over what, refused, turned round, replaced and unloaded, step by step.
//!
//! The steps are those of `xtask/src/sequence.rs`. Whatever a step leaves of itself in `/sys` is looked at in the step:
//! a load that "worked" with the old patch still in force would otherwise pass.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use lp_runtime::error::Error;
use lp_runtime::kernel::{self, Host, PatchName, Wait, modinfo};
use serde::Deserialize;

use super::kernel_log::Watch;
use super::plan::Case;
use super::report::Report;
use super::shell;
use super::steps::{self, explained, shown};

/// What is done.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub enum Step {
    /// Load a patch and wait; it must be enabled then.
    Load(String),
    /// Load a patch while a task is in the way: it must stay in transition.
    Hold(String),
    /// Load a patch that the kernel refuses.
    Refuse {
        /// The patch.
        load: String,
        /// Why, `EINVAL` and the like.
        errno: String,
    },
    /// Disable a patch and wait; the kernel must not list it then.
    Disable(String),
    /// Remove a patch's module, which must be gone then.
    Unload(String),
    /// These patches, and no others, are enabled.
    Enabled(Vec<String>),
    /// What a command shows.
    Look(Look),
}

/// A command and what it must and must not show.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Look {
    run: String,
    shows: Option<String>,
    hides: Option<String>,
}

/// Runs a case's steps; how many.
pub fn run(case: &Case, report: &mut Report) -> Result<String> {
    let host = Host::running();
    let mut watch = Watch::start(&host);
    let result = steps::prepare(case).and_then(|()| all(&host, case, report));
    steps::clean(&host, case);
    result?;
    watch.check(&case.allow_log)?;
    Ok(format!("{} steps", case.steps.len()))
}

fn all(host: &Host, case: &Case, report: &mut Report) -> Result<()> {
    for (index, step) in case.steps.iter().enumerate() {
        one(host, case, step, report).with_context(|| format!("step {}, {step:?}", index + 1))?;
    }
    Ok(())
}

fn one(host: &Host, case: &Case, step: &Step, report: &mut Report) -> Result<()> {
    match step {
        Step::Load(patch) => {
            let file = file(case, patch)?;
            let loaded =
                kernel::load(host, file, &steps::wait(), &mut |_| {}).map_err(explained)?;
            ensure!(is_enabled(host, &loaded.name)?, "loaded, but not enabled");
            let took = shown(loaded.load + loaded.transition);
            report.step(&format!("loaded {patch} in {took}"));
        }
        Step::Hold(patch) => hold(host, case, patch, report)?,
        Step::Refuse { load, errno } => refuse(host, case, (load, errno), report)?,
        Step::Disable(patch) => {
            let name = name(case, patch)?;
            let took =
                kernel::disable(host, &name, &steps::wait(), &mut |_| {}).map_err(explained)?;
            let listed = kernel::patch(host, &name)?.is_some();
            ensure!(!listed, "disabled, but still in /sys/kernel/livepatch");
            report.step(&format!("disabled {patch} in {}", shown(took)));
        }
        Step::Unload(patch) => {
            let name = name(case, patch)?;
            kernel::unload(host, &name).map_err(explained)?;
            let module = Path::new("/sys/module").join(name.as_str());
            ensure!(
                !module.exists(),
                "unloaded, but {} is there",
                module.display()
            );
            report.step(&format!("unloaded {patch}"));
        }
        Step::Enabled(wanted) => enabled(host, case, wanted)?,
        Step::Look(look) => shows(look, report)?,
    }
    Ok(())
}

fn hold(host: &Host, case: &Case, patch: &str, report: &mut Report) -> Result<()> {
    // All tasks but the one in the way have long switched by then; the kernel signals it only after 15 s.
    let wait = Wait {
        timeout: Duration::from_secs(2),
        ..Wait::default()
    };
    match kernel::load(host, file(case, patch)?, &wait, &mut |_| {}) {
        Ok(_) => bail!("nothing was in the way"),
        Err(error @ Error::Stalled { .. }) => report.step(&format!("{patch}: {error}")),
        Err(error) => return Err(explained(error)),
    }
    let state = kernel::patch(host, &name(case, patch)?)?;
    let state = state.context("not in /sys/kernel/livepatch")?;
    ensure!(
        state.enabled && state.transition,
        "the kernel says {state:?}"
    );
    Ok(())
}

fn refuse(
    host: &Host,
    case: &Case,
    (patch, errno): (&str, &str),
    report: &mut Report,
) -> Result<()> {
    let Err(error) = kernel::load(host, file(case, patch)?, &steps::wait(), &mut |_| {}) else {
        bail!("it was loaded");
    };
    let Error::Refused(refusal) = &error else {
        bail!("not the kernel's refusal: {error}")
    };
    ensure!(refusal.errno_name() == errno, "got {error}");
    let listed = kernel::patch(host, &name(case, patch)?)?.is_some();
    ensure!(!listed, "refused, but in /sys/kernel/livepatch");
    report.step(&format!("{patch}: {error}"));
    Ok(())
}

fn enabled(host: &Host, case: &Case, wanted: &[String]) -> Result<()> {
    for patch in case.patches.keys() {
        let is = is_enabled(host, &name(case, patch)?)?;
        ensure!(
            is == wanted.contains(patch),
            "{patch} is {}enabled",
            if is { "" } else { "not " }
        );
    }
    Ok(())
}

fn is_enabled(host: &Host, name: &PatchName) -> Result<bool> {
    let patch = kernel::patch(host, name)?;
    Ok(patch.is_some_and(|patch| patch.enabled && !patch.transition))
}

fn shows(look: &Look, report: &mut Report) -> Result<()> {
    let output = shell::run(&look.run)?.output;
    report.step(&format!("{:<14} $ {}\n{output}", "", look.run));
    if let Some(text) = &look.shows {
        ensure!(output.contains(text.as_str()), "no `{text}` in `{output}`");
    }
    if let Some(text) = &look.hides {
        ensure!(!output.contains(text.as_str()), "`{text}` is in `{output}`");
    }
    Ok(())
}

fn file<'c>(case: &'c Case, patch: &str) -> Result<&'c PathBuf> {
    let file = case.patches.get(patch);
    file.with_context(|| format!("no patch is called {patch}"))
}

fn name(case: &Case, patch: &str) -> Result<PatchName> {
    Ok(modinfo::read(file(case, patch)?)?.name)
}

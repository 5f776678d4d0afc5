//! A case of several patches and what is done with them, in order: `[[patch]]` and `steps` in a `guest.toml`.
//!
//! ```toml
//! kernel = "6.1"
//!
//! [[patch]]                  # in the order in which they are built
//! name = "A"                 # A/fix.patch and A/livepatch.toml
//!
//! [[patch]]
//! name = "B"
//! folder = "A"               # default: the name
//! previous = "A"             # --previous A.ko
//! revert = ["f"]             # --revert f
//! warning = "lost-data"      # a code that lp-build must warn with; or
//! code = "lost-fix"          # one that it must refuse the patch with
//!
//! steps = [                  # above the first [[patch]]
//!   { load = "A" },          # and wait; it must be enabled then
//!   { hold = "A" },          # load, without waiting: some task must be in the way
//!   { refuse = { load = "B", errno = "EINVAL" } },
//!   { disable = "A" },       # and wait; also what turns a transition round
//!   { unload = "A" },        # rmmod; the module must be gone
//!   { enabled = ["A"] },     # what the kernel lists
//!   { look = { run = "cat /proc/version", shows = "patched", hides = "old" } },
//! ]
//! ```
//!
//! What the kernel will say to each load, `lp-verify` must have said on this machine before.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use crate::case::Case;
use crate::command;
use crate::kernels::Installed;
use crate::patch_build::{Order, Outside, PatchBuild, describes};

/// One of the patches.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Patch {
    name: String,
    folder: Option<String>,
    previous: Option<String>,
    #[serde(default)]
    revert: Vec<String>,
    warning: Option<String>,
    code: Option<String>,
}

/// What is done in the guest. `tests/src/guest/sequence.rs` has the same steps.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) enum Step {
    Load(String),
    Hold(String),
    Refuse { load: String, errno: String },
    Disable(String),
    Unload(String),
    Enabled(Vec<String>),
    Look(Look),
}

/// A command, a text that its output must have, and one that it must not have.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Look {
    run: String,
    shows: Option<String>,
    hides: Option<String>,
}

impl Step {
    /// The patch that it is about.
    fn patch(&self) -> Option<&String> {
        match self {
            Self::Load(patch) | Self::Hold(patch) | Self::Disable(patch) | Self::Unload(patch) => {
                Some(patch)
            }
            Self::Refuse { load, .. } => Some(load),
            Self::Enabled(_) | Self::Look(_) => None,
        }
    }
}

/// Builds a case's patches; the modules by the patch's name, without those that had to be refused.
pub(crate) fn build(
    build: &PatchBuild<'_>,
    case: &Case,
    outside: Option<&Outside>,
) -> Result<BTreeMap<String, PathBuf>> {
    let mut modules: BTreeMap<String, PathBuf> = BTreeMap::new();
    for patch in &case.guest.patches {
        let folder = case
            .folder
            .join(patch.folder.as_ref().unwrap_or(&patch.name));
        let previous = patch.previous.as_ref().map(|name| {
            let module = modules.get(name).cloned();
            module.with_context(|| format!("{}: `previous` is no patch before it", patch.name))
        });
        let order = Order {
            output: build.folder().join(&case.name).join(&patch.name),
            folder,
            previous: previous.transpose()?,
            reverts: patch.revert.clone(),
            warning: patch.warning.clone(),
            outside: outside.cloned(),
            image: None,
        }
        .with_module(&patch.name)?;
        match &patch.code {
            Some(code) => drop(
                build
                    .refusal(&order, code)
                    .with_context(|| patch.name.clone())?,
            ),
            None => {
                let module = build.build(&order).with_context(|| patch.name.clone())?;
                modules.insert(patch.name.clone(), module);
            }
        }
    }
    Ok(modules)
}

/// Asks lp-verify before each load of the sequence; how many times it said yes and no.
pub(crate) fn verify(
    lp_verify: &Path,
    kernel: &Installed,
    case: &Case,
    modules: &BTreeMap<String, PathBuf>,
) -> Result<(usize, usize)> {
    let (mut installed, mut said): (Vec<&String>, _) = (Vec::new(), (0, 0));
    for step in &case.guest.steps {
        let Some(name) = step.patch() else { continue };
        let module = modules
            .get(name)
            .with_context(|| format!("no patch is called {name}"))?;
        let expected = match step {
            Step::Load(_) | Step::Hold(_) => true,
            Step::Refuse { .. } => false,
            Step::Disable(_) => {
                installed.retain(|other| *other != name);
                continue;
            }
            _ => continue,
        };
        let files: Vec<&PathBuf> = installed
            .iter()
            .filter_map(|name| modules.get(*name))
            .collect();
        ask(lp_verify, kernel, (module, &files), expected)
            .with_context(|| format!("{name} over {installed:?}"))?;
        if !expected {
            said.1 += 1;
            continue;
        }
        said.0 += 1;
        // What is turned round later was installed in between; the older ones are still there then.
        if matches!(step, Step::Load(_)) && replaces(case, name)? {
            installed.clear();
        }
        installed.push(name);
    }
    Ok(said)
}

fn ask(
    lp_verify: &Path,
    kernel: &Installed,
    (module, installed): (&Path, &[&PathBuf]),
    expected: bool,
) -> Result<()> {
    let mut verify = Command::new(lp_verify);
    verify.arg(module).stdin(Stdio::null());
    if installed.is_empty() {
        verify.arg("--nothing-installed");
    } else {
        verify.arg("--installed").args(installed);
    }
    verify.arg("--vmlinux").arg(kernel.image());
    let done = command::output(&mut verify)?;
    let wanted = if expected { 0 } else { 2 };
    ensure!(
        done.status.code() == Some(wanted),
        "lp-verify should have said {}, but: {}{}",
        if expected { "yes" } else { "no" },
        String::from_utf8_lossy(&done.stdout),
        String::from_utf8_lossy(&done.stderr)
    );
    Ok(())
}

fn replaces(case: &Case, name: &str) -> Result<bool> {
    let mut patches = case.guest.patches.iter();
    let patch = patches.find(|patch| patch.name == name);
    let folder = patch
        .and_then(|patch| patch.folder.as_deref())
        .unwrap_or(name);
    let description = describes(&case.folder.join(folder))?;
    Ok(description
        .get("replace")
        .and_then(toml::Value::as_bool)
        .unwrap_or(true))
}

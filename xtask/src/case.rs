//! A case: a folder with a patch to a kernel, and what shows in the guest that it works.
//!
//! `examples/NAME` and `tests/vm/NAME`, each with `fix.patch` (for `patch -p1`), `livepatch.toml`, and `guest.toml`:
//!
//! ```toml
//! kernel = "6.1"             # the series of the pinned kernel that the patch is for
//! alone = true               # and for no other one: there, the case is left out
//! without-debug-package = true   # built with no more than the kernel that boots, too: the same module must come of it
//! modules = ["nf_tables"]    # kernel modules to insert first; what they need comes along
//! module-source = "module"   # a folder here with modules of the case's own, built and inserted; the patch is to it
//! inserted-source = "other"  # another build of those, which is inserted in their place
//! setup = ["mkdir /tmp/x"]   # shell commands after that
//! allow-log = ["WARNING: CPU"]   # texts of kernel log lines that the case provokes on purpose
//!
//! [[probe]]                  # one or more
//! run = "head -1 /proc/meminfo"  # for busybox's sh; its stdout and stderr are one text
//! before = "MemTotal:"       # in that text while the original code runs
//! patched = "MEMTOTAL:"      # in it while the patch runs; the other one must then be gone
//!
//! [on."6.12"]                # what is different on another kernel, if the case is run there
//! modules = []
//! ```
//!
//! or, where lp-build must refuse the patch, `kernel`, `expect = "refused"` and `code = "init-function"`; or, where the kernel must
//! refuse to load it, `expect = "load-fails"` and the errno as `code = "ENODEV"`: probes then show `before` all the time;
//! or several patches and what is done with them, see [`crate::sequence`].

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use crate::paths;
use crate::sequence::{Patch, Step};

/// One case.
#[derive(Debug)]
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) folder: PathBuf,
    pub(crate) guest: Guest,
}

/// `guest.toml`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Guest {
    pub(crate) kernel: String,
    #[serde(default)]
    pub(crate) alone: bool,
    #[serde(default)]
    pub(crate) expect: Expect,
    /// Of the refusal, or the errno, where that is expected.
    pub(crate) code: Option<String>,
    #[serde(default)]
    pub(crate) without_debug_package: bool,
    #[serde(default)]
    pub(crate) modules: Vec<String>,
    /// The folder in the case's with the source of modules of its own, which the patch is one of.
    pub(crate) module_source: Option<String>,
    /// The folder with the source of those that the guest gets in their place.
    pub(crate) inserted_source: Option<String>,
    #[serde(default)]
    pub(crate) setup: Vec<String>,
    #[serde(default)]
    pub(crate) allow_log: Vec<String>,
    #[serde(default, rename = "probe")]
    pub(crate) probes: Vec<Probe>,
    #[serde(default, rename = "patch")]
    pub(crate) patches: Vec<Patch>,
    #[serde(default)]
    pub(crate) steps: Vec<Step>,
    /// By the name of another kernel.
    #[serde(default)]
    on: BTreeMap<String, Differs>,
}

/// What is different on another kernel.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Differs {
    modules: Vec<String>,
}

/// What should come of a case.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Expect {
    /// It builds and works.
    #[default]
    Works,
    /// lp-build refuses it.
    Refused,
    /// It builds, and the kernel does not take it.
    LoadFails,
}

/// A command whose output differs between the two codes.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Probe {
    pub(crate) run: String,
    pub(crate) before: String,
    pub(crate) patched: String,
}

impl Case {
    /// Whether it is a sequence of steps with several patches.
    pub(crate) fn is_sequence(&self) -> bool {
        !self.guest.steps.is_empty()
    }

    /// Whether it can run on this kernel.
    pub(crate) fn is_for(&self, kernel: &str) -> bool {
        !self.guest.alone || self.guest.kernel == kernel
    }

    /// Has it run on this kernel, whichever it names.
    pub(crate) fn on(&mut self, kernel: &str) {
        kernel.clone_into(&mut self.guest.kernel);
        if let Some(differs) = self.guest.on.get(kernel) {
            self.guest.modules.clone_from(&differs.modules);
        }
    }

    /// The patch.
    pub(crate) fn fix(&self) -> PathBuf {
        self.folder.join("fix.patch")
    }

    /// The patch's description.
    pub(crate) fn description(&self) -> PathBuf {
        self.folder.join("livepatch.toml")
    }
}

/// All cases whose name has the filter in it, by name.
pub(crate) fn find(filter: &str) -> Result<Vec<Case>> {
    let mut cases = Vec::new();
    for root in ["examples", "tests/vm"] {
        let root = paths::workspace().join(root);
        if root.is_dir() {
            cases.extend(cases_in(&root)?);
        }
    }
    cases.retain(|case| case.name.contains(filter));
    cases.sort_by(|a, b| a.name.cmp(&b.name));
    let twice = cases
        .windows(2)
        .find(|pair| matches!(pair, [a, b] if a.name == b.name));
    if let Some([first, _]) = twice {
        bail!("two cases are called {}", first.name);
    }
    Ok(cases)
}

fn cases_in(root: &Path) -> Result<Vec<Case>> {
    let mut cases = Vec::new();
    for entry in fs::read_dir(root).with_context(|| format!("read {}", root.display()))? {
        let folder = entry?.path();
        if folder.join("guest.toml").exists() {
            cases.push(read(folder)?);
        }
    }
    Ok(cases)
}

fn read(folder: PathBuf) -> Result<Case> {
    let file = folder.join("guest.toml");
    let text = fs::read_to_string(&file).with_context(|| format!("read {}", file.display()))?;
    let guest: Guest =
        toml::from_str(&text).with_context(|| format!("parse {}", file.display()))?;
    check(&guest).with_context(|| file.display().to_string())?;
    let name = folder
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    Ok(Case {
        name,
        folder,
        guest,
    })
}

fn check(guest: &Guest) -> Result<()> {
    let is_sequence = !guest.steps.is_empty();
    if is_sequence == guest.patches.is_empty() {
        bail!("`steps` and [[patch]] belong together");
    }
    match guest.expect {
        _ if is_sequence && (guest.expect != Expect::Works || !guest.probes.is_empty()) => {
            bail!("`steps` say what to expect, without `expect` and [[probe]]")
        }
        Expect::Works if is_sequence => {}
        Expect::Works | Expect::LoadFails if guest.probes.is_empty() => {
            bail!("without a [[probe]] nothing shows which code runs")
        }
        Expect::Works if guest.code.is_some() => bail!("`code` needs `expect`"),
        Expect::Refused | Expect::LoadFails if guest.code.is_none() => {
            bail!("`expect` needs the `code` of the refusal")
        }
        _ => {}
    }
    match guest
        .probes
        .iter()
        .find(|probe| probe.before == probe.patched)
    {
        Some(probe) => bail!("`{}`: before and patched are the same", probe.run),
        None => Ok(()),
    }
}

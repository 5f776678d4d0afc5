//! The jobs for the guest, as JSON in the initramfs. `tests/src/guest/plan.rs` reads it; fields are the same there.
//!
//! Written twice on purpose: xtask uses no crate of ours. The guest refuses unknown fields, so that the two cannot drift apart unnoticed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::case::Probe;
use crate::sequence::Step;

/// Patch modules by the patch's name; one alone has the name of its case.
pub(crate) type Patches = BTreeMap<String, PathBuf>;

/// What the guest does.
#[derive(Debug, Serialize)]
pub(crate) struct Plan<J> {
    pub(crate) jobs: Vec<J>,
}

/// What is done with a case's patch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Kind {
    /// Before, patched, disabled, loaded again.
    Cycle,
    /// The same once, through `lp-ctl`.
    Demo,
    /// Load and unload alone.
    Smoke,
    /// Load, work under it, unload.
    Sweep,
    /// What lp-runtime says where the kernel refuses.
    Refusals,
    /// Before, a load that the kernel refuses, before again.
    LoadFails,
    /// One step after the other, with several patches.
    Steps,
}

/// A job as the host sees it: paths are this machine's.
#[derive(Debug, Clone)]
pub(crate) struct Job {
    pub(crate) kind: Kind,
    pub(crate) name: String,
    pub(crate) patches: Patches,
    /// Names of the kernel modules to be there, without those that they need.
    pub(crate) modules: Vec<String>,
    /// Files of modules that the kernel does not bring, to be inserted after those.
    pub(crate) outside: Vec<PathBuf>,
    pub(crate) setup: Vec<String>,
    pub(crate) probes: Vec<Probe>,
    pub(crate) steps: Vec<Step>,
    pub(crate) allow_log: Vec<String>,
    /// What a load that must fail fails with.
    pub(crate) errno: Option<String>,
}

/// A job as the guest sees it: paths are the initramfs's.
#[derive(Debug, Serialize)]
pub(crate) struct GuestJob {
    #[serde(rename = "do")]
    kind: Kind,
    name: String,
    patches: Patches,
    insmod: Vec<PathBuf>,
    setup: Vec<String>,
    probes: Vec<Probe>,
    steps: Vec<Step>,
    allow_log: Vec<String>,
    errno: Option<String>,
}

/// Sequences of operations for the model and the kernel, as the host sees them.
#[derive(Debug)]
pub(crate) struct Differential {
    pub(crate) name: String,
    pub(crate) modules: Vec<PathBuf>,
    pub(crate) vmlinux: PathBuf,
    pub(crate) seed: u64,
    pub(crate) first: u64,
    pub(crate) sequences: u64,
    pub(crate) cases: Vec<KeptCase>,
}

/// Selftests of the kernel, as the host sees them.
#[derive(Debug)]
pub(crate) struct Selftests {
    pub(crate) scripts: Vec<String>,
    /// Files of this machine, and where they go in the guest.
    pub(crate) files: Vec<(PathBuf, String)>,
}

/// One of them as the guest sees it.
#[derive(Debug, Serialize)]
pub(crate) struct GuestSelftest {
    #[serde(rename = "do")]
    kind: &'static str,
    name: String,
}

impl Selftests {
    /// A job for each script.
    pub(crate) fn in_guest(&self) -> Vec<GuestSelftest> {
        let one = |name: &String| GuestSelftest {
            kind: "selftest",
            name: name.clone(),
        };
        self.scripts.iter().map(one).collect()
    }
}

/// A sequence that is written down.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct KeptCase {
    pub(crate) name: String,
    pub(crate) text: String,
}

/// The same as the guest sees it.
#[derive(Debug, Serialize)]
pub(crate) struct GuestDifferential {
    #[serde(rename = "do")]
    kind: &'static str,
    name: String,
    pool: PathBuf,
    vmlinux: PathBuf,
    seed: u64,
    first: u64,
    sequences: u64,
    cases: Vec<KeptCase>,
}

impl Differential {
    /// The same with the places that things have in the guest.
    pub(crate) fn in_guest(&self, pool: PathBuf, vmlinux: PathBuf) -> GuestDifferential {
        GuestDifferential {
            kind: "differential",
            name: self.name.clone(),
            pool,
            vmlinux,
            seed: self.seed,
            first: self.first,
            sequences: self.sequences,
            cases: self.cases.clone(),
        }
    }
}

impl Job {
    /// For a patch without anything that shows that it works.
    pub(crate) fn smoke(name: String, patch: &Path, modules: Vec<String>) -> Self {
        Self::bare(Kind::Smoke, name, patch, modules)
    }

    /// For one patch among many, with the guest's own work as what shows that nothing broke.
    pub(crate) fn sweep(name: String, patch: &Path, modules: Vec<String>) -> Self {
        Self::bare(Kind::Sweep, name, patch, modules)
    }

    fn bare(kind: Kind, name: String, patch: &Path, modules: Vec<String>) -> Self {
        Self {
            kind,
            patches: [(name.clone(), patch.to_path_buf())].into(),
            name,
            modules,
            outside: Vec::new(),
            setup: Vec::new(),
            probes: Vec::new(),
            steps: Vec::new(),
            allow_log: Vec::new(),
            errno: None,
        }
    }

    /// The same with the places that things have in the guest.
    pub(crate) fn in_guest(&self, patches: Patches, insmod: Vec<PathBuf>) -> GuestJob {
        GuestJob {
            kind: self.kind,
            name: self.name.clone(),
            patches,
            insmod,
            setup: self.setup.clone(),
            probes: self.probes.clone(),
            steps: self.steps.clone(),
            allow_log: self.allow_log.clone(),
            errno: self.errno.clone(),
        }
    }
}

//! What the host wants done, as JSON in the initramfs. `xtask/src/vm/plan.rs` writes it; fields are the same there.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Deserialize;

use super::sequence::Step;

/// All jobs of one boot.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// In the order in which they are done.
    pub jobs: Vec<Job>,
}

/// One thing to do, which ends in one verdict.
#[derive(Debug, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
pub enum Job {
    /// Before, patched, disabled, loaded again.
    Cycle(Case),
    /// The same once, through `lp-ctl` as a person would do it.
    Demo(Case),
    /// Load and unload alone.
    Smoke(Case),
    /// Load, work under it, unload.
    Sweep(Case),
    /// What lp-runtime says where the kernel refuses.
    Refusals(Case),
    /// Before, a load that the kernel refuses, before again.
    LoadFails(Case),
    /// One step after the other, with several patches.
    Steps(Case),
    /// The model beside the kernel.
    Differential(Differential),
    /// A selftest of the kernel.
    Selftest(Selftest),
}

/// A selftest of the kernel.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Selftest {
    /// The script.
    pub name: String,
}

/// Sequences of operations for the model and the kernel.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Differential {
    /// Its name.
    pub name: String,
    /// The folder of the pool's modules.
    pub pool: PathBuf,
    /// The kernel's file with its symbols.
    pub vmlinux: PathBuf,
    /// Which random sequences.
    pub seed: u64,
    /// The number of the first of them.
    pub first: u64,
    /// How many.
    pub sequences: u64,
    /// To be played before those.
    pub cases: Vec<KeptCase>,
}

/// A sequence that is written down.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeptCase {
    /// Its file.
    pub name: String,
    /// One operation a line.
    pub text: String,
}

/// A patch, or several, and what shows that it works.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// The case's folder name.
    pub name: String,
    /// The patch modules by name; one alone has the case's.
    pub patches: BTreeMap<String, PathBuf>,
    /// Kernel modules to insert first, in this order.
    pub insmod: Vec<PathBuf>,
    /// Shell commands to run after that.
    pub setup: Vec<String>,
    /// What shows which code runs.
    pub probes: Vec<Probe>,
    /// What to do with several patches.
    pub steps: Vec<Step>,
    /// Texts of kernel log lines that the case provokes on purpose.
    pub allow_log: Vec<String>,
    /// What a load that must fail fails with.
    pub errno: Option<String>,
}

/// A command whose output differs between the two codes.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Probe {
    /// For `busybox sh`.
    pub run: String,
    /// In its output while the original code runs.
    pub before: String,
    /// In its output while the patch runs.
    pub patched: String,
}

impl Plan {
    /// Reads the plan.
    pub fn read(file: &Path) -> Result<Self> {
        let text = std::fs::read(file).with_context(|| format!("read {}", file.display()))?;
        serde_json::from_slice(&text).with_context(|| format!("parse {}", file.display()))
    }
}

impl Case {
    /// The patch module, where there is one.
    pub fn patch(&self) -> &Path {
        self.patches
            .values()
            .next()
            .map_or(Path::new(""), PathBuf::as_path)
    }
}

impl Job {
    /// The name its verdict bears.
    pub fn name(&self) -> &str {
        match self {
            Job::Cycle(case)
            | Job::Demo(case)
            | Job::Smoke(case)
            | Job::Sweep(case)
            | Job::Refusals(case)
            | Job::LoadFails(case)
            | Job::Steps(case) => &case.name,
            Job::Differential(job) => &job.name,
            Job::Selftest(job) => &job.name,
        }
    }
}

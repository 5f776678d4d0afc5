//! The numbers of a benchmark, kept as JSON for the next one to be compared with.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

/// One run of lp-build.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Run {
    pub(super) name: String,
    pub(super) seconds: f64,
    pub(super) own_mib: u64,
    pub(super) tree_mib: u64,
    /// Each with its seconds.
    pub(super) steps: Vec<(String, f64)>,
}

/// All runs of one benchmark.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Table {
    pub(super) case: String,
    pub(super) runs: Vec<Run>,
}

impl Table {
    /// Prints this beside what `file` has, then puts this in its place.
    pub(super) fn print_beside_last(&self, file: &Path) -> Result<()> {
        let last: Option<Table> = fs::read(file)
            .ok()
            .and_then(|text| serde_json::from_slice(&text).ok());
        println!(
            "lp-build, {} (seconds, in brackets the last time)",
            self.case
        );
        for run in &self.runs {
            let before = last
                .as_ref()
                .and_then(|last| last.runs.iter().find(|old| old.name == run.name));
            run.print(before);
        }
        let text = serde_json::to_vec_pretty(self)?;
        fs::write(file, text).with_context(|| format!("write {}", file.display()))
    }
}

impl Run {
    fn print(&self, before: Option<&Run>) {
        let (own, tree) = (self.own_mib, self.tree_mib);
        let total = beside(self.seconds, before.map(|old| old.seconds));
        println!(
            "{:<28} {total}   peak {own} MiB itself, {tree} MiB with children",
            self.name
        );
        for (step, seconds) in &self.steps {
            let old = before.and_then(|old| old.steps.iter().find(|(name, _)| name == step));
            println!(
                "  {step:<26} {}",
                beside(*seconds, old.map(|(_, seconds)| *seconds))
            );
        }
    }
}

fn beside(now: f64, last: Option<f64>) -> String {
    match last {
        Some(last) => format!("{now:>7.2} ({last:.2})"),
        None => format!("{now:>7.2}"),
    }
}

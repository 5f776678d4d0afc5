//! Builds the livepatch for one file: its own change with what that needs, and more as long as it does not compile.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::Value;

use super::fix::Fix;
use super::record::{Class, Record, module_name};
use super::store::Store;
use crate::command;
use crate::kernels::Installed;
use crate::patch_build::{cache, why};

/// What comes along may need more in turn.
const MOST_ROUNDS: usize = 24;
/// `timeout`'s exit code.
const OUT_OF_TIME: i32 = 124;
/// lp-build's, where nothing of the kernel changes.
const NOTHING: i32 = 3;
/// So much of a reason is kept.
const LONGEST_REASON: usize = 1500;

/// What builds.
pub(crate) struct Builder<'a> {
    pub(crate) lp_build: PathBuf,
    pub(crate) kernel: &'a Installed,
    pub(crate) store: &'a Store<'a>,
    /// Where everything goes.
    pub(crate) folder: PathBuf,
    /// Seconds for one file, all runs of lp-build together.
    pub(crate) patience: u64,
}

/// One run of lp-build.
struct Done {
    code: Option<i32>,
    report: Value,
    seconds: f64,
}

impl Builder<'_> {
    /// Builds one file's livepatch. That it cannot be built is no error here.
    pub(crate) fn build(&self, file: &str) -> Result<Record> {
        let mut fix = Fix::of(file, self.store)?;
        let module = self.place("modules", file, "ko")?;
        let until = Instant::now() + Duration::from_secs(self.patience);
        let alone = self.lp_build(file, &fix, &module, until)?;
        // What is nothing for this kernel is not made something by what comes along.
        if alone.code == Some(NOTHING) || !fix.follow()? {
            return self.rounds(file, fix, alone, (module, until));
        }
        let done = self.lp_build(file, &fix, &module, until)?;
        self.rounds(file, fix, done, (module, until))
    }

    /// Learns from what lp-build says until there is nothing to learn.
    fn rounds(
        &self,
        file: &str,
        mut fix: Fix<'_>,
        mut done: Done,
        (module, until): (PathBuf, Instant),
    ) -> Result<Record> {
        for _ in 0..MOST_ROUNDS {
            let is_decided = matches!(done.code, Some(0 | NOTHING | OUT_OF_TIME));
            if is_decided || !fix.learn(&why(&done.report))? {
                break;
            }
            done = self.lp_build(file, &fix, &module, until)?;
        }
        let message = why(&done.report);
        Ok(self.record(file, &fix, done, &message, module))
    }

    /// Runs it until then, if it takes so long.
    fn lp_build(&self, file: &str, fix: &Fix<'_>, module: &Path, until: Instant) -> Result<Done> {
        if module.exists() {
            fs::remove_file(module).with_context(|| format!("remove {}", module.display()))?;
        }
        let patch = self.place("patches", file, "patch")?;
        let diff = fix.diff(&self.folder.join("scratch"))?;
        fs::write(&patch, diff).with_context(|| format!("write {}", patch.display()))?;
        let mut build = Command::new("timeout");
        // `timeout` takes 0 for ever.
        let left = until.saturating_duration_since(Instant::now());
        let left = left.as_secs().max(1).to_string();
        build.arg(left).arg(&self.lp_build);
        build.args([
            "kernel",
            "--report",
            "json",
            "--kernel",
            &self.kernel.release,
        ]);
        build.arg("--orig").arg(&self.kernel.source);
        build.arg("--patch").arg(&patch);
        build.arg("--sysroot").arg(&self.kernel.sysroot);
        build.arg("--output").arg(module);
        if std::env::var_os("LP_CACHE").is_none() {
            build.arg("--cache").arg(cache());
        }
        let start = Instant::now();
        let output = command::output(&mut build)?;
        let seconds = start.elapsed().as_secs_f64();
        let report = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| {
            // What it wrote for people is all there is.
            Value::String(
                String::from_utf8_lossy(&output.stderr)
                    .trim_end()
                    .to_owned(),
            )
        });
        let text = serde_json::to_vec_pretty(&report)?;
        let place = self.place("reports", file, "json")?;
        fs::write(&place, text).with_context(|| format!("write {}", place.display()))?;
        Ok(Done {
            code: output.status.code(),
            report,
            seconds,
        })
    }

    fn place(&self, what: &str, file: &str, ending: &str) -> Result<PathBuf> {
        let folder = self.folder.join(what);
        fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
        Ok(folder.join(format!("{}.{ending}", module_name(file))))
    }

    fn record(
        &self,
        file: &str,
        fix: &Fix<'_>,
        done: Done,
        message: &str,
        module: PathBuf,
    ) -> Record {
        let class = match done.code {
            Some(0) => Class::Built,
            Some(2) => Class::Refused,
            Some(NOTHING) => Class::Nothing,
            _ => Class::Failed,
        };
        let why = match (class, done.code) {
            (Class::Built, _) => String::new(),
            (Class::Nothing, _) => notes(&done.report),
            (_, Some(OUT_OF_TIME)) => format!(
                "lp-build did not end in {} s, all rounds together",
                self.patience
            ),
            (Class::Failed, None) => format!("lp-build crashed: {message}"),
            _ => message.chars().take(LONGEST_REASON).collect(),
        };
        Record {
            file: file.to_owned(),
            headers: fix.others().cloned().collect(),
            class,
            why,
            codes: codes(&done.report),
            patched: patched(&done.report),
            build_seconds: done.seconds,
            load_ms: None,
            transition_ms: None,
            module: (class == Class::Built).then_some(module),
        }
    }
}

fn notes(report: &Value) -> String {
    let notes: Vec<&str> = list(report, "notes").filter_map(Value::as_str).collect();
    if notes.is_empty() {
        return "its code is the same".into();
    }
    notes.join("; ")
}

/// The codes of the refusals, each once.
fn codes(report: &Value) -> Vec<String> {
    let codes = list(report, "refusals").filter_map(|refusal| refusal.get("code")?.as_str());
    let codes: BTreeSet<&str> = codes.collect();
    codes.into_iter().map(str::to_owned).collect()
}

/// The patched functions of each object.
fn patched(report: &Value) -> std::collections::BTreeMap<String, Vec<String>> {
    let name = |value: &Value| Some(value.get("name")?.as_str()?.to_owned());
    list(report, "objects")
        .filter_map(|object| {
            let functions = list(object, "functions").filter_map(name).collect();
            Some((name(object)?, functions))
        })
        .collect()
}

fn list<'v>(value: &'v Value, key: &str) -> impl Iterator<Item = &'v Value> {
    value
        .get(key)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
}

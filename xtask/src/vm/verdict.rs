//! Gathers the guest's verdicts. A job without a verdict has failed: silence is no success.

use std::collections::BTreeMap;

use anyhow::{Result, bail};

use super::qemu::End;

/// How many of the kernel's last lines are shown after a failure.
const LAST_LINES: usize = 30;

/// What came of the jobs of a boot.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// Names of the jobs without a verdict yet.
    open: Vec<String>,
    failed: Vec<String>,
    /// What was said of each job.
    details: BTreeMap<String, Detail>,
    done: bool,
}

/// A verdict's words: of a job that went well, or why it did not.
pub(crate) type Detail = std::result::Result<String, String>;

impl Outcome {
    pub(super) fn new() -> Self {
        Self {
            open: Vec::new(),
            failed: Vec::new(),
            details: BTreeMap::new(),
            done: false,
        }
    }

    /// Takes a line of the guest; true if people should see it in any case.
    pub(super) fn take(&mut self, line: &str) -> bool {
        if line.starts_with("DONE ") {
            self.done = true;
            return false;
        }
        if let Some(verdict) = line.strip_prefix("VERDICT ") {
            let (name, rest) = verdict.split_once(' ').unwrap_or((verdict, ""));
            self.open.retain(|open| open != name);
            let detail = match rest.strip_prefix("ok ") {
                Some(detail) => Ok(detail.to_owned()),
                None => Err(rest.trim_start_matches("FAIL ").to_owned()),
            };
            if detail.is_err() {
                self.failed.push(name.to_owned());
            }
            self.details.insert(name.to_owned(), detail);
            return true;
        }
        !line.starts_with(' ')
    }

    /// Closes the books of one boot. What broke the machine is the job without a verdict that came first; the names of those after
    /// it, which never had their turn.
    pub(super) fn end(&mut self, end: &End) -> Vec<String> {
        let reason = match (&end.stopped, self.done) {
            (Some(reason), _) => reason.clone(),
            (None, true) => return Vec::new(),
            (None, false) => "the guest went off before it was done".to_owned(),
        };
        let mut open = std::mem::take(&mut self.open).into_iter();
        let culprit = open.next().unwrap_or_else(|| "machine".into());
        println!("{culprit} FAIL {reason}");
        let skip = end.console.len().saturating_sub(LAST_LINES);
        for line in end.console.iter().skip(skip) {
            println!("    | {line}");
        }
        println!("console: {}", end.console_log.display());
        self.details.insert(culprit.clone(), Err(reason));
        self.failed.push(culprit);
        open.collect()
    }

    /// Opens the books for another boot.
    pub(super) fn reopen(&mut self, jobs: Vec<String>) {
        self.open = jobs;
        self.done = false;
    }

    /// An error if anything failed.
    pub(crate) fn into_result(self) -> Result<()> {
        match self.failed.as_slice() {
            [] => Ok(()),
            failed => bail!("{} failed: {}", failed.len(), failed.join(", ")),
        }
    }

    /// What was said of a job.
    pub(crate) fn detail(&self, job: &str) -> Option<&Detail> {
        self.details.get(job)
    }

    /// The names of what failed.
    pub(crate) fn failed(&self) -> &[String] {
        &self.failed
    }
}

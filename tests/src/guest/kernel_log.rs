//! Watches what the kernel logs during a job.
//!
//! A patch can do what its probe asks for and still have broken something: the kernel then says WARNING or BUG. A case whose patch is
//! about such a line names it in `allow_log`. Lines of another job are not taken for this one's: the mark is made at its start.

use anyhow::{Result, bail};
use lp_runtime::kernel::Host;
use lp_runtime::kernel::log::Mark;

/// What the kernel writes when something is wrong.
const BAD: [&str; 9] = [
    "WARNING:",
    "BUG:",
    "kernel BUG at",
    "Oops",
    "general protection",
    "Call Trace:",
    "unwind stack type",
    "scheduling while atomic",
    "refcount_t:",
];

/// The kernel's log since a job's start.
#[derive(Debug)]
pub struct Watch(Mark);

impl Watch {
    /// Starts now.
    pub fn start(host: &Host) -> Self {
        Self(Mark::now(host))
    }

    /// An error if the kernel has complained about something that is not allowed.
    pub fn check(&mut self, allowed: &[String]) -> Result<()> {
        let lines = self.0.lines();
        // An allowed WARNING brings its own call trace along.
        let provoked = lines
            .iter()
            .any(|line| allowed.iter().any(|text| line.contains(text.as_str())));
        for line in &lines {
            let is_allowed = allowed.iter().any(|text| line.contains(text.as_str()))
                || (provoked && line.contains("Call Trace:"));
            if !is_allowed && BAD.iter().any(|bad| line.contains(bad)) {
                bail!("the kernel logged `{line}`");
            }
        }
        Ok(())
    }
}

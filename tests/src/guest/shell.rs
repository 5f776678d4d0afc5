//! Runs a probe's or set-up's command with busybox's shell.
//!
//! Output and errors are one text, and the exit code is not judged: what a probe expects is a text (`.. ; echo $?` where it is the
//! code that matters). A command that hangs ends after [`LIMIT_SECONDS`], or a probe of a broken patch would stop the whole run.

use std::process::Command;

use anyhow::{Context, Result};

use super::system::BUSYBOX;

/// The longest that a command may take.
const LIMIT_SECONDS: &str = "20";

/// The outcome of a command.
#[derive(Debug)]
pub struct Done {
    /// What it wrote, without the last line's end.
    pub output: String,
    /// It exited with 0.
    pub success: bool,
}

/// Runs a command to its end.
pub fn run(command: &str) -> Result<Done> {
    let script = format!("exec 2>&1; {command}");
    let output = Command::new(BUSYBOX)
        .args(["timeout", LIMIT_SECONDS, BUSYBOX, "sh", "-c", &script])
        .env("PATH", "/bin")
        .output()
        .with_context(|| format!("run `{command}`"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(Done {
        output: text.trim_end().to_owned(),
        success: output.status.success(),
    })
}

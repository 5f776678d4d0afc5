//! One of the kernel's own livepatch selftests, as the kernel's source has it: a script for bash, with programs of the
//! distribution and modules of the kernel's build.
//!
//! It looks at the kernel's log itself, line by line, so what is logged is its business alone.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use super::plan::Selftest;
use super::report::Report;

/// Where the host puts the scripts and their modules.
const FOLDER: &str = "/selftests";
/// What a script exits with that cannot run here (`ksft_skip`, functions.sh).
const SKIPPED: i32 = 4;

/// Runs a script; how many tests it has.
pub fn run(job: &Selftest, report: &mut Report) -> Result<String> {
    // The scripts write to the log, which by default takes no more than ten lines in five seconds from programs.
    let settings = [("printk_devkmsg", "on\n"), ("printk", "4\n")];
    for (name, value) in settings {
        let file = format!("/proc/sys/kernel/{name}");
        fs::write(&file, value).with_context(|| format!("write {file}"))?;
    }
    let script = Command::new("/bin/bash")
        .arg(format!("./{}", job.name))
        .current_dir(FOLDER)
        // A script that builds its modules where it runs looks for a kernel's build folder only.
        .envs([("PATH", "/bin"), ("KDIR", "/selftests"), ("TMPDIR", "/tmp")])
        .output()
        .with_context(|| format!("run {}", job.name))?;
    let text = String::from_utf8_lossy(&script.stdout);
    let errors = String::from_utf8_lossy(&script.stderr);
    report.step(&format!("$ {}\n{text}{errors}", job.name));
    match script.status.code() {
        Some(0) => {}
        Some(SKIPPED) => bail!("skipped: {}", errors.trim_end()),
        _ => bail!("{}: {}", script.status, tail(&text, &errors)),
    }
    let tests = text.lines().filter(|line| line.ends_with("... ok")).count();
    ensure!(tests > 0, "no test was run: {text}");
    Ok(format!("{tests} tests"))
}

/// From the test that failed on.
fn tail(text: &str, errors: &str) -> String {
    let failed = text.rfind("TEST: ").and_then(|at| text.get(at..));
    let lines = failed.unwrap_or(text).trim_end().lines();
    let lines: Vec<&str> = lines.chain(errors.trim_end().lines()).collect();
    lines.join(" | ")
}

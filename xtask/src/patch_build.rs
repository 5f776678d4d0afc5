//! Runs `lp-build` for a case as a user would, and reads its JSON report.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::case::Case;
use crate::command;
use crate::kernels::Installed;
use crate::paths;

/// `lp-build`, with the kernel to build for.
pub(crate) struct PatchBuild<'a> {
    pub(crate) lp_build: &'a Path,
    pub(crate) kernel: &'a Installed,
}

/// The source trees.
pub(crate) enum Trees<'a> {
    /// The kernel's source, and the same with the fix.
    Two(&'a Path),
    /// The kernel's source and a patch to it.
    Patch(&'a Path),
}

/// What lp-build's exit codes mean.
const REFUSED: i32 = 2;

impl PatchBuild<'_> {
    /// The command without `--report`, with paths relative to the workspace where it runs.
    pub(crate) fn command(
        &self,
        trees: &Trees<'_>,
        description: &Path,
        output: &Path,
        cache: &Path,
    ) -> Command {
        let mut build = Command::new(self.lp_build);
        build.current_dir(paths::workspace());
        build
            .arg("kernel")
            .arg("--orig")
            .arg(relative(&self.kernel.source));
        match trees {
            Trees::Two(patched) => build.arg("--patched").arg(relative(patched)),
            Trees::Patch(patch) => build.arg("--patch").arg(relative(patch)),
        };
        build.arg("--kernel").arg(&self.kernel.release);
        build.arg("--sysroot").arg(relative(&self.kernel.sysroot));
        build
            .arg("--describe")
            .arg(relative(description))
            .arg("--cache")
            .arg(relative(cache));
        build.arg("-o").arg(relative(output));
        build
    }

    /// Builds a case's patch; the module.
    pub(crate) fn build(&self, case: &Case) -> Result<PathBuf> {
        let (output, status, report) = self.run(case)?;
        if !status.success() {
            bail!("lp-build: {status}: {}", why(&report));
        }
        ensure!(
            output.exists(),
            "lp-build succeeded, but there is no {}",
            output.display()
        );
        Ok(output)
    }

    /// Builds a case's patch, which must be refused with the case's code.
    pub(crate) fn refusal(&self, case: &Case) -> Result<String> {
        let (output, status, report) = self.run(case)?;
        let wanted = case.guest.code.as_deref().unwrap_or_default();
        ensure!(
            status.code() == Some(REFUSED),
            "expected a refusal, got {status}: {}",
            why(&report)
        );
        ensure!(
            !output.exists(),
            "refused, but {} was written",
            output.display()
        );
        let codes: Vec<&str> = refusals(&report)
            .filter_map(|refusal| refusal.get("code")?.as_str())
            .collect();
        ensure!(
            codes.contains(&wanted),
            "expected the refusal `{wanted}`, got {codes:?}: {}",
            why(&report)
        );
        Ok(format!("refused: {wanted}"))
    }

    fn run(&self, case: &Case) -> Result<(PathBuf, ExitStatus, Value)> {
        let folder = paths::output("e2e");
        fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
        let output = folder.join(case.module()?);
        if output.exists() {
            fs::remove_file(&output).with_context(|| format!("remove {}", output.display()))?;
        }
        let fix = case.fix();
        let mut build = self.command(&Trees::Patch(&fix), &case.description(), &output, &cache());
        let done = command::output(build.args(["--report", "json"]).stdin(Stdio::null()))?;
        let report = serde_json::from_slice(&done.stdout).unwrap_or_else(|_| {
            // An error before there is anything to report: what it wrote for people is all there is.
            Value::String(String::from_utf8_lossy(&done.stderr).trim_end().to_owned())
        });
        Ok((output, done.status, report))
    }
}

/// Short paths, and none of this machine, in what people see.
pub(crate) fn relative(path: &Path) -> PathBuf {
    path.strip_prefix(paths::workspace())
        .unwrap_or(path)
        .to_path_buf()
}

/// Where lp-build keeps its prepared build folders.
pub(crate) fn cache() -> PathBuf {
    paths::output("lp-cache")
}

/// The reason in a report, for people.
fn why(report: &Value) -> String {
    if let Some(text) = report.as_str() {
        return text.to_owned();
    }
    if let Some(error) = report.get("error").and_then(Value::as_str) {
        return error.to_owned();
    }
    let text = |refusal: &Value, key: &str| {
        refusal
            .get(key)
            .and_then(Value::as_str)
            .unwrap_or("?")
            .to_owned()
    };
    let reasons: Vec<String> = refusals(report)
        .map(|refusal| {
            format!(
                "{} at {}: {}",
                text(refusal, "code"),
                text(refusal, "place"),
                text(refusal, "message")
            )
        })
        .collect();
    if reasons.is_empty() {
        format!("verdict {}", text(report, "verdict"))
    } else {
        reasons.join("; ")
    }
}

fn refusals(report: &Value) -> impl Iterator<Item = &Value> {
    report
        .get("refusals")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
}

//! `lp-verify`: may this livepatch be installed over those that are installed?

use anyhow::{Context, Result};
use clap::{Parser, ValueEnum};
use lp_verify::finding::Finding;
use lp_verify::patch::Patch;
use lp_verify::reader::Module;
use lp_verify::reader::layout::Layout;
use lp_verify::rules;
use serde::Serialize;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Says whether a livepatch module may be installed over those that are installed.
///
/// Exit status: 0 it may, 1 a file could not be read, 2 it may not.
#[derive(Parser)]
#[command(version)]
struct Cli {
    /// The module to install
    #[arg(value_name = "NEW.ko")]
    new: PathBuf,
    /// The modules that are installed, from the oldest to the newest
    #[arg(long, value_name = "OLD.ko", num_args = 1..)]
    installed: Vec<PathBuf>,
    /// The kernel's types: its vmlinux, or a file like /sys/kernel/btf/vmlinux
    #[arg(long, value_name = "FILE")]
    vmlinux: Option<PathBuf>,
    /// How to say it
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    Text,
    Json,
}

#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Accepted,
    Refused,
}

#[derive(Serialize)]
struct Report<'a> {
    verdict: Verdict,
    name: &'a str,
    version: &'a str,
    findings: &'a [Finding],
}

fn main() -> ExitCode {
    let cli = Cli::try_parse().unwrap_or_else(|error| {
        // Help and version are asked for; anything else is an error like others, and 2 means refused here.
        let status = if error.use_stderr() { 1 } else { 0 };
        let _ = error.print();
        std::process::exit(status);
    });
    match run(&cli) {
        Ok(code) => code,
        Err(error) => {
            print_error(&error, cli.format);
            ExitCode::FAILURE
        }
    }
}

/// Says what went wrong; where nobody listens the exit status says it.
fn print_error(error: &anyhow::Error, format: Format) {
    if let Format::Json = format {
        let report = serde_json::json!({ "verdict": "error", "error": format!("{error:#}") });
        let _ = writeln!(std::io::stdout().lock(), "{report:#}");
    }
    let _ = writeln!(std::io::stderr().lock(), "lp-verify: {error:#}");
}

fn run(cli: &Cli) -> Result<ExitCode> {
    let layout = cli.vmlinux.as_deref().map(read_layout).transpose()?;
    let new = Module::open(&cli.new, layout.as_ref())?;
    let installed = cli
        .installed
        .iter()
        .map(|path| Module::open(path, layout.as_ref()))
        .collect::<Result<Vec<_>, _>>()?;
    let findings = rules::check(&new, &installed);
    match cli.format {
        Format::Text => print_text(&new, &findings, installed.len())?,
        Format::Json => print_json(&new, &findings)?,
    }
    Ok(if findings.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(2)
    })
}

fn print_text(new: &Module, findings: &[Finding], installed: usize) -> Result<()> {
    let mut out = std::io::stdout().lock();
    for finding in findings {
        writeln!(out, "{finding}")?;
    }
    let verdict = if findings.is_empty() {
        "may"
    } else {
        "may not"
    };
    let Patch { name, version, .. } = new.patch();
    let version = if version.is_empty() {
        version
    } else {
        format!(" {version}")
    };
    writeln!(
        out,
        "{name}{version} {verdict} be installed over {installed} installed patches"
    )?;
    Ok(())
}

fn print_json(new: &Module, findings: &[Finding]) -> Result<()> {
    let verdict = if findings.is_empty() {
        Verdict::Accepted
    } else {
        Verdict::Refused
    };
    let patch = new.patch();
    let report = Report {
        verdict,
        name: &patch.name,
        version: &patch.version,
        findings,
    };
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", serde_json::to_string_pretty(&report)?)?;
    Ok(())
}

/// Large files are read in pieces: only the types of a vmlinux are needed.
fn read_layout(path: &Path) -> Result<Layout> {
    let file = || path.display().to_string();
    let layout = Layout::read(path).with_context(file)?;
    layout.with_context(|| format!("{}: no types of the livepatch core in its BTF", file()))
}

//! The step from one cumulative patch to the next: checked when a patch is built with `--previous`, and told by
//! `lp-build changelog`. What is compared are finished modules, by [`lp_verify::lineage`].

use crate::cli::{ChangelogArgs, ReportFormat};
use crate::progress::say;
use anyhow::{Context, Result};
use lp_verify::lineage::{Fate, Lineage, compare};
use lp_verify::reader::Module;
use std::fmt::Write;
use std::path::Path;
use std::process::ExitCode;

/// Compares a module that was just built with the one it shall follow.
pub fn check(previous: &Path, name: &str, new: &[u8], reverts: &[String]) -> Result<Lineage> {
    let old = Module::open(previous, None)?;
    let new = Module::parse(Path::new(name), new, None).context("our own module")?;
    Ok(compare(&old, &new, reverts))
}

/// `lp-build changelog`: 0 it may follow, 1 error, 2 it may not.
pub fn changelog(args: &ChangelogArgs) -> ExitCode {
    let compared = || -> Result<Lineage> {
        let (old, new) = (
            Module::open(&args.old, None)?,
            Module::open(&args.new, None)?,
        );
        Ok(compare(&old, &new, &args.revert))
    };
    let lineage = match compared() {
        Ok(lineage) => lineage,
        Err(error) => {
            let error = lp_cli::in_words(&error);
            say(format_args!("error: {error}"));
            if args.report == ReportFormat::Json {
                let report = serde_json::json!({ "verdict": "error", "error": error });
                print(&format!("{report:#}\n"));
            }
            return ExitCode::FAILURE;
        }
    };
    print(&match args.report {
        ReportFormat::Text => text(&lineage),
        ReportFormat::Json => format!("{:#}\n", serde_json::json!(lineage)),
    });
    ExitCode::from(if lineage.refusals.is_empty() { 0 } else { 2 })
}

fn print(text: &str) {
    // Who does not read to the end has seen enough.
    let _ = std::io::Write::write_all(&mut std::io::stdout().lock(), text.as_bytes());
}

/// The step in words.
pub fn text(lineage: &Lineage) -> String {
    let mut text = format!("from {} to {}\n", lineage.old, lineage.new);
    // Writing to a string does not fail.
    let out = &mut text;
    for (fate, function) in &lineage.functions {
        let _ = writeln!(
            out,
            "  {fate:13}  {} ({})",
            function.name,
            function.object.as_str()
        );
    }
    for state in &lineage.states {
        let version =
            |version: Option<u32>| version.map_or("none".to_owned(), |version| version.to_string());
        let _ = writeln!(
            out,
            "  state {} {}: version {} -> {}",
            state.id,
            state.name,
            version(state.old),
            version(state.new)
        );
    }
    for (word, objections) in [
        ("warning", &lineage.warnings),
        ("refused", &lineage.refusals),
    ] {
        for objection in objections {
            let _ = writeln!(
                out,
                "  {word}  {}: {} [{}]",
                objection.place, objection.message, objection.code
            );
        }
    }
    let count = |fate| {
        lineage
            .functions
            .iter()
            .filter(|(of, _)| *of == fate)
            .count()
    };
    let fates = [
        Fate::CarriedOn,
        Fate::PatchedAnew,
        Fate::Reverted,
        Fate::New,
    ];
    let counts: Vec<String> = fates
        .iter()
        .map(|fate| format!("{} {fate}", count(*fate)))
        .collect();
    let _ = writeln!(out, "{}", counts.join(", "));
    text
}

//! The sweep's result: a line for each file, a summary, and the same for machines.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Serialize;
use std::collections::BTreeMap;

use super::record::{Class, Record};

/// What a summary says.
#[derive(Debug, Serialize)]
struct Summary {
    files: usize,
    loaded: usize,
    /// Built, and not tried.
    built: usize,
    refused: usize,
    nothing: usize,
    failed: usize,
    /// Loaded, of those whose code in this kernel changed.
    percent: f64,
    with_headers: usize,
    /// Files by the code of a refusal.
    codes: BTreeMap<String, usize>,
    build_seconds: Times,
    load_ms: Times,
    transition_ms: Times,
}

#[derive(Debug, Serialize)]
struct Times {
    median: f64,
    max: f64,
}

/// One file's line.
pub(crate) fn line(record: &Record) -> String {
    let mut line = format!(
        "{:<8} {:>6.1} s  {}",
        word(record.class),
        record.build_seconds,
        record.file
    );
    if !record.headers.is_empty() {
        let _ = write!(line, " (with {})", record.headers.join(", "));
    }
    for (object, functions) in &record.patched {
        let _ = write!(line, "  {object}: {}", short(&functions.join(" ")));
    }
    if !record.why.is_empty() {
        let _ = write!(line, "  {}", short(&record.why));
    }
    line
}

/// Writes the table and the summary, also to the folder.
pub(crate) fn write(folder: &Path, records: &[Record]) -> Result<()> {
    let mut sorted: Vec<&Record> = records.iter().collect();
    sorted.sort_by_key(|record| (record.class, &record.file));
    let mut text = String::new();
    for record in &sorted {
        let milliseconds = |time: Option<u64>| time.map_or("-".into(), |time| format!("{time} ms"));
        let _ = writeln!(
            text,
            "{:>8} {:>8}  {}",
            milliseconds(record.load_ms),
            milliseconds(record.transition_ms),
            line(record)
        );
    }
    let summary = summary(records);
    text += &told(&summary);
    println!("\n{text}");
    let put = |name: &str, data: &[u8]| {
        let place = folder.join(name);
        fs::write(&place, data).with_context(|| format!("write {}", place.display()))
    };
    put("table.txt", text.as_bytes())?;
    let json = serde_json::json!({ "summary": summary, "files": sorted });
    put("results.json", &serde_json::to_vec_pretty(&json)?)
}

fn told(summary: &Summary) -> String {
    let mut text = format!(
        "\n{} files: {} built and loaded, {} built only, {} refused, {} nothing changed in this kernel, {} failed\n",
        summary.files,
        summary.loaded,
        summary.built,
        summary.refused,
        summary.nothing,
        summary.failed
    );
    let _ = writeln!(
        text,
        "{:.1} % of the files whose code in this kernel changed were built and loaded; {} came with headers",
        summary.percent, summary.with_headers
    );
    for (code, count) in &summary.codes {
        let _ = writeln!(text, "  refused: {code} {count}");
    }
    let times = [
        ("build", &summary.build_seconds, "s"),
        ("load", &summary.load_ms, "ms"),
        ("transition", &summary.transition_ms, "ms"),
    ];
    for (what, times, unit) in times {
        let _ = writeln!(
            text,
            "  {what}: median {:.1} {unit}, at most {:.1} {unit}",
            times.median, times.max
        );
    }
    text
}

fn summary(records: &[Record]) -> Summary {
    let count = |class| {
        records
            .iter()
            .filter(|record| record.class == class)
            .count()
    };
    let (loaded, nothing) = (count(Class::Loaded), count(Class::Nothing));
    let mut codes = BTreeMap::new();
    for code in records.iter().flat_map(|record| &record.codes) {
        *codes.entry(code.clone()).or_insert(0) += 1;
    }
    let changed = records.len() - nothing;
    Summary {
        files: records.len(),
        loaded,
        built: count(Class::Built),
        refused: count(Class::Refused),
        nothing,
        failed: count(Class::Failed),
        percent: 100.0 * loaded as f64 / changed.max(1) as f64,
        with_headers: records
            .iter()
            .filter(|record| !record.headers.is_empty())
            .count(),
        codes,
        build_seconds: times(
            records
                .iter()
                .filter(|record| matches!(record.class, Class::Loaded | Class::Built))
                .map(|record| record.build_seconds),
        ),
        load_ms: times(
            records
                .iter()
                .filter_map(|record| Some(record.load_ms? as f64)),
        ),
        transition_ms: times(
            records
                .iter()
                .filter_map(|record| Some(record.transition_ms? as f64)),
        ),
    }
}

fn times(values: impl Iterator<Item = f64>) -> Times {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    Times {
        median: values.get(values.len() / 2).copied().unwrap_or(0.0),
        max: values.last().copied().unwrap_or(0.0),
    }
}

fn word(class: Class) -> &'static str {
    match class {
        Class::Loaded => "loaded",
        Class::Built => "built",
        Class::Refused => "refused",
        Class::Nothing => "nothing",
        Class::Failed => "FAILED",
    }
}

/// One line of what may be many.
fn short(text: &str) -> String {
    const LENGTH: usize = 300;
    let mut line: String = text.replace('\n', " | ").chars().take(LENGTH).collect();
    if text.chars().count() > LENGTH {
        line.push('…');
    }
    line
}

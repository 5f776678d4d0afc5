//! `lp-build cache`: what is kept between runs, how large it is, and making it smaller.
//!
//! What is removed costs the next run time and nothing else. A folder that a run uses now is kept: its lock says so
//! ([`super`]).

use super::Cache;
use super::size::Entry;
use crate::cli::{CacheCommand, ReportFormat};
use crate::options;
use crate::progress::say;
use anyhow::Result;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

/// Does what the command says.
pub fn run(command: &CacheCommand) -> ExitCode {
    let done = match command {
        CacheCommand::List { cache, report } => list(cache.clone(), *report),
        CacheCommand::Clean { cache, max_size } => clean(cache.clone(), max_size.unwrap_or(0)),
    };
    match done {
        Ok(text) => {
            // Who does not read to the end has seen enough.
            let _ = std::io::stdout().lock().write_all(text.as_bytes());
            ExitCode::SUCCESS
        }
        Err(error) => {
            say(format_args!("error: {}", lp_cli::in_words(&error)));
            ExitCode::FAILURE
        }
    }
}

fn open(folder: Option<PathBuf>) -> Result<Cache> {
    Cache::open(&folder.map_or_else(options::default_cache, Ok)?)
}

fn list(folder: Option<PathBuf>, report: ReportFormat) -> Result<String> {
    let cache = open(folder)?;
    let entries = cache.entries();
    if report == ReportFormat::Json {
        return Ok(format!("{:#}\n", serde_json::json!(entries)));
    }
    let mut text = String::new();
    for entry in &entries {
        let Entry { bytes, name, .. } = entry;
        // Writing to a string does not fail.
        let _ = writeln!(text, "{:>9}  {:>9} ago  {name}", size(*bytes), entry.age());
    }
    let total = entries.iter().map(|entry| entry.bytes).sum();
    let _ = writeln!(
        text,
        "{:>9}  in all, {} in {}",
        size(total),
        count(entries.len()),
        cache.root().display()
    );
    Ok(text)
}

fn clean(folder: Option<PathBuf>, most: u64) -> Result<String> {
    let cache = open(folder)?;
    let (removed, busy) = cache.shrink(most);
    let bytes = removed.iter().map(|entry| entry.bytes).sum();
    let mut text = format!("removed {}, {}\n", count(removed.len()), size(bytes));
    for name in busy {
        let _ = writeln!(text, "kept {name}: a run uses it");
    }
    Ok(text)
}

fn count(entries: usize) -> String {
    match entries {
        1 => "1 entry".to_owned(),
        more => format!("{more} entries"),
    }
}

/// A size for people.
fn size(bytes: u64) -> String {
    match bytes {
        0..0x10_0000 => format!("{} KiB", bytes >> 10),
        0x10_0000..0x4000_0000 => format!("{} MiB", bytes >> 20),
        _ => format!("{:.1} GiB", bytes as f64 / f64::from(1 << 30)),
    }
}

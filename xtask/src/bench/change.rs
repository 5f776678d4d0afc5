//! Changes that are made for the benchmark: many files, each with one changed function, and a header that many include.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};

/// Where the files are taken from.
const FOLDERS: [&str; 8] = [
    "fs", "mm", "kernel", "net/core", "net/ipv4", "block", "fs/proc", "ipc",
];
/// So that not one folder gives all.
const OF_A_FOLDER: usize = 9;
/// The header; on the pinned kernel some hundred and fifty files include it.
const HEADER: &str = "include/net/netfilter/nf_conntrack.h";
const BEFORE: &str = "return -EINVAL;";
const AFTER: &str = "return -ERANGE;";
/// Lines of context that a patch shows.
const CONTEXT: usize = 3;

/// A patch that changes an error number in the last function that has one, in so many files.
pub(super) fn of_files(source: &Path, count: usize) -> Result<String> {
    let mut patch = String::new();
    let mut found = 0;
    for folder in FOLDERS {
        let mut names: Vec<_> = fs::read_dir(source.join(folder))
            .with_context(|| format!("read {folder} of the source"))?
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .filter(|name| name.ends_with(".c"))
            .collect();
        names.sort();
        let hunks = names.iter().filter_map(|name| {
            let path = format!("{folder}/{name}");
            let text = fs::read(source.join(&path)).ok()?;
            hunk(&path, &String::from_utf8_lossy(&text))
        });
        for hunk in hunks.take(OF_A_FOLDER.min(count - found)) {
            patch.push_str(&hunk);
            found += 1;
        }
    }
    ensure!(found == count, "only {found} files of {count} were found");
    Ok(patch)
}

/// A patch that adds a function to the header, which nobody uses.
pub(super) fn of_header(source: &Path) -> Result<String> {
    let text = fs::read_to_string(source.join(HEADER)).with_context(|| format!("read {HEADER}"))?;
    let lines: Vec<&str> = text.lines().collect();
    let at = lines.iter().rposition(|line| line.starts_with("#endif"));
    let at = at.context("the header has no include guard")?;
    let added = "static inline int lp_bench(void) { return 0; }";
    Ok(diff(HEADER, &lines, at, &[&format!("+{added}")]))
}

fn hunk(path: &str, text: &str) -> Option<String> {
    let lines: Vec<&str> = text.lines().collect();
    let mut head = "";
    let mut found = None;
    for (at, line) in lines.iter().enumerate() {
        if line.starts_with(|first: char| first.is_ascii_alphabetic()) {
            head = line;
        }
        // What runs once, or has no body of its own, cannot be patched alone.
        let unfit = ["__init", "__exit", "inline"];
        if line.trim() == BEFORE && !unfit.iter().any(|word| head.contains(word)) {
            found = Some(at);
        }
    }
    let at = found?;
    let old = lines.get(at)?;
    let change = [
        format!("-{old}"),
        format!("+{}", old.replace(BEFORE, AFTER)),
    ];
    Some(diff(
        path,
        &lines,
        at,
        &change.each_ref().map(String::as_str),
    ))
}

/// One hunk at a line (from 0), with its context; `change` are its `-` and `+` lines.
fn diff(path: &str, lines: &[&str], at: usize, change: &[&str]) -> String {
    let gone = change.iter().filter(|line| line.starts_with('-')).count();
    let come = change.len() - gone;
    let (start, end) = (
        at.saturating_sub(CONTEXT),
        (at + gone + CONTEXT).min(lines.len()),
    );
    let kept = end - start - gone;
    let context =
        |lines: &[&str]| -> String { lines.iter().map(|line| format!(" {line}\n")).collect() };
    format!(
        "--- a/{path}\n+++ b/{path}\n@@ -{0},{1} +{0},{2} @@\n{3}{4}\n{5}",
        start + 1,
        kept + gone,
        kept + come,
        context(&lines[start..at]),
        change.join("\n"),
        context(&lines[at + gone..end]),
    )
}

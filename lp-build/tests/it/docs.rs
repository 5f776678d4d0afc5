//! The book in `docs/`: it says what is so today.

use crate::message;
use lp_build::describe;
use lp_build::report::Report;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

#[path = "../../../tests/support/commands_page.rs"]
mod commands_page;

const FORMATS: &str = include_str!("../../../docs/formats.md");

#[test]
fn every_command_and_option_is_in_the_reference() {
    commands_page::check("lp-build", env!("CARGO_BIN_EXE_lp-build"));
}

#[test]
fn every_key_of_a_description_is_in_the_formats() {
    let tables = [
        ("", ""),
        ("[[state]]\n", "state."),
        ("[[shadow]]\n", "shadow."),
    ];
    for (table, prefix) in tables {
        // The parser lists its keys where it meets another one, so none can be forgotten here.
        let said = message(describe::parse(&format!("{table}no-such-key = 1\n")));
        let (_, keys) = said.split_once("expected").expect("a list of keys");
        let keys: Vec<&str> = keys.split('`').skip(1).step_by(2).collect();
        assert!(keys.len() > 1, "{said}");
        for key in keys {
            let table = ["state", "shadow"].contains(&key) && prefix.is_empty();
            let row = if table {
                format!("| `[[{key}]]` |")
            } else {
                format!("| `{prefix}{key}` |")
            };
            assert!(FORMATS.contains(&row), "docs/formats.md has no row '{row}'");
        }
    }
}

#[test]
fn every_field_of_the_report_is_in_the_formats() {
    let (_, section) = FORMATS
        .split_once("\n### lp-build kernel\n")
        .expect("a section");
    let section = section.split("\n### ").next().expect("its text");
    let report = serde_json::json!(Report::default());
    let fields = report.as_object().expect("an object").keys();
    let missing: Vec<&String> = fields
        .filter(|field| !section.contains(&format!("`{field}`")))
        .collect();
    assert!(
        missing.is_empty(),
        "docs/formats.md, lp-build kernel: {missing:?}"
    );
}

#[test]
fn every_page_is_in_the_summary() {
    let summary = read(&docs().join("SUMMARY.md"));
    for page in pages() {
        let name = page
            .file_name()
            .and_then(|name| name.to_str())
            .expect("a name");
        let listed = name == "SUMMARY.md" || summary.contains(&format!("({name})"));
        assert!(listed, "docs/SUMMARY.md does not list {name}");
    }
}

#[test]
fn every_link_leads_somewhere() {
    let readme = docs().join("../README.md");
    let lost: Vec<String> = pages()
        .iter()
        .chain([&readme])
        .flat_map(|page| lost(page))
        .collect();
    assert!(lost.is_empty(), "{lost:#?}");
}

/// The links of a page that lead nowhere.
fn lost(page: &Path) -> Vec<String> {
    let text = read(page);
    let links = text
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split(')').next());
    let lost = links.filter(|link| !link.contains("://") && !leads_somewhere(page, link));
    lost.map(|link| format!("{}: {link}", page.display()))
        .collect()
}

fn leads_somewhere(page: &Path, link: &str) -> bool {
    let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
    let folder = page.parent().expect("a page is in a folder");
    let target = if path.is_empty() {
        page.to_owned()
    } else {
        folder.join(path)
    };
    target.exists() && (anchor.is_empty() || anchors(&read(&target)).contains(anchor))
}

/// What the titles of a page can be linked by.
fn anchors(text: &str) -> BTreeSet<String> {
    let anchor = |title: &str| -> String {
        let kept = title
            .chars()
            .filter(|c| c.is_alphanumeric() || " -_".contains(*c));
        kept.collect::<String>().to_lowercase().replace(' ', "-")
    };
    let titles = text
        .lines()
        .filter_map(|line| line.trim_start_matches('#').strip_prefix(' '));
    titles.map(anchor).collect()
}

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs")
}

fn pages() -> Vec<PathBuf> {
    let entries = fs::read_dir(docs()).expect("the folder docs");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let mut pages: Vec<PathBuf> = paths
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .collect();
    pages.sort();
    pages
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

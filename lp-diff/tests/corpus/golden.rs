//! The expected reports.
//!
//! `report.txt` holds for all compilers of a case but those that have a file of their own: `report.clang-19.txt` for
//! one, `report.clang.txt` for both. Such a file opens with a line `# ...` that says what the compiler does
//! differently, and rightly so. Where the differ is known to be wrong (`//#Known`) the report still says what is right.
//! `UPDATE_GOLDEN=1` writes them all; it leaves the reason to a person.

use crate::built::{self, Built};
use crate::case::Case;
use crate::compiler::Compiler;
use crate::parallel;
use crate::render::render;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;

/// What is written where a reason is missing, and never accepted.
const NO_REASON: &str = "# why?";

#[test]
fn every_case_reports_what_it_pins() {
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let mut cases: BTreeMap<&str, Vec<&Built>> = BTreeMap::new();
    for built in built::all() {
        cases.entry(&built.case.name).or_default().push(built);
    }
    let cases: Vec<Vec<&Built>> = cases.into_values().collect();
    let problems = parallel::map(&cases, |built| {
        let golden = Golden::new(built);
        if update {
            golden.write();
        }
        golden.problems()
    });
    let wrong: Vec<String> = problems.into_iter().flatten().collect();
    assert!(
        wrong.is_empty(),
        "{} reports are wrong (UPDATE_GOLDEN=1 writes them):\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

/// The reports of one case.
struct Golden {
    case: &'static Case,
    reports: BTreeMap<Compiler, String>,
}

impl Golden {
    fn new(built: &[&Built]) -> Self {
        let report = |built: &&Built| (built.compiler, render(built.diff()));
        Self {
            case: built[0].case,
            reports: built.iter().map(report).collect(),
        }
    }

    fn problems(&self) -> Vec<String> {
        let mut used = BTreeSet::new();
        let mut problems = Vec::new();
        for (compiler, got) in &self.reports {
            let file = self.file_for(*compiler);
            let (reason, expected) = self.read(&file);
            let known = self.case.directives.known_wrong.contains(compiler);
            let (case, compiler) = (&self.case.name, compiler.name());
            match (known, expected == *got) {
                (true, true) => problems.push(format!("{case}: {compiler} is no longer wrong")),
                (false, false) => problems.push(format!("{case}/{file}, {compiler} says:\n{got}")),
                _ => {}
            }
            if file != "report.txt" && (reason.is_empty() || reason == NO_REASON) {
                problems.push(format!("{case}/{file}: no reason given"));
            }
            used.insert(file);
        }
        if self.case.has_all_compilers() {
            let stale = self.files().into_iter().filter(|file| !used.contains(file));
            problems.extend(stale.map(|file| format!("{}/{file}: not used", self.case.name)));
        }
        problems
    }

    /// The most special file that exists for a compiler.
    fn file_for(&self, compiler: Compiler) -> String {
        let names = names(compiler).into_iter();
        let mut existing = names.filter(|name| self.case.folder.join(name).exists());
        existing.next().unwrap_or_else(|| "report.txt".to_owned())
    }

    fn files(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.case.folder).expect("the case's folder");
        entries
            .map(|entry| entry.expect("an entry").file_name())
            .map(|name| name.to_string_lossy().into_owned())
            .filter(|name| name.starts_with("report."))
            .collect()
    }

    /// The reason that a file opens with, and its report.
    fn read(&self, file: &str) -> (String, String) {
        let text = fs::read_to_string(self.case.folder.join(file)).unwrap_or_default();
        match text.split_once('\n') {
            Some((reason, rest)) if reason.starts_with('#') => (reason.to_owned(), rest.to_owned()),
            _ => (String::new(), text),
        }
    }

    fn write(&self) {
        let name = &self.case.name;
        assert!(
            self.case.has_all_compilers(),
            "{name}: UPDATE_GOLDEN needs all its compilers"
        );
        let mut files: BTreeMap<String, String> = BTreeMap::new();
        let known = &self.case.directives.known_wrong;
        for file in known.iter().map(|compiler| self.file_for(*compiler)) {
            if file != "report.txt" {
                files.insert(file.clone(), self.read(&file).1);
            }
        }
        let right = self.reports.iter().filter(|(one, _)| !known.contains(one));
        for (compiler, report) in right {
            // From the most general name to the most special, the first that is free or says the same.
            let mut names = names(*compiler);
            names.push("report.txt".to_owned());
            let fits = |name: &&String| files.get(*name).is_none_or(|there| there == report);
            if let Some(name) = names.iter().rev().find(fits) {
                files.insert(name.clone(), report.clone());
            }
        }
        for stale in self.files() {
            if !files.contains_key(&stale) {
                fs::remove_file(self.case.folder.join(stale)).expect("a stale report");
            }
        }
        for (file, report) in &files {
            let text = match (file.as_str(), self.read(file).0) {
                ("report.txt", _) => report.clone(),
                (_, reason) if reason.is_empty() => format!("{NO_REASON}\n{report}"),
                (_, reason) => format!("{reason}\n{report}"),
            };
            fs::write(self.case.folder.join(file), text).expect("a report");
        }
    }
}

/// The files that can hold a compiler's own report, the most special first.
fn names(compiler: Compiler) -> Vec<String> {
    let own = format!("report.{}.txt", compiler.name());
    let family = compiler.is_clang().then(|| "report.clang.txt".to_owned());
    std::iter::once(own).chain(family).collect()
}

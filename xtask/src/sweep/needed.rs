//! Which changed headers a file needs, from what the compiler says without them.
//!
//! All changed headers that it includes would be the tempting way: any file includes a thousand, an update changes scores of them, and
//! each brings all of its users along. So only those whose changed lines have a word that the compiler complains of, among those that
//! the file includes at all. A header may need another in turn: this is asked again until the file compiles.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs;
use std::path::Path;

use super::changes::Changes;

/// The headers to add to those that the fix has already; none if the message is about something else.
pub(crate) fn headers(
    message: &str,
    file: &str,
    has: &BTreeSet<String>,
    changes: &Changes,
) -> BTreeSet<String> {
    let included = included(file, changes);
    let candidates: Vec<Candidate> = included
        .iter()
        .filter(|header| changes.headers.contains(*header) && !has.contains(*header))
        .map(|header| Candidate::read(header, changes))
        .collect();
    let mut needed = BTreeSet::new();
    for line in message.lines().filter(|line| line.contains("error:")) {
        let words = quoted(line);
        let touched: Vec<&Candidate> = candidates
            .iter()
            .filter(|candidate| words.iter().any(|word| candidate.touched.contains(word)))
            .collect();
        // `'struct a' has no member named 'b'`: many headers have a `b`, few have both.
        let all = touched
            .iter()
            .filter(|candidate| words.iter().all(|word| candidate.words.contains(word)));
        let best: Vec<&str> = all.map(|candidate| candidate.name).collect();
        if best.is_empty() {
            needed.extend(touched.iter().map(|candidate| candidate.name.to_owned()));
        } else {
            needed.extend(best.into_iter().map(str::to_owned));
        }
    }
    needed
}

struct Candidate<'a> {
    name: &'a str,
    /// Of the lines that only one of the versions has.
    touched: BTreeSet<String>,
    /// Of all of it.
    words: BTreeSet<String>,
}

impl<'a> Candidate<'a> {
    fn read(name: &'a str, changes: &Changes) -> Self {
        let read = |tree: &Path| fs::read_to_string(tree.join(name)).unwrap_or_default();
        let (old, new) = (read(&changes.old), read(&changes.new));
        let (before, after): (BTreeSet<&str>, BTreeSet<&str>) =
            (old.lines().collect(), new.lines().collect());
        let touched = before.symmetric_difference(&after);
        Self {
            name,
            touched: touched.flat_map(|line| identifiers(line)).collect(),
            words: identifiers(&new).chain(identifiers(name)).collect(),
        }
    }
}

/// The identifiers between quotes; a header that is not there is named at the line's end, without any.
fn quoted(line: &str) -> BTreeSet<String> {
    const NOT_NAMES: [&str; 6] = ["struct", "union", "enum", "const", "unsigned", "int"];
    let parts = line.split(['\'', '\u{2018}', '\u{2019}']);
    let quoted = parts.skip(1).step_by(2);
    quoted
        .flat_map(identifiers)
        .filter(|word| !NOT_NAMES.contains(&word.as_str()))
        .collect()
}

fn identifiers(text: &str) -> impl Iterator<Item = String> + '_ {
    text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_')
        .filter(|word| !word.is_empty() && !word.starts_with(|first: char| first.is_ascii_digit()))
        .map(str::to_owned)
}

/// All headers that a file may include, through others too: every header of the tree whose path ends as the `#include` says.
fn included(file: &str, changes: &Changes) -> BTreeSet<String> {
    let mut by_name: BTreeMap<&str, Vec<&String>> = BTreeMap::new();
    for header in &changes.all_headers {
        let name = header.rsplit('/').next().unwrap_or(header);
        by_name.entry(name).or_default().push(header);
    }
    let mut found = BTreeSet::new();
    let mut open: VecDeque<String> = [file.to_owned()].into();
    while let Some(next) = open.pop_front() {
        let text = fs::read(changes.new.join(&next)).unwrap_or_default();
        for line in String::from_utf8_lossy(&text).lines() {
            let Some(said) = include(line) else { continue };
            let name = said.rsplit('/').next().unwrap_or(said);
            for header in by_name.get(name).into_iter().flatten() {
                let is_it = ends_as(header, said) && for_this_machine(header);
                if is_it && found.insert((*header).clone()) {
                    open.push_back((*header).clone());
                }
            }
        }
    }
    found
}

/// `a/b.h` of `# include <a/b.h>` and of `#include "../a/b.h"`.
fn include(line: &str) -> Option<&str> {
    let rest = line.trim_start().strip_prefix('#')?.trim_start();
    let rest = rest.strip_prefix("include")?.trim_start();
    let said = rest.strip_prefix(['<', '"'])?.split(['>', '"']).next()?;
    Some(said.rsplit("../").next().unwrap_or(said))
}

fn ends_as(header: &str, said: &str) -> bool {
    header
        .strip_suffix(said)
        .is_some_and(|before| before.is_empty() || before.ends_with('/'))
}

fn for_this_machine(header: &str) -> bool {
    !header.starts_with("arch/") || header.starts_with("arch/x86/")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;

    use super::super::changes;

    const MESSAGE: &str =
        "net/a.c:3:9: error: 'struct one' has no member named 'late'\n    3 | x.late = 1;";

    #[test]
    fn the_header_that_the_compiler_misses_and_no_other() {
        let folder = tempfile::tempdir().unwrap();
        for (tree, field) in [("old", ""), ("new", "int late;")] {
            let root = folder.path().join(tree);
            fs::create_dir_all(root.join("include/net")).unwrap();
            fs::create_dir_all(root.join("net")).unwrap();
            let write = |file: &str, text: String| fs::write(root.join(file), text).unwrap();
            write("net/a.c", "#include <net/middle.h>\n".into());
            write(
                "include/net/middle.h",
                "#include \"one.h\"\n#include <net/two.h>\n".into(),
            );
            write(
                "include/net/one.h",
                format!("struct one {{\n{field}\n}};\n"),
            );
            write(
                "include/net/two.h",
                format!("struct two {{\n{field}\n}};\n"),
            );
            write(
                "include/net/far.h",
                format!("struct one {{\n{field}\n}};\n"),
            );
        }
        let changes =
            changes::between(&folder.path().join("old"), &folder.path().join("new")).unwrap();
        let needed = super::headers(MESSAGE, "net/a.c", &BTreeSet::new(), &changes);
        assert_eq!(needed, ["include/net/one.h".to_owned()].into());
        assert!(super::headers(MESSAGE, "net/a.c", &needed, &changes).len() <= 1);
    }
}

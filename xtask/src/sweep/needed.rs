//! Which changed headers a file needs, from what the compiler says without them.
//!
//! All changed headers that it includes would be the tempting way: any file includes a thousand, an update changes scores of them, and
//! each brings all of its users along. So only those whose changed lines have a word that the compiler complains of, among those that
//! the file includes at all. A header may need another in turn: this is asked again until the file compiles.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs;
use std::path::Path;

use super::changes::Changes;
use super::needs::Needs;

/// Lines on either side of a changed one: a declaration with many parameters is as long.
const CONTEXT: usize = 8;

/// The headers that the fix needs more of than it has, with the words that the compiler misses of each; none if the message is
/// about something else. Those that it has the `whole` of cannot help.
pub(crate) fn headers(
    message: &str,
    file: &str,
    whole: &BTreeSet<String>,
    changes: &Changes,
) -> BTreeMap<String, BTreeSet<String>> {
    let included = included(file, changes);
    let candidates: Vec<Candidate> = included
        .iter()
        .filter(|header| changes.headers.contains(*header) && !whole.contains(*header))
        .map(|header| Candidate::read(header, changes))
        .collect();
    let mut needed: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for line in message.lines().filter(|line| line.contains("error:")) {
        let words = quoted(line);
        // A parameter is added on the second line of a declaration, whose name is on the first.
        let near = [Near::Changed, Near::Context].map(|near| best(&candidates, &words, near));
        let found = near.into_iter().find(|headers| !headers.is_empty());
        for header in found.into_iter().flatten() {
            let known = needed.entry(header.to_owned()).or_default();
            known.extend(words.iter().cloned());
        }
    }
    needed
}

/// The other sources that belong to the fix, where it is not `file` that does not compile: a header changed what they must say,
/// too. That one, and each that the update changed and that includes one of the fix's headers by itself.
pub(crate) fn sources(
    message: &str,
    file: &str,
    needs: &Needs,
    changes: &Changes,
) -> BTreeSet<String> {
    let failed = message.lines().find_map(|line| {
        let (before, _) = line.split_once(" of the tree ")?;
        before.rsplit([' ', ':']).next()
    });
    let failed = failed.filter(|failed| *failed != file && changes.sources.contains(*failed));
    let Some(failed) = failed else {
        return BTreeSet::new();
    };
    let names: Vec<&str> = needs
        .headers()
        .map(|header| header.rsplit('/').next().unwrap_or(header))
        .collect();
    let includes_one = |source: &&String| {
        let text = fs::read(changes.new.join(source)).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let mut said = text.lines().filter_map(include);
        said.any(|said| names.contains(&said.rsplit('/').next().unwrap_or(said)))
    };
    let near = changes.sources.iter().filter(includes_one).cloned();
    let all: BTreeSet<String> = near.chain([failed.to_owned()]).collect();
    all.into_iter().filter(|source| source != file).collect()
}

/// Where in a header a word may be.
#[derive(Clone, Copy)]
enum Near {
    /// On a line that only one of the versions has.
    Changed,
    /// On such a line or a few lines from one.
    Context,
}

/// The headers with one of the words there; of those the ones that have the most of the words anywhere: in
/// `'struct a' has no member named 'b'` many headers have a `b`, few have both.
fn best<'a>(candidates: &[Candidate<'a>], words: &BTreeSet<String>, near: Near) -> Vec<&'a str> {
    let has_one = |candidate: &&Candidate<'a>| {
        let place = match near {
            Near::Changed => &candidate.changed,
            Near::Context => &candidate.context,
        };
        words.iter().any(|word| place.contains(word))
    };
    let touched: Vec<&Candidate<'a>> = candidates.iter().filter(has_one).collect();
    let count = |candidate: &Candidate<'a>| words.intersection(&candidate.words).count();
    let most = touched.iter().map(|found| count(found)).max();
    touched
        .iter()
        .filter(|found| Some(count(found)) == most)
        .map(|found| found.name)
        .collect()
}

struct Candidate<'a> {
    name: &'a str,
    changed: BTreeSet<String>,
    context: BTreeSet<String>,
    /// Of all of it.
    words: BTreeSet<String>,
}

impl<'a> Candidate<'a> {
    fn read(name: &'a str, changes: &Changes) -> Self {
        let read = |tree: &Path| fs::read_to_string(tree.join(name)).unwrap_or_default();
        let (old, new) = (read(&changes.old), read(&changes.new));
        let words_near = |lines: usize| {
            let both = near_changes(&old, &new, lines).chain(near_changes(&new, &old, lines));
            both.flat_map(identifiers).collect()
        };
        Self {
            name,
            changed: words_near(0),
            context: words_near(CONTEXT),
            words: identifiers(&new).chain(identifiers(name)).collect(),
        }
    }
}

/// The lines of a text that the other does not have, and so many before and after them.
fn near_changes<'t>(text: &'t str, other: &str, context: usize) -> impl Iterator<Item = &'t str> {
    let other: BTreeSet<&str> = other.lines().collect();
    let lines: Vec<&str> = text.lines().collect();
    let is_new: Vec<bool> = lines.iter().map(|line| !other.contains(line)).collect();
    lines.into_iter().enumerate().filter_map(move |(at, line)| {
        let window = is_new.get(at.saturating_sub(context)..(at + context + 1).min(is_new.len()));
        window?.contains(&true).then_some(line)
    })
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

pub(super) fn identifiers(text: &str) -> impl Iterator<Item = String> + '_ {
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
            // What is beside the file that says so in quotes is meant, and no other file of that name.
            let beside = Path::new(&next).with_file_name(said);
            if line.contains('"') && changes.new.join(&beside).is_file() {
                let beside = beside.display().to_string();
                if found.insert(beside.clone()) {
                    open.push_back(beside);
                }
                continue;
            }
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
    use super::Needs;

    #[test]
    fn a_declaration_s_name_is_near_its_changed_parameters() {
        let (old, new) = (
            "int f(int a,\n int b);\n",
            "int f(int a,\n int b, int c);\n",
        );
        assert_eq!(super::near_changes(new, old, 0).count(), 1);
        assert_eq!(super::near_changes(new, old, 1).count(), 2);
        assert_eq!(super::near_changes(old, old, 1).count(), 0);
    }

    #[test]
    fn another_source_that_a_header_breaks_comes_along() {
        let folder = tempfile::tempdir().unwrap();
        for tree in ["old", "new"] {
            let root = folder.path().join(tree);
            fs::create_dir_all(root.join("net")).unwrap();
            for (name, include) in [("a", "one.h"), ("b", "one.h"), ("c", "two.h"), ("d", "")] {
                let text = format!("#include \"{include}\"\n// {tree}\n");
                fs::write(root.join(format!("net/{name}.c")), text).unwrap();
            }
        }
        let changes =
            changes::between(&folder.path().join("old"), &folder.path().join("new")).unwrap();
        let mut needs = Needs::default();
        needs.add([("net/one.h".to_owned(), ["late".to_owned()].into())].into());
        let of = |message: &str| -> Vec<String> {
            let found = super::sources(message, "net/a.c", &needs, &changes);
            found.into_iter().collect()
        };
        assert!(of("net/a.c of the tree x does not compile").is_empty());
        assert!(of("net/far.c of the tree x does not compile").is_empty());
        let other =
            of("does it need another?: net/d.c of the tree x does not compile:\n net/d.c:3");
        assert_eq!(other, ["net/b.c", "net/d.c"]);
    }

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
        let names: Vec<&str> = needed.keys().map(String::as_str).collect();
        assert_eq!(names, ["include/net/one.h"]);
        let whole = names.into_iter().map(str::to_owned).collect();
        let more = super::headers(MESSAGE, "net/a.c", &whole, &changes);
        let names: Vec<&str> = more.keys().map(String::as_str).collect();
        assert_eq!(names, ["include/net/two.h"], "the next best");
    }
}

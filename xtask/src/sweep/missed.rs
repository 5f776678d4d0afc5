//! What the compiler complains of: where, and which names it says.

use std::collections::BTreeSet;

use super::items::identifiers;

/// One error.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Missed {
    /// The source that was compiled.
    pub(crate) source: String,
    /// The file with the error, and the line from 1.
    pub(crate) file: String,
    pub(crate) line: usize,
    /// Names between quotes.
    pub(crate) quoted: BTreeSet<String>,
    /// Names of the line of code that it shows.
    pub(crate) code: BTreeSet<String>,
}

/// The errors of a message of lp-build's, which may tell of several sources.
pub(crate) fn missed(message: &str) -> Vec<Missed> {
    let mut found = Vec::<Missed>::new();
    let mut source = String::new();
    let mut lines = message.lines().peekable();
    while let Some(line) = lines.next() {
        if let Some((before, _)) = line.split_once(" of the tree ") {
            source = before
                .rsplit([' ', '('])
                .next()
                .unwrap_or(before)
                .to_owned();
        }
        let Some((place, said)) = line.split_once("error: ") else {
            continue;
        };
        let mut parts = place.trim_end().trim_end_matches(" fatal").split(':');
        let file = parts.next().unwrap_or_default().to_owned();
        let code = lines.peek().filter(|line| is_code(line));
        found.push(Missed {
            source: source.clone(),
            file,
            line: parts.next().and_then(|line| line.parse().ok()).unwrap_or(0),
            quoted: names(quoted(said)),
            code: code.map(|line| names([*line])).unwrap_or_default(),
        });
    }
    found
}

/// The names that nothing in the patch or the kernel defines.
pub(crate) fn undefined(message: &str) -> BTreeSet<String> {
    const SAID: &str = "neither the kernel nor the patch has: ";
    let after = message.split(SAID).skip(1);
    after
        .filter_map(|rest| identifiers(rest.split([':', '\n']).next()?).next())
        .map(str::to_owned)
        .collect()
}

/// `  201 |         child = f(a);`
fn is_code(line: &str) -> bool {
    let number = line.split_once('|').map(|(number, _)| number.trim());
    number.is_some_and(|number| number.parse::<usize>().is_ok())
}

fn quoted(line: &str) -> impl Iterator<Item = &str> {
    let parts = line.split(['\'', '\u{2018}', '\u{2019}']);
    parts.skip(1).step_by(2)
}

fn names<'t>(texts: impl IntoIterator<Item = &'t str>) -> BTreeSet<String> {
    const NOT_NAMES: [&str; 18] = [
        "struct", "union", "enum", "const", "unsigned", "int", "long", "char", "void", "if", "for",
        "while", "return", "static", "sizeof", "bool", "inline", "NULL",
    ];
    let words = texts.into_iter().flat_map(identifiers);
    words
        .filter(|word| !NOT_NAMES.contains(word))
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{missed, undefined};

    #[test]
    fn each_error_has_its_source_place_and_names() {
        let message = "does it need another?: net/a.c of the tree /x does not compile:\nIn file included from include/b.h:2,\n                 from net/a.c:1:\ninclude/b.h:7:9: error: 'struct one' has no member named 'late'; did you mean 'l'?\n    7 |  return x->late;\n      |           ^~\nnet/c.c of the tree /x does not compile:\nnet/c.c:3:1: fatal error: d.h: No such file\n";
        let found = missed(message);
        let names: Vec<Vec<&str>> = found
            .iter()
            .map(|missed| missed.quoted.iter().map(String::as_str).collect())
            .collect();
        assert_eq!(names, [vec!["l", "late", "one"], vec![]]);
        let places: Vec<_> = found
            .iter()
            .map(|missed| (missed.source.as_str(), missed.file.as_str(), missed.line))
            .collect();
        assert_eq!(
            places,
            [("net/a.c", "include/b.h", 7), ("net/c.c", "net/c.c", 3)]
        );
        assert!(
            found
                .first()
                .is_some_and(|missed| missed.code.contains("x"))
        );
    }

    #[test]
    fn undefined_names_are_those_after_the_words() {
        let found = undefined(
            "unresolved at a: the new code refers to what neither the kernel nor the patch has: g: define it",
        );
        assert_eq!(found.into_iter().collect::<Vec<_>>(), ["g"]);
    }
}

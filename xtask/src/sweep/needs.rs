//! How much of the changed headers comes along with a file: the hunks that it needs, and whole headers where that does not do.
//!
//! Who backports a fix takes the new helper function, not all that the update did to its header; and a header that
//! half of the kernel includes is expensive with every line.

use std::collections::{BTreeMap, BTreeSet};

use super::needed::identifiers;

/// What is known to be needed so far.
#[derive(Debug, Default)]
pub(crate) struct Needs {
    /// Header: the words that the compiler missed.
    words: BTreeMap<String, BTreeSet<String>>,
    /// Other sources, whole.
    sources: BTreeSet<String>,
    /// Headers of which hunks did not do.
    pub(crate) whole: BTreeSet<String>,
}

impl Needs {
    /// Takes what the compiler missed now; whether that changes anything.
    pub(crate) fn add(&mut self, missed: BTreeMap<String, BTreeSet<String>>) -> bool {
        let mut is_more = false;
        for (header, words) in missed {
            let known = self.words.entry(header.clone()).or_default();
            let before = known.len();
            known.extend(words);
            is_more |= known.len() > before || self.whole.insert(header);
        }
        is_more
    }

    /// Takes other sources that the headers' changes ask for; whether there is a new one.
    pub(crate) fn add_sources(&mut self, sources: BTreeSet<String>) -> bool {
        let before = self.sources.len();
        self.sources.extend(sources);
        self.sources.len() > before
    }

    /// The headers.
    pub(crate) fn headers(&self) -> impl Iterator<Item = &String> {
        self.words.keys()
    }

    /// All that comes along.
    pub(crate) fn files(&self) -> impl Iterator<Item = &String> {
        self.words.keys().chain(&self.sources)
    }

    /// What of a header's diff comes along; `old` is its text before.
    pub(crate) fn part(&self, header: &str, diff: &str, old: &str) -> String {
        match self.words.get(header) {
            Some(words) if !self.whole.contains(header) && !old.is_empty() => {
                hunks_with(diff, words, old)
            }
            _ => diff.to_owned(),
        }
    }
}

/// The hunks that bring a word that is new in the header, else those that change a line with a word, else those that show one.
fn hunks_with(diff: &str, words: &BTreeSet<String>, old: &str) -> String {
    let known: BTreeSet<String> = identifiers(old).collect();
    let fresh: BTreeSet<String> = words.difference(&known).cloned().collect();
    let (names, hunks) = split(diff);
    for (words, all_lines) in [(&fresh, false), (words, false), (words, true)] {
        let has = |line: &str| identifiers(line).any(|word| words.contains(&word));
        let wanted = |hunk: &&String| {
            let mut lines = hunk.lines().skip(1);
            lines.any(|line| (all_lines || line.starts_with(['+', '-'])) && has(line))
        };
        let kept: String = hunks.iter().filter(wanted).cloned().collect();
        if !kept.is_empty() {
            return names + &kept;
        }
    }
    diff.to_owned()
}

/// The lines with the file's names, and each hunk.
fn split(diff: &str) -> (String, Vec<String>) {
    let (mut names, mut hunks) = (String::new(), Vec::<String>::new());
    for line in diff.split_inclusive('\n') {
        if line.starts_with("@@ ") {
            hunks.push(String::new());
        }
        hunks.last_mut().unwrap_or(&mut names).push_str(line);
    }
    (names, hunks)
}

#[cfg(test)]
mod tests {
    use super::Needs;

    const DIFF: &str = "--- a/x.h\n+++ b/x.h\n@@ -1,2 +1,3 @@\n int a;\n+int fresh(void);\n int b;\n@@ -9,2 +10,2 @@\n int c;\n-int d;\n+int d(a);\n";

    fn part(words: &[&str], again: bool) -> String {
        let missed = || {
            [(
                "x.h".to_owned(),
                words.iter().map(|word| (*word).to_owned()).collect(),
            )]
            .into()
        };
        let mut needs = Needs::default();
        assert!(needs.add(missed()));
        if again {
            assert!(needs.add(missed()), "the same again: all of the header");
            assert!(!needs.add(missed()));
        }
        needs.part("x.h", DIFF, "int a; int b; int c; int d;")
    }

    #[test]
    fn the_hunk_with_the_new_word_and_no_other() {
        let fresh = part(&["fresh", "a"], false);
        assert!(fresh.contains("+int fresh") && !fresh.contains("int d"));
        let changed = part(&["a"], false);
        assert!(changed.contains("+int d(a)") && !changed.contains("fresh"));
        assert!(part(&["b"], false).contains("fresh"));
        assert_eq!(part(&["nowhere"], false), DIFF);
        assert_eq!(part(&["fresh"], true), DIFF);
    }
}

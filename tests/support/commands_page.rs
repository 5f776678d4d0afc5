//! Is `docs/commands.md` the reference of a command? Each crate that has one asks this of its real binary.
//!
//! The page has a section `## COMMAND` for a command and each of its subcommands, with a table row for each option. What
//! `--help` shows and what there are rows for must be the same. The tempting wrong way is to look for an option anywhere on
//! the page: half of them are options of several commands.

use std::collections::BTreeSet;
use std::process::Command;

const PAGE: &str = include_str!("../../docs/commands.md");

/// Checks the sections of a command, given by its name and its binary.
pub(crate) fn check(name: &str, binary: &str) {
    let (mut sections, mut wrong) = (Vec::new(), Vec::new());
    let mut waiting = vec![Vec::new()];
    while let Some(words) = waiting.pop() {
        let help = help(binary, &words);
        let title = [vec![name.to_owned()], words.clone()].concat().join(" ");
        wrong.extend(check_section(&title, &shown(&help)));
        sections.push(title);
        let inner = commands(&help).into_iter();
        waiting.extend(inner.map(|command| [words.clone(), vec![command]].concat()));
    }
    let titles = PAGE.lines().filter_map(|line| line.strip_prefix("## "));
    let ours = titles.filter(|title| title.split(' ').next() == Some(name));
    let strange = ours.filter(|title| !sections.iter().any(|known| known == title));
    wrong.extend(strange.map(|title| format!("'## {title}' is a section for no command")));
    assert!(wrong.is_empty(), "docs/commands.md: {wrong:#?}");
}

/// What is wrong with a section, given what its command's help shows.
fn check_section(title: &str, shown: &BTreeSet<String>) -> Vec<String> {
    let Some(section) = section(title) else {
        return vec![format!("there is no section '## {title}'")];
    };
    let (own, told) = (rows(section), told_elsewhere(title, section));
    let missing = shown
        .iter()
        .filter(|option| !own.contains(*option) && !told.contains(*option));
    let missing = missing.map(|option| format!("'## {title}' has no row for {option}"));
    let gone = own.difference(shown);
    let gone =
        gone.map(|option| format!("'## {title}' has a row for {option}, which --help has not"));
    missing.chain(gone).collect()
}

/// The options in the rows of the commands around this one, and of the one whose options it says to take.
fn told_elsewhere(title: &str, section: &str) -> BTreeSet<String> {
    let ends = title.match_indices(' ').map(|(end, _)| &title[..end]);
    let same = section
        .split_once("the options of [`")
        .and_then(|(_, rest)| rest.split('`').next());
    let sections = ends.chain(same).filter_map(self::section);
    sections.flat_map(rows).collect()
}

fn help(binary: &str, words: &[String]) -> String {
    let output = Command::new(binary).args(words).arg("--help").output();
    let output = output.expect("the command runs");
    assert!(output.status.success(), "{words:?} --help");
    String::from_utf8(output.stdout).expect("help is text")
}

/// The subcommands that a help lists.
fn commands(help: &str) -> Vec<String> {
    let list = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let names = list
        .take_while(|line| !line.is_empty())
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next());
    names
        .filter(|name| *name != "help")
        .map(str::to_owned)
        .collect()
}

/// The long options that a help lists. Lines of their texts are further to the right.
fn shown(help: &str) -> BTreeSet<String> {
    let lines = help
        .lines()
        .filter(|line| line.starts_with("  -") || line.starts_with("      --"))
        .filter(|line| !["-h, --help", "-V, --version"].contains(&words(line, 2).as_str()));
    // Where the texts are short, they are in the same line.
    let options = lines.filter_map(|line| line.trim_start().split("  ").next());
    options.flat_map(long_options).collect()
}

fn words(line: &str, count: usize) -> String {
    let words: Vec<&str> = line.split_whitespace().take(count).collect();
    words.join(" ")
}

/// The long options in the first cells of a section's tables.
fn rows(section: &str) -> BTreeSet<String> {
    let cells = section
        .lines()
        .filter_map(|line| line.strip_prefix("| `-")?.split(" | ").next());
    cells
        .flat_map(|cell| long_options(&format!("-{cell}")))
        .collect()
}

fn section(title: &str) -> Option<&'static str> {
    let (_, rest) = PAGE.split_once(&format!("\n## {title}\n"))?;
    rest.split("\n## ").next()
}

fn long_options(text: &str) -> Vec<String> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '-';
    let words = text.split(|c: char| !is_word(c));
    let long = words.filter(|word| word.starts_with("--") && word.len() > 2);
    long.map(str::to_owned).collect()
}

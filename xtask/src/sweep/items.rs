//! What a C text consists of, by lines: functions, macros, declarations, and of a struct or an enum each member.
//!
//! A hunk of an update may hold ends and beginnings of several of them; who needs one of them cuts the hunk at their borders. This
//! reads a text as people lay it out, not as C is defined: an item begins and ends with a line. Where that goes wrong the compiler
//! says so, and the whole file is taken.

use std::collections::BTreeSet;
use std::ops::Range;

/// What an item is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Also a function's declaration.
    Function,
    Macro,
    /// Of a struct, a union or an enum.
    Member,
    /// The first or the last lines of one that has members.
    Frame,
    Include,
    /// Any other line for the preprocessor.
    Directive,
    Other,
}

/// A piece of a text, with the comments and empty lines before it.
#[derive(Debug, Clone)]
pub(crate) struct Item {
    pub(crate) lines: Range<usize>,
    pub(crate) kind: Kind,
    /// What it declares; the struct's name for a frame.
    pub(crate) names: Vec<String>,
    /// Of a member: what it is a member of.
    pub(crate) of: String,
    /// What others see of it: a function without its body.
    pub(crate) head: String,
}

impl Item {
    /// How many parameters it takes.
    pub(crate) fn parameters(&self) -> usize {
        self.head.matches(',').count() + usize::from(self.head.contains('('))
    }

    /// Whether only its own file can mean it.
    pub(crate) fn is_static(&self) -> bool {
        identifiers(&self.head).any(|word| word == "static")
    }

    /// A word by which it is known again in the other version.
    pub(crate) fn key(&self) -> Option<(Kind, &str, &str)> {
        Some((self.kind, self.of.as_str(), self.names.first()?.as_str()))
    }
}

/// The items of a text's lines.
pub(crate) fn items(lines: &[String]) -> Vec<Item> {
    let code = without_comments(lines);
    let mut items = Vec::new();
    for lines in pieces(lines, &code, 0..lines.len()) {
        let text = code.get(lines.clone()).unwrap_or_default().join("\n");
        match record(&text) {
            Some(of) => members(&code, lines, of, &mut items),
            None => items.push(item(lines, &text, String::new())),
        }
    }
    items
}

/// The words of a text.
pub(crate) fn identifiers(text: &str) -> impl Iterator<Item = &str> {
    text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_')
        .filter(|word| !word.is_empty() && !word.starts_with(|first: char| first.is_ascii_digit()))
}

/// Where the items at the top level are.
fn pieces(lines: &[String], code: &[String], within: Range<usize>) -> Vec<Range<usize>> {
    let (mut found, mut start, mut depth) = (Vec::new(), within.start, 0_i64);
    let (mut conditions, mut is_open, mut at) = (Vec::new(), false, within.start);
    while at < within.end {
        let text = code.get(at).map_or("", |line| line.trim());
        let mut end = at + 1;
        if let Some(directive) = text.strip_prefix('#') {
            while lines.get(end - 1).is_some_and(|line| line.ends_with('\\')) && end < within.end {
                end += 1;
            }
            let directive = directive.trim_start();
            if directive.starts_with("if") {
                conditions.push(depth);
            } else if directive.starts_with("el") {
                depth = conditions.last().copied().unwrap_or(depth);
            } else if directive.starts_with("endif") {
                conditions.pop();
            }
            if !is_open {
                found.push(start..end);
                start = end;
            }
        } else if !text.is_empty() {
            depth += balance(text);
            // A brace in the first column ends whatever it is.
            if lines.get(at).is_some_and(|line| line.starts_with('}')) {
                depth = depth.min(0);
            }
            let is_next_empty = code.get(end).is_none_or(|line| line.trim().is_empty());
            let is_macro =
                is_next_empty && is_macro_alone(code.get(start..end).unwrap_or_default());
            is_open = depth > 0 || !(text.ends_with([';', '}']) || is_macro);
            if !is_open {
                (depth, start) = (0, {
                    found.push(start..end);
                    end
                });
            }
        }
        at = end;
    }
    if start < within.end {
        found.push(start..within.end);
    }
    found
}

/// Whether all of it is a macro and what that is given: what it makes needs no semicolon.
fn is_macro_alone(code: &[String]) -> bool {
    let mut lines = code.iter().map(|line| line.trim());
    let Some((name, _)) = lines
        .find(|line| !line.is_empty())
        .and_then(|line| line.split_once('('))
    else {
        return false;
    };
    let is_macro = |sign: char| sign.is_ascii_uppercase() || sign.is_ascii_digit() || sign == '_';
    !name.is_empty()
        && name.chars().all(is_macro)
        && code.last().is_some_and(|line| line.trim().ends_with(')'))
}

fn balance(text: &str) -> i64 {
    let of = |letter: char| match letter {
        '{' | '(' | '[' => 1,
        '}' | ')' | ']' => -1,
        _ => 0,
    };
    text.chars().map(of).sum()
}

/// What a text with members is called; none for any other.
fn record(text: &str) -> Option<String> {
    let (head, _) = text.split_once('{')?;
    if head.contains(['(', '=', '#']) || text.matches('\n').count() < 2 {
        return None;
    }
    let mut words = identifiers(head).skip_while(|word| !is_record_word(word));
    words.next()?;
    let name = words.find(|word| !word.starts_with("__"));
    Some(name.unwrap_or_default().to_owned())
}

fn is_record_word(word: &str) -> bool {
    ["struct", "union", "enum"].contains(&word)
}

/// The frame's lines and each member's.
fn members(code: &[String], lines: Range<usize>, of: String, items: &mut Vec<Item>) {
    let text = |lines: Range<usize>| code.get(lines).unwrap_or_default().join("\n");
    let open = lines
        .clone()
        .find(|at| code.get(*at).is_some_and(|line| line.contains('{')));
    let open = open.map_or(lines.start, |at| at + 1);
    let close = lines
        .clone()
        .rev()
        .find(|at| code.get(*at).is_some_and(|line| line.contains('}')));
    let close = close.unwrap_or(lines.end).max(open);
    let is_enum = identifiers(&text(lines.start..open)).any(|word| word == "enum");
    let frame = |lines: Range<usize>, head: String| Item {
        lines,
        kind: Kind::Frame,
        names: vec![of.clone()],
        of: String::new(),
        head,
    };
    items.push(frame(lines.start..open, text(lines.start..open)));
    let (mut start, mut depth) = (open, 0_i64);
    for at in open..close {
        let line = text(at..at + 1);
        let line = line.trim();
        let is_directive = line.starts_with('#');
        depth += if is_directive { 0 } else { balance(line) };
        let ends = if is_enum { ',' } else { ';' };
        if depth <= 0 && (is_directive || line.ends_with(ends)) || at + 1 == close {
            let text = text(start..at + 1);
            let mut member = item(start..at + 1, &text, of.clone());
            if !is_directive {
                member.kind = Kind::Member;
                member.names = match is_enum {
                    true => text
                        .split(',')
                        .filter_map(|part| identifiers(part).next())
                        .map(str::to_owned)
                        .collect(),
                    false => text.split(';').flat_map(member_names).collect(),
                };
            }
            items.push(member);
            (start, depth) = (at + 1, 0);
        }
    }
    items.push(frame(close..lines.end, text(close..lines.end)));
}

/// `f` of `int (*f)(int)`, `a` of `int a[3]`, `b` and `c` of `int b : 3, c : 1`.
fn member_names(text: &str) -> Vec<String> {
    if let Some((_, rest)) = text.split_once("(*") {
        let name = identifiers(rest).next();
        return name.map(str::to_owned).into_iter().collect();
    }
    text.split(',').filter_map(member_name).collect()
}

fn member_name(text: &str) -> Option<String> {
    let end = text.find(['[', ':']).unwrap_or(text.len());
    let words = identifiers(text.get(..end)?).collect::<Vec<_>>();
    let attributes = words.iter().rposition(|word| !word.starts_with("__"))?;
    words.get(attributes).map(|word| (*word).to_owned())
}

fn item(lines: Range<usize>, text: &str, of: String) -> Item {
    let text = text.trim();
    let named = |kind, names: Vec<&str>, head: &str| Item {
        lines: lines.clone(),
        kind,
        names: names.into_iter().map(str::to_owned).collect(),
        of: of.clone(),
        head: head.split_ascii_whitespace().collect::<Vec<_>>().join(" "),
    };
    if let Some(directive) = text.strip_prefix('#') {
        let directive = directive.trim_start();
        let Some(rest) = directive.strip_prefix("define") else {
            let kind = if directive.starts_with("include") {
                Kind::Include
            } else {
                Kind::Directive
            };
            return named(kind, Vec::new(), directive);
        };
        let name = identifiers(rest).next();
        let has_list = name.is_some_and(|name| {
            rest.trim_start()
                .get(name.len()..)
                .is_some_and(|rest| rest.starts_with('('))
        });
        let list = rest
            .split_once(')')
            .filter(|_| has_list)
            .map_or("", |(list, _)| list);
        return named(Kind::Macro, name.into_iter().collect(), list);
    }
    let head = text.split(['{', '=', ';']).next().unwrap_or(text);
    let is_type = identifiers(head).any(|word| word == "typedef");
    match head.contains('(') && !is_type {
        true => named(Kind::Function, called(head), head),
        false => named(Kind::Other, declared(text, head), head),
    }
}

/// What the words before parentheses declare: `f` of `int f(int)`, `a` of `DEFINE_MUTEX(a)`.
fn called(head: &str) -> Vec<&str> {
    let before = |at: usize| {
        let text = head.get(..at)?.trim_end();
        let start = text
            .rfind(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_')
            .map_or(0, |at| at + 1);
        text.get(start..).filter(|word| !word.is_empty())
    };
    let mut depth = 0_i64;
    let mut words = Vec::new();
    for (at, letter) in head.char_indices() {
        if letter == '(' && depth == 0 {
            words.extend(before(at));
        }
        depth += balance(letter.encode_utf8(&mut [0; 4]));
    }
    let name = words
        .iter()
        .find(|word| !word.starts_with("__"))
        .or(words.first())
        .copied();
    match name {
        Some(name) if !name.contains(|letter: char| letter.is_ascii_lowercase()) => {
            let (_, list) = head.split_once('(').unwrap_or_default();
            identifiers(list)
                .filter(|word| !is_record_word(word))
                .collect()
        }
        name => name.into_iter().collect(),
    }
}

/// The name of a variable or of a type.
fn declared<'t>(text: &'t str, head: &'t str) -> Vec<&'t str> {
    let head = if text.starts_with("typedef") {
        text
    } else {
        head
    };
    let head = head.split('[').next().unwrap_or(head);
    let words: Vec<&str> = identifiers(head).collect();
    let last = words.iter().rev().find(|word| !word.starts_with("__"));
    last.copied().into_iter().collect()
}

/// The lines without comments and what literals say.
fn without_comments(lines: &[String]) -> Vec<String> {
    let mut is_comment = false;
    let strip = |line: &String| {
        let mut code = String::new();
        let mut letters = line.chars().peekable();
        let mut quote = None;
        while let Some(letter) = letters.next() {
            let next = letters.peek().copied();
            if is_comment {
                if letter == '*' && next == Some('/') {
                    letters.next();
                    is_comment = false;
                }
            } else if let Some(end) = quote {
                if letter == '\\' {
                    letters.next();
                } else if letter == end {
                    quote = None;
                }
            } else if letter == '/' && next == Some('*') {
                letters.next();
                is_comment = true;
            } else if letter == '/' && next == Some('/') {
                break;
            } else {
                code.push(letter);
                // An apostrophe in an #error is no literal; a line ends any.
                quote = ['"', '\''].into_iter().find(|quote| *quote == letter);
            }
        }
        code
    };
    lines.iter().map(strip).collect()
}

/// All words of some lines.
pub(crate) fn words(lines: &[String]) -> BTreeSet<String> {
    lines
        .iter()
        .flat_map(|line| identifiers(line))
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{Kind, items};

    fn read(text: &str) -> Vec<(Kind, usize, String)> {
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        let items = items(&lines).into_iter();
        items
            .map(|item| (item.kind, item.lines.len(), item.names.join(" ")))
            .collect()
    }

    #[test]
    fn each_piece_has_its_lines_and_names() {
        let text = "#include <a.h>\n\n/* { */\n#define two(a) \\\n\t(a)\nint f(int a,\n      int b);\nstatic __printf(1, 2) int g(char *a)\n{\n\tif (a) {\n\t}\n}\nEXPORT_SYMBOL_GPL(g);\nstatic struct x y[] = {\n\t{ 1 },\n};";
        let wanted = [
            (Kind::Include, 1, ""),
            (Kind::Macro, 4, "two"),
            (Kind::Function, 2, "f"),
            (Kind::Function, 5, "g"),
            (Kind::Function, 1, "g"),
            (Kind::Other, 3, "y"),
        ];
        let found = read(text);
        let found: Vec<_> = found
            .iter()
            .map(|(kind, lines, names)| (*kind, *lines, names.as_str()))
            .collect();
        assert_eq!(found, wanted);
    }

    #[test]
    fn a_macro_without_a_semicolon_is_a_piece() {
        let found = read(
            "DEFINE_GUARD(one, two,\n\tint a)\n\nstatic int f(void)\n{\n}\nSYSCALL_DEFINE1(g, int, a)\n{\n}",
        );
        let lines: Vec<usize> = found.iter().map(|(_, lines, _)| *lines).collect();
        assert_eq!(lines, [2, 4, 3], "{found:?}");
    }

    #[test]
    fn members_are_pieces() {
        let found = read(
            "struct one {\n\tint a;\n\tint (*f)(int a,\n\t\t int b);\n#ifdef X\n\tu8 b[3], c;\n#endif\n} __packed;\nenum two {\n\tA,\n\tB = 1,\n\tC\n};",
        );
        let names: Vec<&str> = found.iter().map(|(_, _, names)| names.as_str()).collect();
        assert_eq!(
            names,
            [
                "one", "a", "f", "", "b c", "", "one", "two", "A", "B", "C", "two"
            ]
        );
    }

    #[test]
    fn a_condition_that_cuts_a_function_does_not_lose_the_end() {
        let found = read("#ifdef A\nint f(int a)\n{\n#else\nint f(void)\n{\n#endif\n}\nint g;");
        assert_eq!(
            found
                .last()
                .map(|(_, lines, names)| (*lines, names.as_str())),
            Some((1, "g"))
        );
    }
}

//! By which names what a header changed can be used at all: then only who says one of them can be affected, which is found
//! without the preprocessor. A header that half of the kernel includes takes a second instead of half an hour.
//!
//! Read as it is written, with its directives; what stands between an `#if` and its `#endif` is another item than without them.
//! That is possible where all that came, went or changed are macros, function
//! declarations and `static inline` functions that stand at the top level, and whatever stayed and uses one is of these kinds,
//! too: its name is then one of them; of types, what [`super::header_types`] says. Anything else has no such names. The tempting
//! wrong way is to look at the changed lines alone: a line inside a struct looks like a declaration.

use super::comments::without_comments;
use super::header_types;
use super::unaffected::{INLINE, declared, is_identifier, items, split, tokens};
use std::collections::BTreeSet;

/// More names than this are not worth looking for.
const MOST: usize = 64;
/// Conditions with more words than this, all that hold at one place together, are not followed: each item has a copy of them.
const MOST_CONDITIONS: usize = 1000;
/// Stands between the conditions under which an item is there and the item.
const WHEN: &str = "#when";

/// Macros for attributes of the one function that is declared with them (`compiler_attributes.h`, `init.h`): whatever they do,
/// they do it to who says its name.
const ATTRIBUTES: [&str; 20] = [
    "__must_check",
    "__maybe_unused",
    "__pure",
    "__attribute_const__",
    "__init",
    "__exit",
    "__net_init",
    "__net_exit",
    "__ref",
    "__meminit",
    "__init_or_module",
    "__cold",
    "__malloc",
    "__noreturn",
    "__sched",
    "__visible",
    "__weak",
    "__noclone",
    "__deprecated",
    "__latent_entropy",
];
/// Those of them that have parameters.
const ATTRIBUTES_OF: [&str; 7] = [
    "__printf",
    "__scanf",
    "__acquires",
    "__releases",
    "__must_hold",
    "__cond_acquires",
    "__alloc_size",
];
/// Words that may stand before a function's name beside the names of types, which are in lower case.
const SPECIFIERS: [&str; 8] = [
    "__always_inline",
    "__user",
    "__iomem",
    "__rcu",
    "__inline",
    "__inline__",
    "__const",
    "__signed__",
];
/// Kinds of storage: no type is named by them.
const STORAGE: [&str; 6] = [
    "static",
    "extern",
    "inline",
    "const",
    "volatile",
    "__always_inline",
];
/// What the compiler calls of itself.
const CALLED_BY_COMPILER: [&str; 4] = ["memcpy", "memmove", "memset", "memcmp"];

/// The names, from the texts of headers before and after; none where one changed in another way.
pub fn names(headers: &[(String, String)]) -> Option<BTreeSet<String>> {
    let (mut names, mut members, mut stayed) = (BTreeSet::new(), BTreeSet::new(), Vec::new());
    for (before, after) in headers {
        let (before, after) = (code(before), code(after));
        let (before, after) = (top_level(&before)?, top_level(&after)?);
        let (before, after) = (slices(&before), slices(&after));
        let (same, moved) = split(&before, &after)?;
        let (functions, types) = header_types::apart(moved);
        for item in functions {
            names.insert(name(bare(item))?.to_owned());
        }
        let used = header_types::names(&types)?;
        members.extend(used.members.into_iter().map(str::to_owned));
        names.extend(used.tags.into_iter().map(str::to_owned));
        stayed.extend(same.into_iter().map(owned));
    }
    close(&mut names, &members, &stayed)?;
    names.extend(members);
    let special = CALLED_BY_COMPILER.iter().any(|name| names.contains(*name));
    (names.len() <= MOST && !special).then_some(names)
}

/// Adds what stayed and uses a name, until nothing more does. In another type a member's name is one of its own.
fn close(
    names: &mut BTreeSet<String>,
    members: &BTreeSet<String>,
    stayed: &[Vec<String>],
) -> Option<()> {
    loop {
        let before = names.len();
        for item in stayed {
            let item: Vec<&str> = item.iter().map(String::as_str).collect();
            let says = |names: &BTreeSet<String>, words: &[&str]| {
                words.iter().any(|word| names.contains(*word))
            };
            let (when, what) = item.split_at(item.len() - bare(&item).len());
            let asks = says(members, what) && !header_types::is_plain(what);
            if says(names, &item) || says(members, when) || asks {
                names.insert(name(what)?.to_owned());
            }
        }
        if names.len() == before {
            return Some(());
        }
        if names.len() > MOST {
            return None;
        }
    }
}

/// An item without the conditions under which it is there.
pub(super) fn bare<'a, 't>(item: &'a [&'t str]) -> &'a [&'t str] {
    let when = item.iter().rposition(|word| *word == WHEN);
    when.and_then(|when| item.get(when + 1..)).unwrap_or(item)
}

/// The name that an item has for others.
fn name<'t>(item: &[&'t str]) -> Option<&'t str> {
    if let ["#", "define", name, ..] | ["#", "undef", name] = item {
        return is_identifier(name).then_some(*name);
    }
    let item = without_attributes(item);
    let item = item.as_slice();
    let name = declared(item)?;
    let at = item.iter().position(|word| *word == name)?;
    let before = item.get(..at)?;
    // In capitals it may be a macro that makes something else of what stands in its parentheses.
    let is_plain = |word: &&str| {
        SPECIFIERS.contains(word)
            || word.bytes().all(|sign| sign == b'*')
            || word.starts_with(|first: char| first.is_ascii_lowercase())
                && !word.contains(|letter: char| letter.is_ascii_uppercase())
            || is_fixed_width(word)
    };
    let names_type = before.iter().any(|word| {
        word.starts_with(|first: char| first.is_ascii_lowercase()) && !STORAGE.contains(word)
            || is_fixed_width(word)
    });
    let is_lower = name.contains(|letter: char| letter.is_ascii_lowercase());
    let plain = names_type && before.iter().all(is_plain);
    let is_function = is_lower || is_inline_function(item.get(at + 1..)?, before);
    (plain && is_function && ends_plainly(item)).then_some(name)
}

fn without_attributes<'t>(item: &[&'t str]) -> Vec<&'t str> {
    let mut plain = Vec::with_capacity(item.len());
    let mut words = item.iter().copied().peekable();
    while let Some(word) = words.next() {
        if ATTRIBUTES_OF.contains(&word) && words.peek() == Some(&"(") {
            let mut depth = 0_i64;
            for inside in words.by_ref() {
                depth += balance(&[inside]);
                if depth == 0 {
                    break;
                }
            }
        } else if !ATTRIBUTES.contains(&word) {
            plain.push(word);
        }
    }
    plain
}

/// Whether what stands before and behind a name makes it that of a function also in capitals: it has a body, and its parameters
/// have types.
fn is_inline_function(behind: &[&str], before: &[&str]) -> bool {
    let parameters = || {
        let body = behind.iter().position(|word| *word == "{")?;
        behind
            .get(..body)?
            .strip_prefix(&["("])?
            .strip_suffix(&[")"])
    };
    let is_declared = |parameter: &[&str]| match parameter {
        ["void"] => true,
        [first, _, ..] => first.starts_with(|first: char| first.is_ascii_lowercase()),
        _ => false,
    };
    let is_inline = before.iter().any(|word| INLINE.contains(word));
    is_inline && parameters().is_some_and(|list| list.split(|word| *word == ",").all(is_declared))
}

/// Whether nothing stands between the parameters and the end or the body.
fn ends_plainly(item: &[&str]) -> bool {
    let body = item.iter().position(|word| *word == "{");
    let end = body.unwrap_or(item.len().saturating_sub(1));
    let before = end.checked_sub(1).and_then(|before| item.get(before));
    before == Some(&")")
}

/// `__u32`, `__be16` and their like.
fn is_fixed_width(word: &str) -> bool {
    let kind = word.trim_end_matches(|last: char| last.is_ascii_digit());
    kind.len() < word.len() && ["__u", "__s", "__le", "__be"].contains(&kind)
}

fn owned(item: &[&str]) -> Vec<String> {
    item.iter().map(|word| (*word).to_owned()).collect()
}

fn slices<'a, 't>(items: &'a [Vec<&'t str>]) -> Vec<&'a [&'t str]> {
    items.iter().map(Vec::as_slice).collect()
}

/// What stands at the top level: directives, each alone, and the items of the code between them, each behind the conditions under
/// which it is there. What a directive cuts through is marked as open, in all its parts. None where too much depends on too much.
fn top_level(text: &str) -> Option<Vec<Vec<&str>>> {
    let mut found = Vec::new();
    let mut conditions = Conditions::default();
    let mut depth = 0_i64;
    // The type that the code before is a part of.
    let mut inside: Vec<&str> = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (code, directive, after) = next_directive(rest);
        let words = tokens(code);
        let (inner, words) = words.split_at(closing(&words, depth));
        depth += balance(inner) + balance(words);
        let ends = words.last().is_none_or(|last| [";", "}"].contains(last));
        let code = items(words);
        let last = code.len();
        if !inner.is_empty() {
            found.push(conditions.before(header_types::open(&inside, inner)));
        }
        if depth == 0 || !words.is_empty() {
            inside.clear();
        }
        for (at, item) in code.into_iter().enumerate() {
            let is_cut = at + 1 == last && (depth != 0 || !ends);
            if is_cut {
                inside = header_types::head(item).to_vec();
            }
            let item = match is_cut {
                true => header_types::open(&inside, item),
                false => item.to_vec(),
            };
            found.push(conditions.before(item));
        }
        let directive = tokens(directive);
        if !conditions.take(&directive) && !directive.is_empty() {
            found.push(conditions.before(directive));
        }
        if conditions.0.iter().map(Vec::len).sum::<usize>() > MOST_CONDITIONS {
            return None;
        }
        rest = after;
    }
    Some(found)
}

/// The conditions that hold: of each `#if`, its line and those of its `#elif` and `#else`.
#[derive(Default)]
struct Conditions<'t>(Vec<Vec<&'t str>>);

impl<'t> Conditions<'t> {
    /// Whether a directive is part of a condition, which then holds from here on, or no longer.
    fn take(&mut self, directive: &[&'t str]) -> bool {
        match directive {
            ["#", "if" | "ifdef" | "ifndef", ..] => self.0.push(directive.to_vec()),
            ["#", word, ..] if word.starts_with("el") => {
                self.0
                    .last_mut()
                    .into_iter()
                    .for_each(|last| last.extend(directive));
            }
            ["#", "endif", ..] => drop(self.0.pop()),
            _ => return false,
        }
        true
    }

    /// An item behind them.
    fn before(&self, item: Vec<&'t str>) -> Vec<&'t str> {
        if self.0.is_empty() {
            return item;
        }
        let conditions = self.0.iter().flatten().copied();
        conditions.chain([WHEN]).chain(item).collect()
    }
}

/// How many words still belong to what began before a directive, so many brackets deep: all where it does not end, or where more
/// brackets close than were opened.
fn closing(words: &[&str], depth: i64) -> usize {
    let mut inside = depth;
    let mut end = (depth == 0).then_some(0);
    for (at, word) in words.iter().enumerate() {
        inside += balance(&[*word]);
        if inside < 0 {
            return words.len();
        }
        if inside == 0 && end.is_none() {
            let is_type = words.get(at + 1) == Some(&";");
            end = Some(at + 1 + usize::from(is_type));
        }
    }
    end.unwrap_or(words.len())
}

/// Opened brackets less closed ones.
fn balance(words: &[&str]) -> i64 {
    let of = |word: &&str| match *word {
        "{" | "(" | "[" => 1,
        "}" | ")" | "]" => -1,
        _ => 0,
    };
    words.iter().map(of).sum()
}

/// The code before the next directive, the directive, and what follows it. Lines are joined already.
fn next_directive(text: &str) -> (&str, &str, &str) {
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        if line.trim_start().starts_with('#') {
            let end = at + line.len();
            return (&text[..at], &text[at..end], &text[end..]);
        }
        at += line.len();
    }
    (text, "", "")
}

/// The text without comments and joined lines.
fn code(text: &str) -> String {
    let code = without_comments(text.replace("\\\n", " ").as_bytes());
    String::from_utf8_lossy(&code).into_owned()
}

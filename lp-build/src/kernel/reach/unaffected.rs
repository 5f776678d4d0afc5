//! Whether what a header changed can reach a unit's code at all, from both preprocessed texts: most units that include a header
//! use nothing of what changed in it, and compiling is ten times as long as preprocessing.
//!
//! The texts are split into what stands at the top level. A unit is unaffected where everything that came, went or changed is a
//! declaration or a `static inline` function, and nothing that stayed has the name of one: such a function leaves no code behind.
//! Anything else, types and macros' traces included, counts as affected, and the compiler decides. The tempting wrong way is to
//! look for names in the unit's own file: a macro of a third header may use them.

use similar::{Algorithm, ChangeTag, capture_diff_slices};
use std::collections::{BTreeSet, HashMap};

/// More differing pairs of top-level items than this are not worth finding out.
const MOST_PAIRS: usize = 50_000_000;
/// Attributes by which a declaration or an unused function leaves something in the object.
const LEAVES_TRACE: [&str; 8] = [
    "used",
    "alias",
    "weakref",
    "section",
    "constructor",
    "destructor",
    "asm",
    "retain",
];

/// What makes a `static` function one that leaves no code behind; the last is seen where macros still stand.
pub(super) const INLINE: [&str; 4] = ["inline", "__inline", "__inline__", "__always_inline"];
/// What the compiler calls of itself, also where nothing is freestanding: to copy a struct, for one.
const CALLED_BY_COMPILER: [&str; 4] = ["memcpy", "memmove", "memset", "memcmp"];
/// What a call of the compiler's own version begins with, which may become one of the function.
const BUILTIN: &str = "__builtin_";

/// Whether both texts of a C file must compile to the same code.
pub fn c(ours: &str, theirs: &str) -> bool {
    ours == theirs || items_differ_harmlessly(ours, theirs).unwrap_or(false)
}

/// Whether both texts of an assembler file are the same but for empty lines.
pub fn assembler(ours: &str, theirs: &str) -> bool {
    let lines = |text: &'_ str| -> Vec<String> {
        let lines = text.lines().map(str::trim_end);
        lines
            .filter(|line| !line.is_empty())
            .map(str::to_owned)
            .collect()
    };
    lines(ours) == lines(theirs)
}

fn items_differ_harmlessly(ours: &str, theirs: &str) -> Option<bool> {
    let (ours, theirs) = (tokens(ours), tokens(theirs));
    if ours == theirs {
        return Some(true);
    }
    let (ours, theirs) = (items(&ours), items(&theirs));
    let (stayed, moved) = split(&ours, &theirs)?;
    let mut names = BTreeSet::new();
    for item in moved {
        names.insert(declared(item)?);
    }
    if CALLED_BY_COMPILER.iter().any(|name| names.contains(name)) {
        return Some(false);
    }
    let mut words = stayed.into_iter().flatten();
    Some(!words.any(|word| names.contains(word.strip_prefix(BUILTIN).unwrap_or(word))))
}

/// The items that both have, in the same order, and those that only one has; none where that takes too long to find.
#[allow(clippy::type_complexity, reason = "two lists of items")]
pub(super) fn split<'a, 't>(
    ours: &[&'a [&'t str]],
    theirs: &[&'a [&'t str]],
) -> Option<(Vec<&'a [&'t str]>, Vec<&'a [&'t str]>)> {
    let same = |(a, b): &(&&'a [&'t str], &&'a [&'t str])| a == b;
    let before = ours.iter().zip(theirs).take_while(same).count();
    let (our_rest, their_rest) = (ours.get(before..)?, theirs.get(before..)?);
    let after = our_rest
        .iter()
        .rev()
        .zip(their_rest.iter().rev())
        .take_while(same)
        .count();
    let ours_between = our_rest.get(..our_rest.len() - after)?;
    let theirs_between = their_rest.get(..their_rest.len() - after)?;
    if ours_between.len().saturating_mul(theirs_between.len()) > MOST_PAIRS {
        return None;
    }
    let mut stayed: Vec<&[&str]> = ours.get(..before)?.to_vec();
    stayed.extend(our_rest.get(our_rest.len() - after..)?);
    let mut moved = Vec::new();
    // Numbers compare faster than texts.
    let mut numbers: HashMap<&[&str], usize> = HashMap::new();
    let mut number = |item: &&'a [&'t str]| {
        let next = numbers.len();
        *numbers.entry(*item).or_insert(next)
    };
    let old: Vec<usize> = ours_between.iter().map(&mut number).collect();
    let new: Vec<usize> = theirs_between.iter().map(&mut number).collect();
    for op in capture_diff_slices(Algorithm::Myers, &old, &new) {
        for change in op.iter_changes(&old, &new) {
            let at = |list: &[&'a [&'t str]], index: Option<usize>| list.get(index?).copied();
            match change.tag() {
                ChangeTag::Equal => stayed.push(at(ours_between, change.old_index())?),
                ChangeTag::Delete => moved.push(at(ours_between, change.old_index())?),
                ChangeTag::Insert => moved.push(at(theirs_between, change.new_index())?),
            }
        }
    }
    Some((stayed, moved))
}

/// The name of a declaration or a `static inline` function; none for anything that may leave a trace in the object.
pub(super) fn declared<'t>(item: &[&'t str]) -> Option<&'t str> {
    let body = item.iter().position(|word| *word == "{");
    let head = item.get(..body.unwrap_or(item.len()))?;
    let leaves = |word: &&str| {
        let word = word.trim_matches('_');
        LEAVES_TRACE.contains(&word) || ["#", "="].contains(&word)
    };
    let first = head.first()?;
    if head.iter().any(leaves) || ["struct", "union", "enum"].contains(first) && body.is_some() {
        return None;
    }
    let is = |names: &[&str]| head.iter().any(|word| names.contains(word));
    if let Some(body) = body {
        ends_with_it(item, body).then_some(())?;
        let is_static_inline = is(&["static"]) && is(&INLINE);
        return is_static_inline.then(|| function(head)).flatten();
    }
    if is(&["typedef", "_Static_assert", "static_assert"]) {
        return None;
    }
    let head = head.strip_suffix(&[";"])?;
    function(head).or_else(|| match is(&["extern"]) && !is(&["(", ",", "*"]) {
        true => head
            .iter()
            .rev()
            .find(|word| is_identifier(word))
            .copied()
            .filter(|_| !is(&["["])),
        false => None,
    })
}

/// Whether the block that opens at `body` is the item's end: what follows a block that was not seen as a body is another item.
fn ends_with_it(item: &[&str], body: usize) -> bool {
    let mut depth = 0_usize;
    for (at, word) in item.iter().enumerate().skip(body) {
        match *word {
            "{" => depth += 1,
            "}" if depth == 1 => return at + 1 == item.len(),
            "}" => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}

/// The identifier before the last parameter list that is no attribute's: `f` of `int f(int a) __attribute__((x))`.
fn function<'t>(head: &[&'t str]) -> Option<&'t str> {
    let mut depth = 0_usize;
    let mut found = None;
    for (at, word) in head.iter().enumerate() {
        match *word {
            "(" => {
                let before = at
                    .checked_sub(1)
                    .and_then(|before| head.get(before))
                    .copied();
                if depth == 0 && before.is_some_and(|word| is_identifier(word) && !takes_list(word))
                {
                    // A second one makes this no plain declarator: a pointer to a function, or a macro that was left.
                    if found.is_some() {
                        return None;
                    }
                    found = before;
                } else if depth == 0 && !before.is_some_and(takes_list) {
                    return None;
                }
                depth += 1;
            }
            ")" => depth = depth.checked_sub(1)?,
            "," if depth == 0 => return None,
            _ => {}
        }
    }
    (depth == 0).then_some(found).flatten()
}

/// Words of the language that a list in parentheses follows.
fn takes_list(word: &str) -> bool {
    [
        "__attribute__",
        "__attribute",
        "typeof",
        "__typeof__",
        "__typeof",
        "_Alignas",
        "__declspec",
    ]
    .contains(&word)
}

pub(super) fn is_identifier(word: &str) -> bool {
    word.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_' || first == '$')
}

/// What stands at the top level: up to a `;`, or to the end of a function's body.
pub(super) fn items<'a, 't>(tokens: &'a [&'t str]) -> Vec<&'a [&'t str]> {
    let mut items = Vec::new();
    let (mut start, mut depth, mut is_body) = (0, 0_usize, false);
    for (at, word) in tokens.iter().enumerate() {
        match *word {
            "{" | "(" | "[" => {
                let before = at.checked_sub(1).and_then(|before| tokens.get(before));
                if depth == 0 && *word == "{" {
                    is_body = before == Some(&")");
                }
                depth += 1;
                continue;
            }
            "}" | ")" | "]" => {
                depth = depth.saturating_sub(1);
                if depth > 0 || *word != "}" || !is_body {
                    continue;
                }
            }
            ";" if depth == 0 => {}
            _ => continue,
        }
        items.extend(tokens.get(start..=at));
        (start, is_body) = (at + 1, false);
    }
    items.extend(tokens.get(start..).filter(|rest| !rest.is_empty()));
    items
}

/// The words of a text: names and numbers, literals, brackets and semicolons one by one, and other signs as they stand together:
/// equal words mean equal tokens of C, and unequal ones only that the compiler is asked.
pub(super) fn tokens(text: &str) -> Vec<&str> {
    let bytes = text.as_bytes();
    let mut tokens = Vec::with_capacity(bytes.len() / 4);
    let mut at = 0;
    while let Some(&first) = bytes.get(at) {
        let end = match first {
            byte if byte.is_ascii_whitespace() => {
                at += 1;
                continue;
            }
            b'"' | b'\'' => literal(bytes, at),
            byte if is_name(byte) => run(bytes, at, is_name),
            b'(' | b')' | b'[' | b']' | b'{' | b'}' | b';' | b',' | b'#' => at + 1,
            _ => run(bytes, at, |byte| {
                !byte.is_ascii_whitespace() && !is_name(byte) && !b"\"'()[]{};,#".contains(&byte)
            }),
        };
        tokens.extend(text.get(at..end));
        at = end;
    }
    tokens
}

fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'$' || byte >= 0x80
}

fn run(bytes: &[u8], from: usize, is_part: impl Fn(u8) -> bool) -> usize {
    let rest = bytes.iter().skip(from);
    from + rest.take_while(|byte| is_part(**byte)).count()
}

/// The end of a string or a character; that of the text where it has none.
fn literal(bytes: &[u8], from: usize) -> usize {
    let quote = bytes.get(from);
    let mut at = from + 1;
    while let Some(byte) = bytes.get(at) {
        at += 1;
        if Some(byte) == quote {
            break;
        }
        if *byte == b'\\' {
            at += 1;
        }
    }
    at.min(bytes.len())
}

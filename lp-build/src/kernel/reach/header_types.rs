//! By which names a changed type can be used at all.
//!
//! Most changes of a type reach who never says any of its names: a member moves those behind it. Two do not. A type that came or went
//! is used by its own name, or its enumerators'. A pointer to a function that takes other parameters is as large as before, so
//! nobody's code changes who does not say the member's name: with an initializer in order, too, the same pointer is put there. The
//! tempting wrong way would be any pointer: what it points to may have members of equal names.

use super::header_names::bare;
use super::unaffected::is_identifier;
use std::collections::{BTreeMap, BTreeSet};

/// Words that ask for the type or the place of a member of another type.
const ASKS: [&str; 6] = [
    "typeof",
    "__typeof__",
    "__typeof",
    "sizeof",
    "offsetof",
    "__builtin_offsetof",
];

/// The names.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Used<'t> {
    /// Members of types that are otherwise the same.
    pub(super) members: BTreeSet<&'t str>,
    /// Types that came or went, and their enumerators.
    pub(super) tags: BTreeSet<&'t str>,
}

/// The items that are no types, and those that are one.
#[allow(clippy::type_complexity, reason = "two lists of items")]
pub(super) fn apart<'a, 't>(items: Vec<&'a [&'t str]>) -> (Vec<&'a [&'t str]>, Vec<&'a [&'t str]>) {
    items
        .into_iter()
        .partition(|item| parts(bare(item)).is_none())
}

/// The names by which these types, of both versions, can be used; none where one changed in another way.
pub(super) fn names<'t>(types: &[&[&'t str]]) -> Option<Used<'t>> {
    // Under other conditions it is another one.
    let mut by_head: BTreeMap<_, Vec<&[&'t str]>> = BTreeMap::new();
    let mut used = Used::default();
    for item in types {
        let what = bare(item);
        let when = item.get(..item.len() - what.len());
        let versions = by_head.entry((when, parts(what)?.0)).or_default();
        versions.push(what);
    }
    for versions in by_head.into_values() {
        match *versions.as_slice() {
            [only] => used.tags.extend(own_names(only)?),
            [before, after] => used.members.extend(changed_pointers(before, after)?),
            _ => return None,
        }
    }
    Some(used)
}

/// Whether an item is a type that asks nothing of the members of another.
pub(super) fn is_plain(item: &[&str]) -> bool {
    let is_type = item.first().is_some_and(|word| is_type_word(word));
    let asks = |word: &&str| {
        ASKS.contains(word) || [".", "->", "="].iter().any(|sign| word.contains(sign))
    };
    is_type && !item.iter().any(asks)
}

fn is_type_word(word: &str) -> bool {
    ["struct", "union", "enum"].contains(&word)
}

/// `struct s`, what stands in the braces, and what behind them, which is no variable.
fn parts<'a, 't>(item: &'a [&'t str]) -> Option<(&'a [&'t str], &'a [&'t str], &'a [&'t str])> {
    let open = item.iter().position(|word| *word == "{")?;
    let close = item.iter().rposition(|word| *word == "}")?;
    let (head, body, tail) = (
        item.get(..open)?,
        item.get(open + 1..close)?,
        item.get(close + 1..)?,
    );
    let is_attribute = |word: &&str| word.starts_with("__") || *word == ";";
    let is_type = is_type_word(head.first()?) && head.iter().all(|word| is_identifier(word));
    (is_type && head.len() <= 2 && tail.iter().all(is_attribute)).then_some((head, body, tail))
}

/// A type's name and its enumerators'.
fn own_names<'t>(item: &[&'t str]) -> Option<Vec<&'t str>> {
    let (head, body, _) = parts(item)?;
    // What stands inside in braces of its own has names of its own.
    if body.contains(&"{") {
        return None;
    }
    let mut names: Vec<&str> = head.get(1..)?.to_vec();
    if head.first() == Some(&"enum") {
        let enumerators = body.split(|word| *word == ",");
        names.extend(
            enumerators
                .filter_map(|enumerator| enumerator.first())
                .copied(),
        );
    }
    let all_named = !names.is_empty() && names.iter().all(|name| is_identifier(name));
    all_named.then_some(names)
}

/// The members that differ, where each is a pointer to a function in both.
fn changed_pointers<'t>(before: &[&'t str], after: &[&'t str]) -> Option<Vec<&'t str>> {
    let ((_, before, tail), (_, after, other_tail)) = (parts(before)?, parts(after)?);
    if tail != other_tail || before.contains(&"{") || after.contains(&"{") {
        return None;
    }
    let (before, after) = (members(before), members(after));
    if before.len() != after.len() {
        return None;
    }
    let differing = before.iter().zip(&after).filter(|(one, two)| one != two);
    differing
        .map(|(one, two)| {
            let name = function_pointer(one)?;
            (function_pointer(two)? == name).then_some(name)
        })
        .collect()
}

fn members<'a, 't>(body: &'a [&'t str]) -> Vec<&'a [&'t str]> {
    body.split(|word| *word == ";").collect()
}

/// `f` of `int (*f)(int a)`.
fn function_pointer<'t>(member: &[&'t str]) -> Option<&'t str> {
    let open = member.iter().position(|word| *word == "(")?;
    let (returned, rest) = member.split_at(open);
    let is_type = |word: &&str| is_identifier(word) || word.bytes().all(|sign| sign == b'*');
    let ["(", "*", name, ")", "(", list @ .., ")"] = rest else {
        return None;
    };
    let is_one = !returned.is_empty() && returned.iter().all(is_type) && is_identifier(name);
    (is_one && is_balanced(list)).then_some(*name)
}

/// Whether every bracket that closes was opened before, and closes.
fn is_balanced(words: &[&str]) -> bool {
    let mut depth = 0_usize;
    for word in words {
        depth = match *word {
            "(" => depth + 1,
            ")" if depth == 0 => return false,
            ")" => depth - 1,
            _ => depth,
        };
    }
    depth == 0
}

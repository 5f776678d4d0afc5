//! By which names a changed type can be used at all.
//!
//! Most changes of a type reach who never says any of its names: a member moves those behind it. Some do not. A type that came or went
//! is used by its own name, or its enumerators'. A pointer to a function that takes other parameters is as large as before, so
//! nobody's code changes who does not say the member's name: with an initializer in order, too, the same pointer is put there. An enumerator that
//! came, went or has another value is used by its name, as long as all are as wide as an `int`. A member that is merely called otherwise is used
//! by either name, also where conditions cut the type in parts. The tempting wrong way would be any pointer: what it points to may have members of equal names.

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

/// Stands before an item that is not whole, or not at the top level, and before what it is a part of: no item of its own begins so.
const OPEN: &str = "#open";
/// Stands behind what it is a part of.
const PART: &str = "#part";

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
    items.into_iter().partition(|item| {
        let item = bare(item);
        parts(item).is_none() && part_of_type(item).is_none()
    })
}

/// `struct s` where an item begins like one.
pub(super) fn head<'a, 't>(item: &'a [&'t str]) -> &'a [&'t str] {
    match item {
        ["struct" | "union", name, "{", ..] if is_identifier(name) => &item[..2],
        _ => &[],
    }
}

/// A part of an item that directives cut through.
pub(super) fn open<'t>(of: &[&'t str], part: &[&'t str]) -> Vec<&'t str> {
    let words = of.iter().chain([&PART]).chain(part);
    [OPEN].into_iter().chain(words.copied()).collect()
}

/// Of which type this is a part, and what it is.
fn part_of_type<'a, 't>(item: &'a [&'t str]) -> Option<(&'a [&'t str], &'a [&'t str])> {
    let words = item.strip_prefix(&[OPEN])?;
    let at = words.iter().position(|word| *word == PART)?;
    (at > 0).then_some((words.get(..at)?, words.get(at + 1..)?))
}

/// The names by which these types, of both versions, can be used; none where one changed in another way.
pub(super) fn names<'t>(types: &[&[&'t str]]) -> Option<Used<'t>> {
    // Under other conditions it is another one.
    let mut by_head: BTreeMap<_, Vec<&[&'t str]>> = BTreeMap::new();
    let mut parts_of_types: BTreeMap<_, Vec<&[&'t str]>> = BTreeMap::new();
    let mut used = Used::default();
    for item in types {
        let what = bare(item);
        let when = item.get(..item.len() - what.len());
        if let Some((of, _)) = part_of_type(what) {
            parts_of_types.entry((when, of)).or_default().push(what);
            continue;
        }
        let versions = by_head.entry((when, parts(what)?.0)).or_default();
        versions.push(what);
    }
    for versions in parts_of_types.into_values() {
        let [before, after] = *versions.as_slice() else {
            return None;
        };
        let (before, after) = (part_of_type(before)?.1, part_of_type(after)?.1);
        used.members.extend(differing(before, after)?);
    }
    for versions in by_head.into_values() {
        match *versions.as_slice() {
            [only] => used.tags.extend(own_names(only)?),
            [before, after] if before.first() == Some(&"enum") => {
                used.tags.extend(changed_enumerators(before, after)?);
            }
            [before, after] => used.members.extend(changed_members(before, after)?),
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

/// The enumerators that only one version has, or that have another value in it.
fn changed_enumerators<'t>(before: &[&'t str], after: &[&'t str]) -> Option<BTreeSet<&'t str>> {
    let ((_, before, tail), (_, after, other_tail)) = (parts(before)?, parts(after)?);
    // A packed one is as wide as its largest value.
    if tail != other_tail || tail.iter().any(|word| *word != ";") {
        return None;
    }
    let (before, after) = (enumerators(before)?, enumerators(after)?);
    let is_other = |name: &&&str| before.get(**name) != after.get(**name);
    let names = before.keys().chain(after.keys());
    Some(names.filter(is_other).copied().collect())
}

/// Each enumerator with its value, as it is written and how many more; none where that may not be an `int`.
fn enumerators<'t>(body: &[&'t str]) -> Option<BTreeMap<&'t str, (Option<&'t str>, usize)>> {
    let mut found = BTreeMap::new();
    let (mut from, mut more) = (None, 0);
    for enumerator in body.split(|word| *word == ",") {
        let name = match enumerator {
            // Behind the last comma.
            [] => continue,
            [name] => name,
            [name, "=", value] if is_small(value) => {
                (from, more) = (Some(*value), 0);
                name
            }
            _ => return None,
        };
        let is_new = is_identifier(name) && found.insert(*name, (from, more)).is_none();
        is_new.then_some(())?;
        more += 1;
    }
    Some(found)
}

/// Whether it is a number of at most seven digits, whatever they are: as many more still make an `int`.
fn is_small(value: &str) -> bool {
    let digits = value.strip_prefix("0x").unwrap_or(value);
    (1..=7).contains(&digits.len()) && digits.bytes().all(|digit| digit.is_ascii_hexdigit())
}

/// The members that differ, where each is a pointer to a function in both, or has another name and is otherwise the same.
fn changed_members<'t>(before: &[&'t str], after: &[&'t str]) -> Option<BTreeSet<&'t str>> {
    let ((_, before, tail), (_, after, other_tail)) = (parts(before)?, parts(after)?);
    (tail == other_tail)
        .then(|| differing(before, after))
        .flatten()
}

fn differing<'t>(before: &[&'t str], after: &[&'t str]) -> Option<BTreeSet<&'t str>> {
    let (before, after) = (members(before), members(after));
    if before.len() != after.len() {
        return None;
    }
    let mut names = BTreeSet::new();
    for (one, two) in before.iter().zip(&after).filter(|(one, two)| one != two) {
        match (function_pointer(one), function_pointer(two)) {
            (Some(name), Some(other)) if name == other => drop(names.insert(name)),
            _ => names.extend(renamed(one, two)?),
        }
    }
    Some(names)
}

/// Both names of a member that is otherwise the same.
fn renamed<'t>(one: &[&'t str], two: &[&'t str]) -> Option<[&'t str; 2]> {
    let at = plain_name(one)?;
    let is_same = one.len() == two.len()
        && plain_name(two) == Some(at)
        && one.get(..at) == two.get(..at)
        && one.get(at + 1..) == two.get(at + 1..);
    is_same.then_some([*one.get(at)?, *two.get(at)?])
}

/// Where the name of a member stands that is one variable: behind its type, before the size of an array or of a field.
fn plain_name(member: &[&str]) -> Option<usize> {
    let end = member.iter().position(|word| ["[", ":"].contains(word));
    let at = end.unwrap_or(member.len()).checked_sub(1)?;
    let is_type = |word: &&str| is_identifier(word) || word.bytes().all(|sign| sign == b'*');
    let is_lower = |word: &&str| !word.contains(|sign: char| sign.is_ascii_uppercase());
    let name = member
        .get(at)
        .filter(|word| is_identifier(word) && is_lower(word))?;
    let before = member.get(..at)?;
    // An attribute stands where a name does: `int a __aligned`.
    let is_plain = at > 0 && before.iter().all(is_type) && !name.starts_with("__");
    is_plain.then_some(at)
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

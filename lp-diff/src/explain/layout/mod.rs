//! Layout hazard: structs, unions and enums that patched code uses and whose layout the change altered.
//!
//! A patch runs on objects that the unpatched kernel made, and unpatched code runs on objects that the patch makes. A
//! member that grew, moved or was added is read at a place where the other side wrote something else, or nothing. What
//! a function can reach is what its variables have, through members and pointers: a kernel's types are one net, so
//! this is generous, but only a type that differs between the two builds is ever reported. The tempting wrong way is to
//! look at sizes alone: a member that fills a hole, two that change places, and a union with one more view have the
//! same size.

mod flat;
mod same;
mod variables;

use super::units::Pair;
use crate::compare::Comparer;
use crate::dwarf::line::SourcePlace;
use crate::dwarf::types::{TypeId, TypeName};
use crate::include::Selection;
use crate::refusal::{Refusal, RefusalCode};
use flat::Member;
pub use flat::MemberPlace;
use gimli::constants as dw;
use same::{Likely, Likeness};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;

/// A type with another layout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayoutChange {
    /// `struct foo`, `union foo`, the name of a typedef, or `variable foo` of which the type is another one.
    pub name: String,
    /// Where the patched source declares it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<SourcePlace>,
    /// Its size in bytes before and after.
    pub size: (u64, u64),
    /// The members that differ.
    pub members: Vec<MemberChange>,
    /// Types that hold it by value, and differ in nothing else.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub holders: Vec<String>,
    /// The first function of the patch that can reach it.
    pub used_by: String,
    /// Whether the author allows it.
    pub allowed: bool,
}

/// A member before and after; one is missing where it was added or removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberChange {
    /// Its path: members of anonymous structs and unions count as the outer one's.
    pub member: String,
    /// Before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<MemberPlace>,
    /// After.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<MemberPlace>,
}

/// Reads a name as an option gives it: `foo`, or `struct foo`.
///
/// # Errors
/// Where it is no name of a type: all of them at once cannot be allowed.
pub fn parse_allowed(text: &str) -> Result<String, String> {
    let name = text
        .strip_prefix("struct ")
        .or(text.strip_prefix("union "))
        .unwrap_or(text);
    let legal = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if name.is_empty() || !name.chars().all(legal) {
        return Err(format!("'{text}' is not the name of a struct or union"));
    }
    Ok(name.to_owned())
}

/// What is to be said of names that were allowed in vain: one that is misspelt allows nothing.
pub fn needless<'c>(
    allowed: &BTreeSet<String>,
    changes: impl Iterator<Item = &'c LayoutChange>,
) -> Vec<String> {
    let used: BTreeSet<&str> = changes.map(LayoutChange::bare_name).collect();
    let needless = allowed.iter().filter(|name| !used.contains(name.as_str()));
    needless
        .map(|name| {
            format!("--allow-layout-change {name}: no type of this name has another layout")
        })
        .collect()
}

/// What the comparison of all types found.
#[derive(Debug, Default)]
pub struct Layouts {
    /// Types with another layout that the patch can reach.
    pub changes: Vec<LayoutChange>,
    /// One sentence for each type whose layout is the same but whose members are called or typed differently.
    pub notes: Vec<String>,
}

impl Layouts {
    /// Compares the types that the functions of the patch can reach.
    pub fn compare(
        comparer: &Comparer<'_, '_>,
        selection: &Selection,
        pair: &Pair<'_>,
        allowed: &BTreeSet<String>,
    ) -> Self {
        let view = comparer.patched;
        let mut differences = Vec::new();
        let mut layouts = Self::default();
        let mut seen = BTreeSet::new();
        for (&id, &function) in &pair.reached {
            let difference = Difference::of(pair, id);
            let Some(difference) = difference.filter(|found| seen.insert(found.name)) else {
                continue;
            };
            layouts.notes.extend(difference.notes());
            if difference.is_hazard() {
                differences.push((difference, function));
            }
        }
        let holders = holders(pair, &differences);
        for (index, (difference, function)) in differences.iter().enumerate() {
            if holders.iter().any(|(_, holder)| *holder == index) {
                continue;
            }
            let held = holders.iter().filter(|(inner, _)| *inner == index);
            layouts.changes.push(LayoutChange {
                name: display(&difference.name),
                source: pair.patched.source(difference.after),
                size: difference.size,
                members: difference.hazards().map(MemberDifference::change).collect(),
                holders: held
                    .map(|(_, holder)| display(&differences[*holder].0.name))
                    .collect(),
                used_by: view.name(*function).to_owned(),
                allowed: allowed.contains(difference.name.name),
            });
        }
        let variables = variables::changes(comparer, selection, pair, allowed);
        layouts.changes.extend(variables);
        layouts
    }
}

impl LayoutChange {
    /// What is to be said of a change that the author did not allow.
    pub fn refusal(&self) -> Option<Refusal> {
        let bare = self.bare_name();
        let message = format!(
            "its layout changed: {}. {} can reach it, and the running system has objects of the old layout. Leave it as it was and keep what is new in shadow variables (docs/patch-author-guide.md); if no such object lives on, as on the stacks of patched functions alone, give --allow-layout-change {bare}",
            self.summary(),
            self.used_by,
        );
        (!self.allowed).then(|| Refusal {
            source: self.source.clone(),
            ..Refusal::new(RefusalCode::LayoutChange, &self.name, message)
        })
    }

    /// The name without `struct` or `union`, as options give it.
    pub fn bare_name(&self) -> &str {
        self.name.rsplit(' ').next().unwrap_or_default()
    }

    /// The change in a few words, members that only moved at the end.
    pub fn summary(&self) -> String {
        const SHOWN: usize = 4;
        let (moved, other): (Vec<_>, Vec<_>) =
            self.members.iter().partition(|change| change.is_move());
        let mut words: Vec<String> = Vec::new();
        if self.size.0 != self.size.1 {
            words.push(format!("size {} became {}", self.size.0, self.size.1));
        }
        words.extend(other.iter().take(SHOWN).map(ToString::to_string));
        words.extend(more(other.len(), SHOWN, "other member"));
        let shown = if other.is_empty() { SHOWN } else { 1 };
        words.extend(moved.iter().take(shown).map(ToString::to_string));
        words.extend(more(moved.len(), shown, "moved member"));
        if !self.holders.is_empty() {
            words.push(format!("with it {}", self.holders.join(", ")));
        }
        words.join("; ")
    }
}

fn more(count: usize, shown: usize, what: &str) -> Option<String> {
    match count.saturating_sub(shown) {
        0 => None,
        1 => Some(format!("1 more {what}")),
        more => Some(format!("{more} more {what}s")),
    }
}

impl MemberChange {
    /// Whether the same member is at another place, and that is all.
    fn is_move(&self) -> bool {
        match (&self.before, &self.after) {
            (Some(before), Some(after)) => {
                (before.size, before.bits.map(|bits| bits.1), &before.kind)
                    == (after.size, after.bits.map(|bits| bits.1), &after.kind)
            }
            _ => false,
        }
    }
}

impl fmt::Display for LayoutChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.name)?;
        if let Some(source) = &self.source {
            write!(f, " ({source})")?;
        }
        write!(f, ": {}", self.summary())
    }
}

impl fmt::Display for MemberChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let member = &self.member;
        match (&self.before, &self.after) {
            (Some(before), Some(after)) if self.is_move() => {
                write!(f, "{member} moved from {} to {}", before.at(), after.at())
            }
            (Some(before), Some(after)) => write!(f, "{member} was {before}, is {after}"),
            (Some(before), None) => write!(f, "{member} removed, was {before}"),
            (None, Some(after)) => write!(f, "{member} added, {after}"),
            (None, None) => Ok(()),
        }
    }
}

impl MemberPlace {
    fn at(&self) -> String {
        match self.bits {
            Some((first, _)) => format!("+{}.{first}", self.offset),
            None => format!("+{}", self.offset),
        }
    }
}

impl fmt::Display for MemberPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}", self.kind, self.at())?;
        match (self.bits, self.size) {
            (Some((_, bits)), _) => write!(f, " ({bits} bits)"),
            (None, Some(1)) => write!(f, " (1 byte)"),
            (None, Some(size)) => write!(f, " ({size} bytes)"),
            (None, None) => Ok(()),
        }
    }
}

/// A type of both units that differs.
struct Difference<'p> {
    name: TypeName<'p>,
    after: TypeId,
    size: (u64, u64),
    members: Vec<MemberDifference>,
}

struct MemberDifference {
    before: Option<Member>,
    after: Option<Member>,
    likeness: Likeness,
}

impl MemberDifference {
    fn change(&self) -> MemberChange {
        let place = |member: &Option<Member>| member.as_ref().map(|member| member.place.clone());
        let known = self.after.as_ref().or(self.before.as_ref());
        MemberChange {
            member: known.map(|member| member.path.clone()).unwrap_or_default(),
            before: place(&self.before),
            after: place(&self.after),
        }
    }

    fn is_in_place(&self) -> bool {
        match (&self.before, &self.after) {
            (Some(before), Some(after)) => {
                let (a, b) = (&before.place, &after.place);
                (a.offset, a.size, a.bits) == (b.offset, b.size, b.bits)
            }
            _ => false,
        }
    }

    fn is_renamed(&self) -> bool {
        match (&self.before, &self.after) {
            (Some(before), Some(after)) => before.path != after.path,
            _ => false,
        }
    }

    /// Whether old objects are read wrongly through it.
    fn is_hazard(&self) -> bool {
        !self.is_in_place() || self.likeness == Likeness::Other
    }
}

impl<'p> Difference<'p> {
    /// Compares a type of the patched unit with that of the original; `None` where one only declares it, or they agree.
    fn of(pair: &Pair<'p>, id: TypeId) -> Option<Self> {
        let (before, after) = (&pair.orig.types, &pair.patched.types);
        let name = after.known_as(Some(id))?;
        let (old, new) = (
            before.aggregate(before.named(&name)?)?,
            after.aggregate(id)?,
        );
        let (one, other) = (before.get(old), after.get(new));
        if one.declaration || other.declaration || other.tag == dw::DW_TAG_enumeration_type {
            return None;
        }
        let likely = Likely::new(before, after);
        if one.size == other.size && agree(pair, &likely, old, new) {
            return None;
        }
        let members = matched(pair, &likely, (old, new));
        let size = (one.size.unwrap_or(0), other.size.unwrap_or(0));
        (size.0 != size.1 || !members.is_empty()).then_some(Self {
            name,
            after: new,
            size,
            members,
        })
    }

    fn is_hazard(&self) -> bool {
        self.size.0 != self.size.1 || self.hazards().next().is_some()
    }

    fn hazards(&self) -> impl Iterator<Item = &MemberDifference> {
        self.members.iter().filter(|member| member.is_hazard())
    }

    fn notes(&self) -> Vec<String> {
        let harmless = self.members.iter().filter(|member| !member.is_hazard());
        harmless
            .filter_map(|member| {
                let (before, after) = (member.before.as_ref()?, member.after.as_ref()?);
                let what = if member.is_renamed() {
                    format!("member {} is now called {}", before.path, after.path)
                } else {
                    format!(
                        "member {} was {}, is {}",
                        after.path, before.place.kind, after.place.kind
                    )
                };
                Some(format!(
                    "{}: {what}; objects that the running system has keep the old meaning",
                    display(&self.name)
                ))
            })
            .collect()
    }

    /// Whether nothing but the size of what it holds by value can have made it differ.
    fn only_holds(&self, inner: &[(TypeName<'_>, TypeId)], pair: &Pair<'_>) -> Vec<usize> {
        let types = &pair.patched.types;
        let only = self
            .members
            .iter()
            .all(|member| match (&member.before, &member.after) {
                (Some(before), Some(after)) => {
                    member.likeness == Likeness::Same
                        && before.place.kind == after.place.kind
                        && !member.is_renamed()
                }
                _ => false,
            });
        if !only {
            return Vec::new();
        }
        let held: BTreeSet<TypeName<'_>> = flat::members(types, self.after)
            .iter()
            .filter_map(|member| by_value(pair, member.id))
            .collect();
        let indices = inner.iter().enumerate();
        indices
            .filter(|(_, (name, _))| held.contains(name) && *name != self.name)
            .map(|(index, _)| index)
            .collect()
    }
}

/// The named aggregate that a member holds, alone or in an array.
fn by_value<'p>(pair: &Pair<'p>, member: TypeId) -> Option<TypeName<'p>> {
    let types = &pair.patched.types;
    let mut id = types.target(member);
    for _ in 0..32 {
        id = types.unqualified(id);
        if let Some(name) = types.known_as(id) {
            return Some(name);
        }
        let entry = types.get(id?);
        if !matches!(entry.tag, dw::DW_TAG_array_type | dw::DW_TAG_typedef) {
            return None;
        }
        id = types.target(id?);
    }
    None
}

/// Pairs of (held, holder): the holder differs because what it holds has another size.
fn holders<T>(pair: &Pair<'_>, differences: &[(Difference<'_>, T)]) -> Vec<(usize, usize)> {
    let grown: Vec<(TypeName<'_>, TypeId)> = differences
        .iter()
        .map(|(difference, _)| (difference.name, difference.after))
        .collect();
    let mut pairs = Vec::new();
    for (holder, (difference, _)) in differences.iter().enumerate() {
        let held = difference.only_holds(&grown, pair);
        let resized = held
            .into_iter()
            .filter(|inner| differences[*inner].0.size.0 != differences[*inner].0.size.1);
        pairs.extend(resized.map(|inner| (inner, holder)));
    }
    pairs
}

/// The quick answer for most types: the same members in the same order at the same places.
fn agree(pair: &Pair<'_>, likely: &Likely<'_, '_, '_>, old: TypeId, new: TypeId) -> bool {
    let (before, after) = (&pair.orig.types, &pair.patched.types);
    let (mut olds, mut news) = (before.members(old), after.members(new));
    loop {
        let (one, other) = match (olds.next(), news.next()) {
            (None, None) => return true,
            (Some(one), Some(other)) => (one, other),
            _ => return false,
        };
        let (a, b) = (before.get(one), after.get(other));
        let (old, new) = (before.target(one), after.target(other));
        let in_place = (a.name, a.place, a.bits) == (b.name, b.place, b.bits)
            && before.size_of(old) == after.size_of(new);
        if !in_place || likely.likeness(old, new) != Likeness::Same {
            return false;
        }
    }
}

/// The members that differ: by name, then those without a partner by place, as renamed.
fn matched(
    pair: &Pair<'_>,
    likely: &Likely<'_, '_, '_>,
    (old, new): (TypeId, TypeId),
) -> Vec<MemberDifference> {
    let (before, after) = (&pair.orig.types, &pair.patched.types);
    let likeness = |one: &Member, other: &Member| {
        likely.likeness(before.target(one.id), after.target(other.id))
    };
    let mut olds: BTreeMap<String, Member> = flat::members(before, old)
        .into_iter()
        .map(|member| (member.path.clone(), member))
        .collect();
    let mut differences = Vec::new();
    let mut added = Vec::new();
    for member in flat::members(after, new) {
        let Some(twin) = olds.remove(&member.path) else {
            added.push(member);
            continue;
        };
        let difference = MemberDifference {
            likeness: likeness(&twin, &member),
            before: Some(twin),
            after: Some(member),
        };
        if !difference.is_in_place() || difference.likeness != Likeness::Same {
            differences.push(difference);
        }
    }
    let space = |member: &Member| (member.place.offset, member.place.size, member.place.bits);
    let mut left: HashMap<_, String> = olds
        .values()
        .map(|old| (space(old), old.path.clone()))
        .collect();
    for member in added {
        let twin = left.get(&space(&member)).and_then(|path| olds.get(path));
        let renamed = twin.filter(|twin| likeness(twin, &member) != Likeness::Other);
        let twin = renamed.cloned();
        if let Some(twin) = &twin {
            left.remove(&space(twin));
            olds.remove(&twin.path);
        }
        differences.push(MemberDifference {
            likeness: twin
                .as_ref()
                .map_or(Likeness::Other, |twin| likeness(twin, &member)),
            before: twin,
            after: Some(member),
        });
    }
    differences.extend(olds.into_values().map(|member| MemberDifference {
        before: Some(member),
        after: None,
        likeness: Likeness::Other,
    }));
    let place = |difference: &MemberDifference| {
        let known = difference.after.as_ref().or(difference.before.as_ref());
        known.map(|member| (member.place.offset, member.place.bits))
    };
    differences.sort_by_key(place);
    differences
}

/// `struct foo`, with the function that a local one belongs to.
fn display(name: &TypeName<'_>) -> String {
    let mut text = name.name.to_owned();
    if !name.keyword.is_empty() {
        text = format!("{} {text}", name.keyword);
    }
    text
}

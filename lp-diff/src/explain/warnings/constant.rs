//! Enumerators that have another value: the running system has the old one in its data.
//!
//! A number that means something else now is still in objects, in other files' code and in what user space sends. Macros
//! are not told apart here: kernels are built without `-g3`, so objects say nothing of them but the numbers they left.

use super::{Subject, Warning, WarningCode};
use crate::dwarf::types::{TypeId, Types};
use crate::explain::units::Pair;
use gimli::constants as dw;
use std::collections::{BTreeMap, BTreeSet};

/// Values shown of one enum.
const SHOWN: usize = 4;

pub(super) fn find(subject: &Subject<'_, '_, '_>, found: &mut Vec<Warning>) {
    for pair in subject.pairs {
        for (id, function) in &pair.reached {
            let user = subject.comparer.patched.name(*function);
            found.extend(named(pair, *id, user));
        }
        found.extend(nameless(pair));
    }
}

/// Compares an enum that a function of the patch can reach.
fn named(pair: &Pair<'_>, id: TypeId, user: &str) -> Option<Warning> {
    let (before, after) = (&pair.orig.types, &pair.patched.types);
    let name = after.known_as(Some(id))?;
    let old = before.aggregate(before.named(&name)?)?;
    let new = after.aggregate(id)?;
    if after.get(new).tag != dw::DW_TAG_enumeration_type {
        return None;
    }
    let changed = changed(&values(before, old), &values(after, new))?;
    let place = after.spell(Some(id));
    Some(warning(
        pair,
        new,
        place,
        format!("{changed}; {user} can reach it"),
    ))
}

/// Enumerators of enums without a name or typedef are constants of the whole unit, and no variable leads to them. A compiler
/// describes those alone that the unit uses.
fn nameless(pair: &Pair<'_>) -> Option<Warning> {
    let (before, after) = (&pair.orig.types, &pair.patched.types);
    let (olds, news) = (constants(before), constants(after));
    let differs = |id| {
        let mut own = values(after, id);
        own.retain(|name, _| news.contains_key(name));
        Some((id, changed(&olds, &own)?))
    };
    let (id, changed) = nameless_enums(after).find_map(differs)?;
    Some(warning(pair, id, after.spell(Some(id)), changed))
}

/// The enumerators of all of them. Functions can have enums of their own with the same names: which one is which is not
/// told, so those with several values are left out.
fn constants<'o>(types: &Types<'o>) -> BTreeMap<&'o str, i64> {
    let mut constants: BTreeMap<&str, Option<i64>> = BTreeMap::new();
    for (name, value) in nameless_enums(types).flat_map(|id| values(types, id)) {
        let known = constants.entry(name).or_insert(Some(value));
        *known = known.filter(|known| *known == value);
    }
    let constants = constants.into_iter();
    constants
        .filter_map(|(name, value)| Some((name, value?)))
        .collect()
}

fn nameless_enums(types: &Types<'_>) -> impl Iterator<Item = TypeId> {
    let is_enum = |id: &TypeId| types.get(*id).tag == dw::DW_TAG_enumeration_type;
    let typedefs = types.ids().filter(|id| types.known_as(Some(*id)).is_some());
    let named: BTreeSet<TypeId> = typedefs.filter_map(|id| types.aggregate(id)).collect();
    types
        .ids()
        .filter(move |id| is_enum(id) && !named.contains(id))
}

fn warning(pair: &Pair<'_>, id: TypeId, place: String, changed: String) -> Warning {
    Warning {
        code: WarningCode::EnumChange,
        place,
        source: pair.patched.source(id),
        message: format!(
            "{changed}. What the running system has stored, and code that is not patched, means the old values: add new enumerators at the end"
        ),
    }
}

/// The enumerators of both sides that have another value, in words.
fn changed(olds: &BTreeMap<&str, i64>, news: &BTreeMap<&str, i64>) -> Option<String> {
    let changed: Vec<String> = news
        .iter()
        .filter_map(|(name, value)| {
            let was = olds.get(name).filter(|was| *was != value)?;
            Some(format!("{name} was {was}, is {value}"))
        })
        .collect();
    let more = match changed.len().saturating_sub(SHOWN) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let shown = changed[..changed.len().min(SHOWN)].join(", ");
    (!changed.is_empty()).then(|| shown + &more)
}

fn values<'o>(types: &Types<'o>, id: TypeId) -> BTreeMap<&'o str, i64> {
    types
        .members(id)
        .map(|member| types.get(member))
        .map(|member| (member.name, member.size.unwrap_or(0) as i64))
        .collect()
}

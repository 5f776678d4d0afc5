//! Enumerators that have another value: the running system has the old one in its data.
//!
//! A number that means something else now is still in objects, in other files' code and in what user space sends. Macros
//! are not told apart here: kernels are built without `-g3`, so objects say nothing of them but the numbers they left.

use super::{Subject, Warning, WarningCode};
use crate::dwarf::types::{TypeId, Types};
use crate::explain::units::Pair;
use gimli::constants as dw;
use std::collections::BTreeMap;

/// Values shown of one enum.
const SHOWN: usize = 4;

pub(super) fn find(subject: &Subject<'_, '_, '_>, found: &mut Vec<Warning>) {
    for pair in subject.pairs {
        for (id, function) in &pair.reached {
            let user = subject.comparer.patched.name(*function);
            found.extend(warning(pair, *id, user));
        }
    }
}

/// Compares an enum that a function of the patch can reach.
fn warning(pair: &Pair<'_>, id: TypeId, user: &str) -> Option<Warning> {
    let (before, after) = (&pair.orig.types, &pair.patched.types);
    let name = after.known_as(Some(id))?;
    let (old, new) = (
        before.aggregate(before.named(&name)?)?,
        after.aggregate(id)?,
    );
    if after.get(new).tag != dw::DW_TAG_enumeration_type {
        return None;
    }
    let (olds, news) = (values(before, old), values(after, new));
    let changed: Vec<String> = news
        .iter()
        .filter_map(|(name, value)| {
            let was = olds.get(name).filter(|was| *was != value)?;
            Some(format!("{name} was {was}, is {value}"))
        })
        .collect();
    if changed.is_empty() {
        return None;
    }
    let more = match changed.len().saturating_sub(SHOWN) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let shown = changed[..changed.len().min(SHOWN)].join(", ");
    Some(Warning {
        code: WarningCode::EnumChange,
        place: after.spell(Some(id)),
        source: pair.patched.source(new),
        message: format!(
            "{shown}{more}. {user} can use it, and what the running system has stored, and code that is not patched, means the old values: add new enumerators at the end"
        ),
    })
}

fn values<'o>(types: &Types<'o>, id: TypeId) -> BTreeMap<&'o str, i64> {
    types
        .members(id)
        .map(|member| types.get(member))
        .map(|member| (member.name, member.size.unwrap_or(0) as i64))
        .collect()
}

//! Correlates static locals by who declares them, as the debug information says.
//!
//! A variable belongs to the function that declares it, wherever that is inlined and whatever uses it. Which of several
//! that a function declares under one name is which, their [`evidence`](super::evidence) tells. The tempting wrong ways
//! are to go by their order, which a block that moved turns around, and to ask for all variables: reading the debug
//! information takes longer than all else, and what only unchanged code uses is never in doubt.

use super::evidence::{Evidence, take_equal_constants, tell_apart};
use super::{Side, Twins};
use crate::bundle::BundleId;
use crate::correlate::is_static_local;
use crate::correlate::scope::Scope;
use crate::dwarf::variable::{Scope as Declarer, Variable};
use std::collections::{BTreeMap, BTreeSet};

/// (source file, declaring function, name) → the variables, in the order of the source.
type Declared<'v> = BTreeMap<(Scope, &'v str, &'v str), Vec<BundleId>>;

/// What the debug information settled.
#[derive(Debug, Default)]
pub(super) struct Settled {
    /// Of the original: those that are some patched variable or none, for sure.
    pub(super) orig: BTreeSet<BundleId>,
    /// Of the patched object: those that have a twin, or none, for sure.
    pub(super) patched: BTreeSet<BundleId>,
}

/// Pairs the static locals whose declaring function is known on both sides.
pub(super) fn correlate(
    orig: Side<'_, '_, '_>,
    patched: Side<'_, '_, '_>,
    twins: &mut Twins,
) -> Settled {
    let (theirs, ours) = (declared(orig), declared(patched));
    let all = |side: &Declared<'_>| side.values().flatten().copied().collect();
    let settled = Settled {
        orig: all(&theirs),
        patched: all(&ours),
    };
    let both = ours
        .iter()
        .filter_map(|(key, ours)| Some((theirs.get(key)?, ours)));
    let (lone, several): (Vec<_>, Vec<_>) =
        both.partition(|(theirs, ours)| theirs.len() == 1 && ours.len() == 1);
    for (theirs, ours) in lone {
        twins.pair(theirs[0], ours[0]);
    }
    let of_theirs = several.iter().flat_map(|(theirs, _)| *theirs);
    let of_ours = several.iter().flat_map(|(_, ours)| *ours);
    let before = Evidence::gather(orig, of_theirs.copied().collect());
    let after = Evidence::gather(patched, of_ours.copied().collect());
    for (theirs, ours) in several {
        let (mut theirs, mut ours) = (theirs.clone(), ours.clone());
        let equal = take_equal_constants((&mut theirs, &before), (&mut ours, &after));
        let pairs = tell_apart((&theirs, &before), (&ours, &after)).unwrap_or_else(|| {
            twins.ambiguous.extend(&ours);
            // Code that did not change uses them in the order that they had.
            theirs.iter().copied().zip(ours.iter().copied()).collect()
        });
        for (their, our) in equal.into_iter().chain(pairs) {
            twins.pair(their, our);
        }
    }
    settled
}

fn declared<'v>(side: Side<'_, 'v, '_>) -> Declared<'v> {
    let mut found: BTreeMap<_, Vec<(u32, BundleId)>> = BTreeMap::new();
    for (id, _) in side.view.bundles.iter() {
        if !is_static_local(side.view, id) {
            continue;
        }
        if let Some((variable, function)) = variable(side, id) {
            let key = (side.scopes.scope(id), function, variable.name.as_str());
            found.entry(key).or_default().push((variable.nth, id));
        }
    }
    let in_order = |mut ids: Vec<(u32, BundleId)>| {
        ids.sort_unstable();
        ids.into_iter().map(|(_, id)| id).collect()
    };
    let sorted = found.into_iter().map(|(key, ids)| (key, in_order(ids)));
    sorted.collect()
}

/// What the debug information says of a static local, with the function that declares it.
fn variable<'v>(side: Side<'_, 'v, '_>, id: BundleId) -> Option<(&'v Variable, &'v str)> {
    let bundle = side.view.bundles.get(id);
    let owner = side.view.object.symbol(bundle.owner?);
    let variable = side.debug.get()?.variable_at(bundle.section, owner.value)?;
    match &variable.scope {
        Declarer::Function { name, .. } => Some((variable, name)),
        Declarer::File | Declarer::Nameless => None,
    }
}

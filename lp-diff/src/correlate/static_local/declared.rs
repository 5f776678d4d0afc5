//! Correlates static locals by who declares them, as the debug information says.
//!
//! A variable belongs to the function that declares it, wherever that is inlined and whatever uses it. Of several that
//! a function declares under one name the order of the source says which is which, if there are as many as before.
//! The tempting wrong way is to ask for all variables: reading the debug information takes longer than all else, and
//! what only unchanged code uses is never in doubt.

use super::{Side, Twins};
use crate::bundle::BundleId;
use crate::correlate::is_static_local;
use crate::correlate::scope::Scope;
use crate::dwarf::variable::{Scope as Declarer, Variable};
use std::collections::{BTreeMap, BTreeSet};

/// (source file, declaring function, name) → the variables, in the order of the source, and how many there are.
type Declared<'v> = BTreeMap<(Scope, &'v str, &'v str), (Vec<BundleId>, u32)>;

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
    let all = |side: &Declared<'_>| side.values().flat_map(|(ids, _)| ids.clone()).collect();
    let settled = Settled {
        orig: all(&theirs),
        patched: all(&ours),
    };
    for (key, (ours, count)) in &ours {
        let Some((theirs, before)) = theirs.get(key) else {
            continue;
        };
        let size = |view: &crate::reference::View<'_>, id: &BundleId| view.bundles.get(*id).len;
        let sizes_agree = theirs
            .iter()
            .zip(ours)
            .all(|(a, b)| size(orig.view, a) == size(patched.view, b));
        let sure = count == before && (*count == 1 || sizes_agree);
        for (their, our) in theirs.iter().zip(ours) {
            twins.pair(*their, *our);
        }
        if !sure {
            twins.ambiguous.extend(ours);
        }
    }
    settled
}

fn declared<'v>(side: Side<'_, 'v, '_>) -> Declared<'v> {
    let mut found: BTreeMap<_, (Vec<(u32, BundleId)>, u32)> = BTreeMap::new();
    for (id, _) in side.view.bundles.iter() {
        if !is_static_local(side.view, id) {
            continue;
        }
        if let Some((variable, function)) = variable(side, id) {
            let key = (side.scopes.scope(id), function, variable.name.as_str());
            let entry = found.entry(key).or_default();
            entry.0.push((variable.nth, id));
            entry.1 = entry.1.max(variable.of);
        }
    }
    let in_order = |(mut ids, of): (Vec<(u32, BundleId)>, u32)| {
        ids.sort_unstable();
        (ids.into_iter().map(|(_, id)| id).collect(), of)
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

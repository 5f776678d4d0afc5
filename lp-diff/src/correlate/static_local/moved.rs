//! Correlates static locals that no function uses on both sides: it was inlined, is inlined no longer, or its code
//! moved into a function of its own.
//!
//! They are the same variable if they are the only ones of their name that are left, and the function that uses it on
//! one side is not there on the other. What cannot be told that way is in doubt, unless the debug information or the
//! names say that the functions which declare them are two. The tempting wrong way is to call all that is left new.

use super::declared::Settled;
use super::used::{Uses, place};
use super::{Side, Twins};
use crate::bundle::{BundleId, Kind};
use crate::correlate::is_static_local;
use crate::name::{canonical, is_scoped, own_name, source_function};
use crate::reference::View;
use std::collections::{BTreeMap, BTreeSet};

/// A variable that was the file's and is a function's, or the other way round, can be the same one with its state, or
/// another one that got its name.
pub(super) fn doubt_other_scope(orig: &View<'_>, patched: &View<'_>, twins: &mut Twins) {
    let states = |view: &'_ View<'_>, is_left: &dyn Fn(BundleId) -> bool| {
        let bundles = view.bundles.iter();
        let states = bundles.filter(|(id, bundle)| {
            let section = view.object.section(bundle.section);
            bundle.kind == Kind::Data && section.is_writable() && is_left(*id)
        });
        let named = states.map(|(id, _)| {
            let name = canonical(view.name(id), view.object.compiler).into_owned();
            let is_local = is_static_local(view, id);
            let name = if is_local {
                own_name(&name).to_owned()
            } else {
                name
            };
            (id, (name, is_local))
        });
        named.collect::<Vec<_>>()
    };
    let ours = states(patched, &|id| twins.orig(id).is_none());
    if ours.is_empty() {
        return;
    }
    let theirs = states(orig, &|id| twins.patched(id).is_none());
    let theirs: BTreeSet<_> = theirs.into_iter().map(|(_, key)| key).collect();
    let other_scope =
        |(name, is_local): &(String, bool)| theirs.contains(&(name.clone(), !is_local));
    let doubtful = ours.iter().filter(|(_, key)| other_scope(key));
    twins.ambiguous.extend(doubtful.map(|(id, _)| *id));
}

/// The locals of one name that are left, and who uses them.
#[derive(Default)]
struct Left<'u> {
    ids: BTreeSet<BundleId>,
    users: BTreeSet<&'u str>,
}

/// Pairs what is left, and says what is in doubt.
pub(super) fn correlate(
    (orig, theirs): (Side<'_, '_, '_>, &Uses<'_>),
    (patched, ours): (Side<'_, '_, '_>, &Uses<'_>),
    settled: &Settled,
    twins: &mut Twins,
) {
    let left_ours = left(ours, |id| twins.orig(id).is_none());
    if left_ours.is_empty() {
        return;
    }
    let left_theirs = left(theirs, |id| twins.patched(id).is_none());
    let (orig_users, patched_users) = (users(orig.view), users(patched.view));
    for (name, ours) in left_ours {
        let Some(theirs) = left_theirs.get(name) else {
            continue;
        };
        let inlined = theirs
            .users
            .iter()
            .all(|user| !patched_users.contains(user));
        let outlined = ours.users.iter().all(|user| !orig_users.contains(user));
        let only = |ids: &BTreeSet<BundleId>| ids.first().copied().filter(|_| ids.len() == 1);
        if let (Some(their), Some(our), true) =
            (only(&theirs.ids), only(&ours.ids), inlined || outlined)
            && place(orig.view, their) == place(patched.view, our)
        {
            twins.pair(their, our);
            continue;
        }
        let is_sure = |side: Side<'_, '_, '_>, settled: &BTreeSet<BundleId>, id: &BundleId| {
            let name = canonical(side.view.name(*id), side.view.object.compiler);
            settled.contains(id) || is_scoped(&name)
        };
        let theirs_sure = theirs.ids.iter().all(|id| is_sure(orig, &settled.orig, id));
        let doubtful = |id: &&BundleId| !theirs_sure || !is_sure(patched, &settled.patched, id);
        twins.ambiguous.extend(ours.ids.iter().filter(doubtful));
    }
}

fn left<'u>(uses: &'u Uses<'_>, is_free: impl Fn(BundleId) -> bool) -> BTreeMap<&'u str, Left<'u>> {
    let mut left: BTreeMap<&str, Left<'_>> = BTreeMap::new();
    for (((_, user), name), ids) in uses.iter() {
        for id in ids.into_iter().filter(|id| is_free(*id)) {
            let entry = left.entry(own_name(name)).or_default();
            entry.ids.insert(id);
            entry.users.insert(user);
        }
    }
    left
}

/// The names of everything that can use a static local.
fn users<'d>(view: &View<'d>) -> BTreeSet<&'d str> {
    let named = view.bundles.iter();
    named
        .filter(|(_, bundle)| matches!(bundle.kind, Kind::Function | Kind::Data))
        .map(|(id, _)| source_function(view.name(id)))
        .collect()
}

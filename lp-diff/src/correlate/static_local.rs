//! Correlates static locals: by who uses them, not by number.
//!
//! Two builds of one function use its static locals in the same order, so the n-th `count` that function `f` uses is
//! the n-th `count` that the other `f` uses. A function counts with all that was split off it. Where the user changed
//! because a function was inlined or no longer is, the two variables have no user in common; they are still the same
//! one if they are the only ones of their name and the user on one side is gone on the other. The tempting wrong way
//! is to pair equal names: a `count` taken out of `f` and another one added to `g` would share their state.

use super::{Twins, is_static_local};
use crate::bundle::{BundleId, Kind};
use crate::name::{canonical, source_function};
use crate::reference::{Target, View};
use crate::special::table::home;
use crate::special::{Entries, refs_of};
use std::collections::{BTreeMap, BTreeSet};

/// (user, name of the local) → the locals of that name it uses, in order of first use.
type Uses = BTreeMap<(String, String), Vec<BundleId>>;

/// Pairs the static locals of both objects.
pub(super) fn correlate(
    orig: (&View<'_>, &Entries),
    patched: (&View<'_>, &Entries),
    twins: &mut Twins,
) {
    let theirs = uses(orig.0, orig.1);
    let ours = uses(patched.0, patched.1);
    for (key, ours) in &ours {
        let Some(theirs) = theirs.get(key) else {
            continue;
        };
        let mut theirs: Vec<BundleId> = theirs
            .iter()
            .copied()
            .filter(|id| twins.patched(*id).is_none())
            .collect();
        for our in ours
            .iter()
            .copied()
            .filter(|id| twins.orig(*id).is_none())
            .collect::<Vec<_>>()
        {
            // Of several of one name the order of use says which is which, unless the code changed.
            let several = theirs.len() > 1 || ours.len() > 1;
            let Some(at) = theirs
                .iter()
                .position(|their| alike(orig.0, patched.0, *their, our))
            else {
                continue;
            };
            twins.pair(theirs.remove(at), our);
            if several {
                twins.ambiguous.insert(our);
            }
        }
    }
    for (a, b) in moved(orig.0, patched.0, &theirs, &ours, twins) {
        twins.pair(a, b);
    }
}

/// A static local keeps its section kind; a size that differs is for the comparison to refuse.
fn alike(orig: &View<'_>, patched: &View<'_>, a: BundleId, b: BundleId) -> bool {
    let section = |view: &View<'_>, id: BundleId| {
        let section = view.object.section(view.bundles.get(id).section);
        (section.is_writable(), section.is_exec(), home(section.name))
    };
    section(orig, a) == section(patched, b)
}

fn uses(view: &View<'_>, entries: &Entries) -> Uses {
    let mut uses = Uses::new();
    for (user, bundle) in view.bundles.iter() {
        if !matches!(bundle.kind, Kind::Function | Kind::Data | Kind::Fragment) {
            continue;
        }
        let user_name = source_function(view.name(user));
        // A key of a jump label is used by nothing but the label's entry.
        let in_entries = entries
            .of(user)
            .iter()
            .flat_map(|entry| refs_of(view, entry));
        for reference in view.refs_of(user).iter().copied().chain(in_entries) {
            let Target::Bundle { id, .. } = reference.target else {
                continue;
            };
            if id == user || !is_static_local(&view.object, &view.bundles, id) {
                continue;
            }
            let locals = uses
                .entry((user_name.to_owned(), canonical(view.name(id))))
                .or_default();
            if !locals.contains(&id) {
                locals.push(id);
            }
        }
    }
    uses
}

/// Locals that are alone of their name on both sides, whose users were merged or split.
fn moved(
    orig: &View<'_>,
    patched: &View<'_>,
    theirs: &Uses,
    ours: &Uses,
    twins: &Twins,
) -> Vec<(BundleId, BundleId)> {
    let left_theirs = left(theirs, |id| twins.patched(id).is_none());
    let left_ours = left(ours, |id| twins.orig(id).is_none());
    let names = |view: &View<'_>| -> BTreeSet<String> {
        let functions = view
            .bundles
            .iter()
            .filter(|(_, bundle)| bundle.kind == Kind::Function);
        functions
            .map(|(id, _)| source_function(view.name(id)).to_owned())
            .collect()
    };
    let (orig_functions, patched_functions) = (names(orig), names(patched));
    let mut pairs = Vec::new();
    for (name, (our_ids, our_users)) in left_ours {
        let Some((their_ids, their_users)) = left_theirs.get(&name) else {
            continue;
        };
        let inlined = their_users
            .iter()
            .all(|user| !patched_functions.contains(user));
        let outlined = our_users.iter().all(|user| !orig_functions.contains(user));
        let (Some(ours), Some(theirs)) = (only(&our_ids), only(their_ids)) else {
            continue;
        };
        if (inlined || outlined) && alike(orig, patched, theirs, ours) {
            pairs.push((theirs, ours));
        }
    }
    pairs
}

type Left = BTreeMap<String, (BTreeSet<BundleId>, BTreeSet<String>)>;

fn left(uses: &Uses, is_free: impl Fn(BundleId) -> bool) -> Left {
    let mut left = Left::new();
    for ((user, name), ids) in uses {
        for id in ids.iter().filter(|id| is_free(**id)) {
            let entry = left.entry(name.clone()).or_default();
            entry.0.insert(*id);
            entry.1.insert(user.clone());
        }
    }
    left
}

fn only(ids: &BTreeSet<BundleId>) -> Option<BundleId> {
    (ids.len() == 1).then(|| ids.first().copied()).flatten()
}

//! Correlates static locals: by who uses them, not by number.
//!
//! Two builds of one function use its static locals in the same order, so the n-th `count` that function `f` uses is
//! the n-th `count` that the other `f` uses. A function counts with all that was split off it. Where the user changed
//! because a function was inlined or no longer is, the two variables have no user in common; they are still the same
//! one if they are the only ones of their name and the user on one side is gone on the other. The tempting wrong way
//! is to pair equal names: a `count` taken out of `f` and another one added to `g` would share their state.

use super::scope::{Scope, Scopes};
use super::{Twins, is_static_local};
use crate::bundle::{BundleId, Kind};
use crate::name::{self, canonical, source_function};
use crate::reference::{Target, View};
use crate::special::table::{Home, home};
use crate::special::{Entries, refs_of};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};

/// What is known of one object.
type Side<'a, 'v, 'd> = (&'v View<'d>, &'a Entries, &'a Scopes<'v, 'd>);
type User<'d> = (Scope, &'d str);
/// (user, name of the local) → the locals of that name it uses, in order of first use.
type Uses<'d> = BTreeMap<(User<'d>, Cow<'d, str>), Vec<BundleId>>;

/// Pairs the static locals of both objects.
pub(super) fn correlate<'d>(orig: Side<'_, '_, 'd>, patched: Side<'_, '_, 'd>, twins: &mut Twins) {
    by_scoped_name(orig, patched, twins);
    let theirs = uses(orig);
    let ours = uses(patched);
    for (key, ours) in &ours {
        if let Some(theirs) = theirs.get(key) {
            by_order(orig.0, patched.0, theirs, ours, twins);
        }
    }
    for (a, b) in moved(orig.0, patched.0, &theirs, &ours, twins) {
        twins.pair(a, b);
    }
}

/// clang says in the name which function declares a variable. Of several in one function it numbers all but one.
fn by_scoped_name<'d>(orig: Side<'_, '_, 'd>, patched: Side<'_, '_, 'd>, twins: &mut Twins) {
    let scoped = |(view, _, scopes): Side<'_, '_, 'd>| {
        let mut scoped: BTreeMap<(Scope, Cow<'d, str>), Vec<BundleId>> = BTreeMap::new();
        for (id, _) in view
            .bundles
            .iter()
            .filter(|(id, _)| is_static_local(view, *id))
        {
            let name = canonical(view.name(id), view.object.compiler);
            if name::is_scoped(&name) {
                scoped.entry((scopes.scope(id), name)).or_default().push(id);
            }
        }
        scoped
    };
    let theirs = scoped(orig);
    for (key, ours) in scoped(patched) {
        if let (Some([their]), [our]) = (theirs.get(&key).map(Vec::as_slice), &ours[..]) {
            twins.pair(*their, *our);
        }
    }
}

/// Pairs the locals of one name that one function uses. Of several the order of use says which is which, unless the
/// code changed.
fn by_order(
    orig: &View<'_>,
    patched: &View<'_>,
    theirs: &[BundleId],
    ours: &[BundleId],
    twins: &mut Twins,
) {
    let theirs: Vec<BundleId> = free(theirs, |id| twins.patched(id).is_none());
    let ours: Vec<BundleId> = free(ours, |id| twins.orig(id).is_none());
    if let ([their], [our]) = (&theirs[..], &ours[..]) {
        if place(orig, *their) == place(patched, *our) {
            twins.pair(*their, *our);
        }
        return;
    }
    let same_count = theirs.len() == ours.len();
    let mut alike: BTreeMap<_, VecDeque<BundleId>> = BTreeMap::new();
    for their in theirs {
        let key = (place(orig, their), orig.bundles.get(their).len);
        alike.entry(key).or_default().push_back(their);
    }
    let mut of_kind: BTreeMap<_, usize> = BTreeMap::new();
    let kind = |our| (place(patched, our), patched.bundles.get(our).len);
    for our in &ours {
        *of_kind.entry(kind(*our)).or_default() += 1;
    }
    // One of its size on each side is that one.
    let lone: BTreeSet<_> = alike
        .iter()
        .filter(|(key, theirs)| same_count && theirs.len() == 1 && of_kind.get(key) == Some(&1))
        .map(|(key, _)| *key)
        .collect();
    for our in ours {
        if let Some(their) = alike.get_mut(&kind(our)).and_then(VecDeque::pop_front) {
            twins.pair(their, our);
            if !lone.contains(&kind(our)) {
                twins.ambiguous.insert(our);
            }
        }
    }
}

fn free(ids: &[BundleId], is_free: impl Fn(BundleId) -> bool) -> Vec<BundleId> {
    ids.iter().copied().filter(|id| is_free(*id)).collect()
}

/// A static local keeps its section kind; a size that differs is for the comparison to refuse.
fn place(view: &View<'_>, id: BundleId) -> (bool, bool, Home) {
    let section = view.object.section(view.bundles.get(id).section);
    (section.is_writable(), section.is_exec(), home(section.name))
}

fn uses<'d>((view, entries, scopes): Side<'_, '_, 'd>) -> Uses<'d> {
    let mut uses = Uses::new();
    let mut seen: HashSet<(User<'d>, BundleId)> = HashSet::new();
    for (user, bundle) in view.bundles.iter() {
        if !matches!(bundle.kind, Kind::Function | Kind::Data | Kind::Fragment) {
            continue;
        }
        let user_key = (scopes.scope(user), source_function(view.name(user)));
        // A key of a jump label is used by nothing but the label's entry.
        let in_entries = entries
            .of(user)
            .iter()
            .flat_map(|entry| refs_of(view, entry));
        for reference in view.refs_of(user).iter().copied().chain(in_entries) {
            let Target::Bundle { id, .. } = reference.target else {
                continue;
            };
            if id != user && is_static_local(view, id) && seen.insert((user_key, id)) {
                let name = canonical(view.name(id), view.object.compiler);
                uses.entry((user_key, name)).or_default().push(id);
            }
        }
    }
    uses
}

/// Locals that are alone of their name on both sides, whose users were merged or split.
fn moved(
    orig: &View<'_>,
    patched: &View<'_>,
    theirs: &Uses<'_>,
    ours: &Uses<'_>,
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
            .all(|user| !patched_functions.contains(*user));
        let outlined = our_users.iter().all(|user| !orig_functions.contains(*user));
        let (Some(ours), Some(theirs)) = (only(&our_ids), only(their_ids)) else {
            continue;
        };
        if (inlined || outlined) && place(orig, theirs) == place(patched, ours) {
            pairs.push((theirs, ours));
        }
    }
    pairs
}

type Left<'u> = BTreeMap<&'u str, (BTreeSet<BundleId>, BTreeSet<&'u str>)>;

fn left<'u>(uses: &'u Uses<'_>, is_free: impl Fn(BundleId) -> bool) -> Left<'u> {
    let mut left = Left::new();
    for (((_, user), name), ids) in uses {
        for id in ids.iter().filter(|id| is_free(**id)) {
            let entry = left.entry(name.as_ref()).or_default();
            entry.0.insert(*id);
            entry.1.insert(user);
        }
    }
    left
}

fn only(ids: &BTreeSet<BundleId>) -> Option<BundleId> {
    (ids.len() == 1).then(|| ids.first().copied()).flatten()
}

//! Correlates static locals by who uses them, and in which order.
//!
//! Two builds of one function use its static locals in the same order, so the n-th `count` that function `f` uses is
//! the n-th `count` that the other `f` uses. A function counts with all that was split off it. The tempting wrong way
//! is to pair equal names: a `count` taken out of `f` and another one added to `g` would share their state.

use super::{Side, Twins};
use crate::bundle::{BundleId, Kind};
use crate::correlate::is_static_local;
use crate::correlate::scope::Scope;
use crate::name::{canonical, source_function};
use crate::reference::{Target, View};
use crate::special::refs_of;
use crate::special::table::{Home, home};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};

pub(super) type User<'d> = (Scope, &'d str);
/// A user, and the name of the locals.
pub(super) type Key<'d> = (User<'d>, Cow<'d, str>);

/// The locals of one name that one user uses, by user and name, each in order of first use. Most users have one: a list
/// for each would take many times as much memory as what is in it.
pub(super) struct Uses<'d>(Vec<(Key<'d>, BundleId)>);

impl<'d> Uses<'d> {
    /// All users and names with the locals.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Key<'d>, Vec<BundleId>)> {
        let groups = self.0.chunk_by(|one, other| one.0 == other.0);
        groups.map(|group| (&group[0].0, distinct(group)))
    }

    /// The locals of one user and name.
    pub(super) fn get(&self, key: &Key<'d>) -> Vec<BundleId> {
        let first = self.0.partition_point(|(other, _)| other < key);
        let len = self.0[first..].partition_point(|(other, _)| other == key);
        distinct(&self.0[first..first + len])
    }
}

fn distinct(group: &[(Key<'_>, BundleId)]) -> Vec<BundleId> {
    let ids = group.iter().map(|(_, id)| *id);
    if group.len() < 2 {
        return ids.collect();
    }
    let mut seen = HashSet::new();
    ids.filter(|id| seen.insert(*id)).collect()
}

/// Who uses which static locals.
pub(super) fn uses<'d>(side: Side<'_, '_, 'd>) -> Uses<'d> {
    let view = side.view;
    let mut uses = Vec::new();
    for (user, bundle) in view.bundles.iter() {
        if !matches!(bundle.kind, Kind::Function | Kind::Data | Kind::Fragment) {
            continue;
        }
        let key = (side.scopes.scope(user), source_function(view.name(user)));
        for id in locals_of(side, user) {
            let name = canonical(view.name(id), view.object.compiler);
            uses.push(((key, name), id));
        }
    }
    // Stable: the order of use says which is which.
    uses.sort_by(|(one, _): &(Key<'d>, BundleId), (other, _)| one.cmp(other));
    Uses(uses)
}

/// The static locals that a bundle refers to. A key of a jump label is used by nothing but the label's entry.
pub(super) fn locals_of<'v>(
    side: Side<'_, 'v, '_>,
    user: BundleId,
) -> impl Iterator<Item = BundleId> {
    let view = side.view;
    let entries = side.entries.of(user);
    let in_entries = entries.flat_map(move |entry| refs_of(view, &entry));
    let refs = view.refs_of(user).chain(in_entries);
    refs.filter_map(move |reference| match reference.target {
        Target::Bundle { id, .. } if id != user && is_static_local(view, id) => Some(id),
        _ => None,
    })
}

/// Pairs the locals of one name that one function uses. Of several the order of use says which is which, unless the
/// code changed.
pub(super) fn by_order(
    (orig, patched): (&View<'_>, &View<'_>),
    theirs: &[BundleId],
    ours: &[BundleId],
    twins: &mut Twins,
) {
    if let ([their], [our]) = (theirs, ours) {
        if place(orig, *their) == place(patched, *our) {
            twins.pair(*their, *our);
        }
        return;
    }
    let same_count = theirs.len() == ours.len();
    let kind = |view: &View<'_>, id: BundleId| (place(view, id), view.bundles.get(id).len);
    let mut alike: BTreeMap<_, VecDeque<BundleId>> = BTreeMap::new();
    for their in theirs {
        let key = kind(orig, *their);
        alike.entry(key).or_default().push_back(*their);
    }
    let mut count: BTreeMap<_, usize> = BTreeMap::new();
    for our in ours {
        *count.entry(kind(patched, *our)).or_default() += 1;
    }
    // One of its size on each side is that one.
    let lone: BTreeSet<_> = alike
        .iter()
        .filter(|(key, theirs)| same_count && theirs.len() == 1 && count.get(key) == Some(&1))
        .map(|(key, _)| *key)
        .collect();
    for our in ours {
        let kind = kind(patched, *our);
        if let Some(their) = alike.get_mut(&kind).and_then(VecDeque::pop_front) {
            twins.pair(their, *our);
        }
        if !lone.contains(&kind) {
            twins.ambiguous.insert(*our);
        }
    }
}

/// A static local keeps its section kind; a size that differs is for the comparison to refuse.
pub(super) fn place(view: &View<'_>, id: BundleId) -> (bool, bool, Home) {
    let section = view.object.section(view.bundles.get(id).section);
    (
        section.is_writable(),
        section.is_exec(),
        home(section.name()),
    )
}

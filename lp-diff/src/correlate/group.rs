//! Functions and data of both objects in groups: by what they are, and by their name without numbers in its scope.
//!
//! Nearly every group has one member on each side, and an object has tens of thousands: so what is kept of a key is its
//! hash, and keys are compared where hashes are equal. The tempting wrong way is a map of lists by key, which would be
//! larger than the object.

use super::is_static_local;
use super::scope::Scope;
use crate::bundle::{BundleId, Kind};
use crate::name::canonical;
use crate::reference::View;
use crate::special::table::is_init;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

/// What is freed after start and what is not are never the same thing, whatever they are called.
type Key<'d> = (Kind, bool, Scope, Cow<'d, str>);

/// One object: the scope of a name in it, and which of its bundles are wanted.
type Wanted<'w, 'a, 'd> = (
    &'a View<'d>,
    &'a dyn Fn(BundleId) -> Scope,
    &'w dyn Fn(BundleId) -> bool,
);

/// The groups of two objects.
pub(super) struct Groups<'a, 'd> {
    orig: Hashed<'a, 'd>,
    patched: Hashed<'a, 'd>,
}

impl<'a, 'd> Groups<'a, 'd> {
    /// Groups what is wanted of the original and of the patched object. Static locals are not among it, nor are cold
    /// parts, which go with their functions.
    pub(super) fn of(orig: Wanted<'_, 'a, 'd>, patched: Wanted<'_, 'a, 'd>) -> Self {
        Self {
            orig: Hashed::of(orig),
            patched: Hashed::of(patched),
        }
    }

    /// Visits the groups with members on both sides: the original's, then the patched object's, each in its order.
    pub(super) fn each(self, mut visit: impl FnMut(Vec<BundleId>, Vec<BundleId>)) {
        let mut theirs = &self.orig.list[..];
        for ours in self.patched.list.chunk_by(|one, other| one.0 == other.0) {
            let hash = ours[0].0;
            let before = theirs.iter().take_while(|(other, _)| *other < hash);
            theirs = &theirs[before.count()..];
            let equal = theirs.iter().take_while(|(other, _)| *other == hash);
            let (own, rest) = theirs.split_at(equal.count());
            theirs = rest;
            if own.is_empty() {
                continue;
            }
            if let ([(_, their)], [(_, our)]) = (own, ours) {
                if self.orig.key(*their) == self.patched.key(*our) {
                    visit(vec![*their], vec![*our]);
                }
                continue;
            }
            let mut by_key: BTreeMap<Key<'d>, [Vec<BundleId>; 2]> = BTreeMap::new();
            for (side, members, at) in [(&self.orig, own, 0), (&self.patched, ours, 1)] {
                for (_, id) in members {
                    by_key.entry(side.key(*id)).or_default()[at].push(*id);
                }
            }
            for [theirs, ours] in by_key.into_values() {
                if !theirs.is_empty() && !ours.is_empty() {
                    visit(theirs, ours);
                }
            }
        }
    }
}

/// What is wanted of one object, by the hash of its key.
struct Hashed<'a, 'd> {
    view: &'a View<'d>,
    scope: &'a dyn Fn(BundleId) -> Scope,
    list: Vec<(u64, BundleId)>,
}

impl<'a, 'd> Hashed<'a, 'd> {
    fn of((view, scope, wanted): Wanted<'_, 'a, 'd>) -> Self {
        let mut hashed = Self {
            view,
            scope,
            list: Vec::new(),
        };
        for (id, bundle) in view.bundles.iter() {
            let named = !bundle.kind.is_by_content() && bundle.parent.is_none();
            if named && wanted(id) && !is_static_local(view, id) {
                let mut hasher = DefaultHasher::new();
                hashed.key(id).hash(&mut hasher);
                hashed.list.push((hasher.finish(), id));
            }
        }
        hashed.list.sort_unstable();
        hashed
    }

    fn key(&self, id: BundleId) -> Key<'d> {
        let view = self.view;
        let name = canonical(view.name(id), view.object.compiler);
        let freed = is_init(view.section_name(id));
        (view.bundles.get(id).kind, freed, (self.scope)(id), name)
    }
}

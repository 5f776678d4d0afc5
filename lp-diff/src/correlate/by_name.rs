//! Correlates functions and file-scope data: by name, and of several that share one by content and number.
//!
//! The tempting wrong way is to go by the full name: clones are numbered in the order in which the compiler makes them.

use super::group::Groups;
use super::scope::{Scope, Scopes};
use super::{Twins, is_static_local};
use crate::arch::Arch;
use crate::bundle::{BundleId, Kind};
use crate::callable::taken;
use crate::name::{canonical, is_part, source_function};
use crate::reference::{Target, View};
use crate::special::table::is_init;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::hash::Hash;

type Side<'a, 'v, 'd> = (&'v View<'d>, &'a Scopes<'v, 'd>);

/// Pairs functions and data of both objects by their names, but for those whose names say nothing.
pub(super) fn correlate<'d>(
    (orig, patched): (Side<'_, '_, 'd>, Side<'_, '_, 'd>),
    without: &[BTreeSet<BundleId>; 2],
    arch: &dyn Arch,
    twins: &mut Twins,
) {
    let mut pairing = Pairing {
        arch,
        orig: orig.0,
        patched: patched.0,
        twins,
    };
    let (their_scope, our_scope) = (|id| orig.1.scope(id), |id| patched.1.scope(id));
    let groups = Groups::of(
        (orig.0, &their_scope, &|id| !without[0].contains(&id)),
        (patched.0, &our_scope, &|id| !without[1].contains(&id)),
    );
    groups.each(|theirs, ours| pairing.pair_group(theirs, ours));
    pairing.across_scopes(orig, patched);
    pairing.by_stem(orig, patched);
    pairing.by_other_names();
    pairing.cold_parts(orig, patched);
}

struct Pairing<'t, 'v, 'd> {
    orig: &'v View<'d>,
    patched: &'v View<'d>,
    arch: &'t dyn Arch,
    twins: &'t mut Twins,
}

impl<'v, 'd> Pairing<'_, 'v, 'd> {
    fn pair_group(&mut self, mut theirs: Vec<BundleId>, mut ours: Vec<BundleId>) {
        let (orig, patched) = (self.orig, self.patched);
        let state = ours.iter().any(|id| is_state(patched, *id));
        if theirs.len() > 1 || ours.len() > 1 {
            let same_count = theirs.len() == ours.len();
            if !state {
                self.pair_equal(
                    &mut theirs,
                    &mut ours,
                    |id| (orig.name(id), content(orig, id)),
                    |id| (patched.name(id), content(patched, id)),
                );
                self.pair_equal(
                    &mut theirs,
                    &mut ours,
                    |id| content(orig, id),
                    |id| content(patched, id),
                );
            }
            if same_count {
                self.pair_equal(
                    &mut theirs,
                    &mut ours,
                    |id| orig.name(id),
                    |id| patched.name(id),
                );
            }
        }
        match (&theirs[..], &ours[..]) {
            ([theirs], [ours]) => self.twins.pair(*theirs, *ours),
            ([_, ..], [_, ..]) if state => self.twins.ambiguous.extend(ours),
            _ => {}
        }
    }

    /// Pairs what has equal keys on both sides, and takes it out of the lists.
    fn pair_equal<K: Hash + Eq>(
        &mut self,
        theirs: &mut Vec<BundleId>,
        ours: &mut Vec<BundleId>,
        their_key: impl Fn(BundleId) -> K,
        our_key: impl Fn(BundleId) -> K,
    ) {
        let mut by_key: HashMap<K, VecDeque<BundleId>> = HashMap::new();
        for id in theirs.iter() {
            by_key.entry(their_key(*id)).or_default().push_back(*id);
        }
        ours.retain(|our| {
            let found = by_key.get_mut(&our_key(*our)).and_then(VecDeque::pop_front);
            if let Some(their) = found {
                self.twins.pair(their, *our);
            }
            found.is_none()
        });
        theirs.retain(|their| self.twins.patched(*their).is_none());
    }

    /// What was global and is static now, or was static and is global, is still the same; so is what is left of a
    /// name in files that could not be matched.
    fn across_scopes(&mut self, orig: Side<'_, 'v, 'd>, patched: Side<'_, 'v, 'd>) {
        let stray = |_| Scope::Stray;
        let groups = Groups::of(
            (orig.0, &stray, &|id| self.twins.patched(id).is_none()),
            (patched.0, &stray, &|id| self.twins.orig(id).is_none()),
        );
        groups.each(|theirs, ours| {
            let in_files = |scopes: &Scopes<'_, 'd>, ids: &[BundleId]| {
                let in_file = |id: &BundleId| matches!(scopes.scope(*id), Scope::File(_));
                ids.iter().all(in_file)
            };
            if !(in_files(orig.1, &theirs) && in_files(patched.1, &ours)) {
                self.pair_group(theirs, ours);
            }
        });
    }

    /// A function that is compiled in one version on each side is the same, whatever the compiler did to its
    /// parameters: whoever calls it in the same way finds it doing what that caller expects. A pointer to it says
    /// nothing about its caller, so where one is taken the two versions stay apart.
    fn by_stem(&mut self, orig: Side<'_, 'v, 'd>, patched: Side<'_, 'v, 'd>) {
        let mut theirs = versions(orig);
        let mut pairs = Vec::new();
        for (key, ours) in versions(patched) {
            if let (Some([their]), [our]) = (theirs.remove(&key).as_deref(), &ours[..])
                && self.twins.patched(*their).is_none()
                && self.twins.orig(*our).is_none()
            {
                pairs.push((*their, *our));
            }
        }
        if pairs.is_empty() {
            return;
        }
        let pointed_to =
            |view| -> HashSet<BundleId> { taken(view, self.arch).map(|(id, _)| id).collect() };
        let (before, after) = (pointed_to(orig.0), pointed_to(patched.0));
        for (their, our) in pairs {
            if !before.contains(&their) && !after.contains(&our) {
                self.twins.pair(their, our);
            }
        }
    }

    /// Of several names for one place another one may be in front now.
    fn by_other_names(&mut self) {
        let mut theirs: HashMap<&str, BundleId> = HashMap::new();
        for (id, bundle) in self.orig.bundles.iter() {
            let free = self.twins.patched(id).is_none() && !bundle.kind.is_by_content();
            for symbol in self.orig.bundles.symbols(id).iter().filter(|_| free) {
                let symbol = self.orig.object.symbol(*symbol);
                if !symbol.is_local() {
                    theirs.insert(symbol.name(), id);
                }
            }
        }
        for (id, bundle) in self.patched.bundles.iter() {
            if self.twins.orig(id).is_some() || is_static_local(self.patched, id) {
                continue;
            }
            let symbols = self.patched.bundles.symbols(id).iter();
            let twin = symbols
                .map(|symbol| self.patched.object.symbol(*symbol))
                .filter(|symbol| !symbol.is_local())
                .filter_map(|symbol| theirs.get(symbol.name()))
                .find(|twin| {
                    self.twins.patched(**twin).is_none()
                        && self.orig.bundles.get(**twin).kind == bundle.kind
                        && !is_static_local(self.orig, **twin)
                        && is_init(self.orig.section_name(**twin))
                            == is_init(self.patched.section_name(id))
                });
            if let Some(twin) = twin {
                self.twins.pair(*twin, id);
            }
        }
    }

    /// A cold part goes with its function.
    fn cold_parts(&mut self, orig: Side<'_, 'v, 'd>, patched: Side<'_, 'v, 'd>) {
        let parts = |view: &'v View<'d>| {
            let mut parts: BTreeMap<BundleId, Vec<BundleId>> = BTreeMap::new();
            for (id, bundle) in view.bundles.iter() {
                if let Some(parent) = bundle.parent {
                    parts.entry(parent).or_default().push(id);
                }
            }
            parts
        };
        let theirs = parts(orig.0);
        for (parent, ours) in parts(patched.0) {
            let twin = self.twins.orig(parent).and_then(|twin| theirs.get(&twin));
            if let Some(theirs) = twin {
                self.pair_group(theirs.clone(), ours);
            }
        }
    }
}

/// Data that running code writes to: another one of equal content would not do.
pub(super) fn is_state(view: &View<'_>, id: BundleId) -> bool {
    let bundle = view.bundles.get(id);
    bundle.kind == Kind::Data && view.object.section(bundle.section).is_writable()
}

/// All whole versions of each source function that only its file sees.
fn versions<'d>(
    (view, scopes): Side<'_, '_, 'd>,
) -> BTreeMap<(bool, Scope, &'d str), Vec<BundleId>> {
    let mut versions: BTreeMap<_, Vec<BundleId>> = BTreeMap::new();
    for (id, bundle) in view.bundles.iter() {
        let (name, scope) = (view.name(id), scopes.scope(id));
        if bundle.kind == Kind::Function && scope != Scope::Global && !is_part(name) {
            let key = (is_init(view.section_name(id)), scope, source_function(name));
            versions.entry(key).or_default().push(id);
        }
    }
    versions
}

/// What tells clones of one function apart: size, bytes, and what is referred to where, as far as that has a name.
pub(super) type Content<'v> = (u64, &'v [u8], Vec<(u64, u32, Cow<'v, str>, i64)>);

/// What a bundle says, in a form that two builds share.
pub(super) fn content<'v>(view: &'v View<'_>, id: BundleId) -> Content<'v> {
    let bundle = view.bundles.get(id);
    let target = |target: &Target| match *target {
        Target::Bundle { id, offset } if !view.bundles.get(id).kind.is_by_content() => {
            (canonical(view.name(id), view.object.compiler), offset)
        }
        Target::Symbol { id, offset } => (Cow::Borrowed(view.object.symbol(id).name()), offset),
        _ => (Cow::Borrowed(""), 0),
    };
    let refs = view.refs_of(id).map(|reference| {
        let (name, offset) = target(&reference.target);
        (
            reference.offset - bundle.start,
            reference.kind,
            name,
            offset,
        )
    });
    (bundle.len, view.bytes_of(id), refs.collect())
}

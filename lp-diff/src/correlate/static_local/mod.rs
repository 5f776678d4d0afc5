//! Correlates static locals: not by number, and not by name alone.
//!
//! clang says in the name which function declares a variable, and the debug information says it for both compilers
//! ([`declared`]); without it those who use it tell ([`used`]), and where there are none on both sides, what is left
//! over ([`moved`]). The debug information is asked only about what changed code uses: two equal codes use their
//! variables in the same order, and what nobody in the patch uses does not matter. Where it is asked it goes before
//! use: a variable of an inline function is used by all those that it is inlined into. The tempting wrong way is to
//! pair equal names: a `count` taken out of `f` and another one added to `g` would share their state.

mod declared;
mod evidence;
mod moved;
mod used;

use super::scope::{Scope, Scopes};
use super::{Twins, is_static_local};
use crate::bundle::{BundleId, Kind};
use crate::dwarf::LazyDebugInfo;
use crate::name::{canonical, is_scoped};
use crate::reference::{Ref, View};
use crate::special::Entries;
use declared::Settled;
use evidence::meaning;
use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};
use used::{by_order, locals_of, uses};

/// What is known of one object.
#[derive(Clone, Copy)]
pub(super) struct Side<'a, 'v, 'd> {
    pub(super) view: &'v View<'d>,
    pub(super) entries: &'v Entries,
    pub(super) scopes: &'a Scopes<'v, 'd>,
    pub(super) debug: &'v LazyDebugInfo<'v>,
}

/// Pairs the static locals of both objects.
pub(super) fn correlate<'d>(orig: Side<'_, '_, 'd>, patched: Side<'_, '_, 'd>, twins: &mut Twins) {
    let settled = if changed_code_uses_any(orig, patched, twins) {
        declared::correlate(orig, patched, twins)
    } else {
        Settled::default()
    };
    by_scoped_name(orig, patched, twins);
    let (theirs, ours) = (uses(orig), uses(patched));
    for (key, mut ours) in ours.iter() {
        let mut theirs = theirs.get(key);
        theirs.retain(|id| twins.patched(*id).is_none() && !settled.orig.contains(id));
        ours.retain(|id| twins.orig(*id).is_none() && !settled.patched.contains(id));
        if !theirs.is_empty() && !ours.is_empty() {
            by_order((orig.view, patched.view), &theirs, &ours, twins);
        }
    }
    for (key, ours) in ours.iter() {
        let theirs: HashSet<BundleId> = theirs.get(key).into_iter().collect();
        // Two users that do not agree which one it is: one of them uses another's variable now.
        let disagrees = |id: &&BundleId| {
            let twin = twins.orig(**id).filter(|_| !settled.patched.contains(id));
            !theirs.is_empty() && twin.is_some_and(|twin| !theirs.contains(&twin))
        };
        let doubtful: Vec<BundleId> = ours.iter().filter(disagrees).copied().collect();
        twins.ambiguous.extend(doubtful);
    }
    moved::correlate((orig, &theirs), (patched, &ours), &settled, twins);
    moved::doubt_other_scope(orig.view, patched.view, twins);
}

/// Whether code that does not say the same on both sides, byte for byte and name for name, uses a static local.
fn changed_code_uses_any(orig: Side<'_, '_, '_>, patched: Side<'_, '_, '_>, twins: &Twins) -> bool {
    let equal = |twin: Option<BundleId>, id: Option<BundleId>| match (twin, id) {
        (Some(twin), Some(id)) => {
            let (theirs, ours) = (orig.view.refs_of(twin), patched.view.refs_of(id));
            let same_name = |(old, new): (Ref, Ref)| meaning(orig, &old) == meaning(patched, &new);
            orig.view.bytes_of(twin) == patched.view.bytes_of(id)
                && theirs.len() == ours.len()
                && theirs.zip(ours).all(same_name)
        }
        _ => false,
    };
    let is_code = |kind| matches!(kind, Kind::Function | Kind::Fragment);
    let mut theirs = orig.view.bundles.iter();
    let mut ours = patched.view.bundles.iter();
    theirs.any(|(id, bundle)| {
        is_code(bundle.kind)
            && locals_of(orig, id).next().is_some()
            && !equal(Some(id), twins.patched(id))
    }) || ours.any(|(id, bundle)| {
        is_code(bundle.kind)
            && locals_of(patched, id).next().is_some()
            && !equal(twins.orig(id), Some(id))
    })
}

/// clang says in the name which function declares a variable. Of several in one function it numbers all but one.
fn by_scoped_name<'d>(orig: Side<'_, '_, 'd>, patched: Side<'_, '_, 'd>, twins: &mut Twins) {
    let scoped = |side: Side<'_, '_, 'd>| {
        let mut scoped: BTreeMap<(Scope, Cow<'d, str>), Vec<BundleId>> = BTreeMap::new();
        for (id, _) in side.view.bundles.iter() {
            if is_static_local(side.view, id) {
                let name = canonical(side.view.name(id), side.view.object.compiler);
                if is_scoped(&name) {
                    let key = (side.scopes.scope(id), name);
                    scoped.entry(key).or_default().push(id);
                }
            }
        }
        scoped
    };
    let theirs = scoped(orig);
    for (key, ours) in scoped(patched) {
        if let (Some([their]), [our]) = (theirs.get(&key).map(Vec::as_slice), &ours[..])
            && twins.patched(*their).is_none()
            && twins.orig(*our).is_none()
        {
            twins.pair(*their, *our);
        }
    }
}

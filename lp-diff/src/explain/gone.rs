//! Variables that the source no longer has: the running system has them still.
//!
//! Nobody but the replaced code used such a variable, or those who did would differ, too. It keeps its value, out of
//! date, until the patch is disabled and the old code counts on from there.

use crate::bundle::Kind;
use crate::compare::{Comparer, Comparison, Status};
use crate::include::Selection;
use crate::name::{canonical, own_name};
use crate::reference::Target;
use std::collections::BTreeSet;

/// A note for each.
pub(super) fn notes(
    comparer: &Comparer<'_, '_>,
    comparison: &Comparison,
    selection: &Selection,
) -> BTreeSet<String> {
    let (view, twins) = (comparer.orig, comparer.twins);
    let changed = selection.bundles.keys().copied();
    let changed = changed.filter(|id| matches!(comparison.status(*id), Status::Changed(_)));
    let mut notes = BTreeSet::new();
    for twin in changed.filter_map(|id| twins.orig(id)) {
        for reference in view.refs_of(twin) {
            let Target::Bundle { id, .. } = reference.target else {
                continue;
            };
            let bundle = view.bundles.get(id);
            let is_local = bundle
                .owner
                .is_some_and(|owner| view.object.symbol(owner).is_local());
            let is_state = bundle.kind == Kind::Data
                && is_local
                && view.object.section(bundle.section).is_writable();
            if is_state && twins.patched(id).is_none() {
                let name = canonical(view.name(id), view.object.compiler);
                notes.insert(format!(
                    "{}: the patched source has no variable {} any more: it stays in the running system as it is, and is used again when the patch is disabled",
                    view.name(twin),
                    own_name(&name)
                ));
            }
        }
    }
    notes
}

//! New data that the patch writes to: its value dies with the patch.
//!
//! Data that macros make for each use (`__already_done`, ratelimit states) is written to as well, and losing it does no
//! harm; constants that only hold relocated pointers are written to by nobody.

use super::{Subject, Warning, WarningCode, lock};
use crate::bundle::{BundleId, Kind};
use crate::compare::Status;

pub(super) fn find(subject: &Subject<'_, '_, '_>, found: &mut Vec<Warning>) {
    for id in new_data(subject) {
        let is_lock = subject
            .entry(id)
            .is_some_and(|(unit, entry)| lock::is_lock(&unit.types, unit.types.target(entry)));
        if !is_lock {
            found.push(subject.warning(WarningCode::NewWritableData, id, "new data that the patch writes to: it begins at its initial value, not at one that the running system worked out, and is lost when a later patch replaces this one. Keep what must outlive the patch in shadow variables or a system state".to_owned()));
        }
    }
}

/// New data that can be written to, in the order of the object.
pub(super) fn new_data(subject: &Subject<'_, '_, '_>) -> impl Iterator<Item = BundleId> {
    let view = subject.comparer.patched;
    subject.selection.bundles.keys().copied().filter(move |id| {
        let bundle = view.bundles.get(*id);
        let section = view.object.section(bundle.section);
        let constant = matches!(
            section.name(),
            ".data..ro_after_init" | "___srcu_struct_ptrs"
        );
        bundle.kind == Kind::Data
            && *subject.comparison.status(*id) == Status::New
            && section.is_writable()
            && !constant
    })
}

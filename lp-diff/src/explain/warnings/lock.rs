//! A lock that is new: the running code, which goes on for a while, does not take it.

use super::{Subject, Warning, WarningCode, data};
use crate::dwarf::types::{TypeId, Types};
use gimli::constants as dw;

/// What locks are called in the kernel, as structs or typedefs (`include/linux/spinlock_types.h` and others, 4.0 to 7.0).
const LOCKS: [&str; 15] = [
    "spinlock",
    "spinlock_t",
    "raw_spinlock",
    "raw_spinlock_t",
    "mutex",
    "rt_mutex",
    "ww_mutex",
    "rwlock_t",
    "rw_semaphore",
    "semaphore",
    "percpu_rw_semaphore",
    "seqlock_t",
    "local_lock_t",
    "arch_spinlock_t",
    "qspinlock",
];

const ADVICE: &str = "Until the transition ends old and new versions of functions run side by side, and the old ones do not take it: make sure that nothing but patched functions uses what it guards, and that none of it is in use when the patch comes";

pub(super) fn find(subject: &Subject<'_, '_, '_>, found: &mut Vec<Warning>) {
    for id in data::new_data(subject) {
        let is_new_lock = subject
            .entry(id)
            .is_some_and(|(unit, entry)| is_lock(&unit.types, unit.types.target(entry)));
        if is_new_lock {
            found.push(subject.warning(WarningCode::NewLock, id, format!("a new lock. {ADVICE}")));
        }
    }
    for change in subject.layout.iter().filter(|change| change.allowed) {
        for member in &change.members {
            let Some(after) = member.after.as_ref().filter(|_| member.before.is_none()) else {
                continue;
            };
            if LOCKS.contains(&after.kind.trim_start_matches("struct ")) {
                found.push(Warning {
                    code: WarningCode::NewLock,
                    place: format!("{}.{}", change.name, member.member),
                    source: change.source.clone(),
                    message: format!(
                        "a new lock, which objects of the old layout do not have. {ADVICE}"
                    ),
                });
            }
        }
    }
}

/// Whether a type is a lock, or an array of them.
pub(super) fn is_lock(types: &Types<'_>, id: Option<TypeId>) -> bool {
    let mut id = id;
    for _ in 0..16 {
        id = types.unqualified(id);
        let Some(entry) = id.map(|id| types.get(id)) else {
            return false;
        };
        let is_named = matches!(entry.tag, dw::DW_TAG_structure_type | dw::DW_TAG_typedef);
        if is_named && LOCKS.contains(&entry.name) {
            return true;
        }
        if !matches!(entry.tag, dw::DW_TAG_typedef | dw::DW_TAG_array_type) {
            return false;
        }
        id = id.and_then(|id| types.target(id));
    }
    false
}

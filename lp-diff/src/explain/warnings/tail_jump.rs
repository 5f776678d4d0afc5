//! Jumps out of a replacement into a function that only the patch has.
//!
//! Before a patch goes, the livepatch core looks for its replacements on the stacks of all tasks
//! (`klp_check_stack_func`, `kernel/livepatch/transition.c`). A new function is none of them: it is safe as long as its
//! caller's frame is on the stack below it, and a call that is compiled as a jump leaves no frame. A task that sleeps in
//! there would wake up in a module that is gone. What calls nothing outside the object does not sleep. In a process all of
//! a patch's text is looked for (`lp_runtime::process`).

use super::{Subject, Warning, WarningCode};
use crate::bundle::{BundleId, Kind};
use crate::compare::Status;
use crate::reference::{Ref, Target};
use std::collections::BTreeSet;

/// What is called and does not sleep.
const HARMLESS: [&str; 9] = [
    "__fentry__",
    "__x86_return_thunk",
    "__stack_chk_fail",
    "__warn_printk",
    "_printk",
    "printk",
    "memcpy",
    "memset",
    "memcmp",
];

pub(super) fn find(subject: &Subject<'_, '_, '_>, found: &mut Vec<Warning>) {
    if subject.comparer.flavour.is_process() {
        return;
    }
    let view = subject.comparer.patched;
    for (id, _) in subject.changed() {
        let parts = subject.selection.bundles.keys().copied();
        let own = |part: &BundleId| *part == id || view.bundles.get(*part).parent == Some(id);
        for part in parts.filter(own) {
            let jumps = view
                .refs_of(part)
                .filter_map(|reference| new_target(subject, part, &reference));
            for target in jumps.filter(|target| *target != id && may_sleep(subject, *target)) {
                found.push(subject.warning(WarningCode::TailJump, id, format!("it ends with a jump to {}, which only the patch has: a task that sleeps in there has no frame of {} on its stack, so the kernel does not see it when the patch is disabled, and unloading takes the code away under it. Make it a call that something follows (barrier(); behind it), or leave the module loaded", view.name(target), view.name(id))));
            }
        }
    }
}

/// The new function that a reference jumps to.
fn new_target(subject: &Subject<'_, '_, '_>, user: BundleId, reference: &Ref) -> Option<BundleId> {
    let Target::Bundle { id, offset } = reference.target else {
        return None;
    };
    let (view, arch) = (subject.comparer.patched, subject.comparer.arch);
    let section = view.object.section(view.bundles.get(user).section);
    let before = section.bytes(reference.offset.saturating_sub(2), reference.offset);
    let bundle = view.bundles.get(id);
    let is_new = bundle.kind == Kind::Function
        && bundle.parent.is_none()
        && !view.is_inside(id, offset)
        && *subject.comparison.status(id) == Status::New;
    let is_jump = reference.is_short(arch) || arch.is_jump(reference.kind, before);
    (is_new && is_jump).then_some(id)
}

/// Whether a function, or one that it leads to in this object, calls something elsewhere.
fn may_sleep(subject: &Subject<'_, '_, '_>, id: BundleId) -> bool {
    let view = subject.comparer.patched;
    let (mut seen, mut work) = (BTreeSet::from([id]), vec![id]);
    while let Some(user) = work.pop() {
        if subject.comparer.arch.calls_pointer(view.bytes_of(user)) {
            return true;
        }
        let section = view.object.section(view.bundles.get(user).section);
        for reference in view.refs_of(user) {
            let before = section.bytes(reference.offset.saturating_sub(2), reference.offset);
            match reference.target {
                Target::Bundle { id, .. } if view.bundles.get(id).kind == Kind::Function => {
                    work.extend(seen.insert(id).then_some(id));
                }
                Target::Symbol { id, .. }
                    if subject.comparer.arch.is_branch(reference.kind, before)
                        && !HARMLESS.contains(&view.object.symbol(id).name()) =>
                {
                    return true;
                }
                _ => {}
            }
        }
    }
    false
}

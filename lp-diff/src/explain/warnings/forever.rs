//! Functions that a kernel thread runs for as long as the system does, or a thread of a process for as long as that lives: a
//! task switches to the patch when no patched function is on its stack, and such a thread always has its own.
//!
//! A kernel thread's main function asks in a loop whether it should stop, or is handed to `kthread_create` and sleeps in
//! a loop. Other functions that sleep in a loop wait for something, and the livepatch core wakes them.

use super::{Subject, Warning, WarningCode};
use crate::bundle::BundleId;
use crate::reference::{Target, View};
use std::cell::LazyCell;
use std::collections::BTreeSet;

/// What only a thread's main loop asks (`kernel/kthread.c`, 4.0 to 7.0).
const ASKED: [&str; 3] = [
    "kthread_should_stop",
    "kthread_should_park",
    "kthread_freezable_should_stop",
];

/// How such a loop sleeps.
const SLEEPS: [&str; 7] = [
    "schedule",
    "schedule_timeout",
    "schedule_timeout_interruptible",
    "schedule_timeout_uninterruptible",
    "schedule_hrtimeout",
    "prepare_to_wait_event",
    "msleep_interruptible",
];

pub(super) fn find(subject: &Subject<'_, '_, '_>, found: &mut Vec<Warning>) {
    if subject.comparer.flavour.is_process() {
        return find_in_process(subject, found);
    }
    let started = LazyCell::new(|| started(subject.comparer.orig));
    for (id, twin) in subject.changed() {
        let asks = calls_in_loop(subject, twin, &ASKED);
        let sleeps = || calls_in_loop(subject, twin, &SLEEPS) && started.contains(&twin);
        if asks || sleeps() {
            found.push(subject.warning(WarningCode::RunsForever, id, "a kernel thread runs in it for as long as the system does, so the transition waits for that thread to leave it, and the new version does not run before. Patch a function that it calls in each round instead".to_owned()));
        }
    }
}

/// `main` is told of by who builds the patch, whether it returns or not.
fn find_in_process(subject: &Subject<'_, '_, '_>, found: &mut Vec<Warning>) {
    for (id, twin) in subject.changed() {
        if is_never_left(subject, twin) && subject.comparer.patched.name(id) != "main" {
            found.push(subject.warning(WarningCode::RunsForever, id, "nothing in it returns and it goes round in a loop, so a thread that is in it stays there for as long as the process lives, and a patch with it cannot be switched to. Patch a function that it calls in each round instead".to_owned()));
        }
    }
}

/// Whether nothing leads out of the running version of a function that has a loop; one without calls what ends the thread.
fn is_never_left(subject: &Subject<'_, '_, '_>, id: BundleId) -> bool {
    let (view, arch) = (subject.comparer.orig, subject.comparer.arch);
    let code = view.bytes_of(id);
    if arch.returns(code) || arch.backward_branches(code).is_empty() {
        return false;
    }
    let cold = view
        .bundles
        .iter()
        .filter(|(_, bundle)| bundle.parent == Some(id));
    let parts: BTreeSet<BundleId> = cold.map(|(part, _)| part).chain([id]).collect();
    let leaves = |part: &BundleId| {
        let section = view.object.section(view.bundles.get(*part).section);
        let mut refs = view.refs_of(*part);
        arch.returns(view.bytes_of(*part))
            || refs.any(|reference| {
                let before = section.bytes(reference.offset.saturating_sub(2), reference.offset);
                let is_own =
                    matches!(reference.target, Target::Bundle { id, .. } if parts.contains(&id));
                !is_own && arch.is_jump(reference.kind, before)
            })
    };
    !parts.iter().any(leaves)
}

/// Whether the running version of a function calls one of these in a loop.
fn calls_in_loop(subject: &Subject<'_, '_, '_>, id: BundleId, names: &[&str]) -> bool {
    let view = subject.comparer.orig;
    let start = view.bundles.get(id).start;
    let calls: Vec<u64> = view
        .refs_of(id)
        .filter(|reference| calls(view, &reference.target, names))
        .map(|reference| reference.offset - start)
        .collect();
    if calls.is_empty() {
        return false;
    }
    let loops = subject.comparer.arch.backward_branches(view.bytes_of(id));
    loops
        .iter()
        .any(|(first, end)| calls.iter().any(|call| (first..end).contains(&call)))
}

fn calls(view: &View<'_>, target: &Target, names: &[&str]) -> bool {
    let name = match target {
        Target::Symbol { id, .. } => view.object.symbol(*id).name(),
        Target::Bundle { id, .. } => view.name(*id),
        Target::Section { .. } => return false,
    };
    names.contains(&name)
}

/// The functions whose address is taken where threads are created.
fn started(view: &View<'_>) -> BTreeSet<BundleId> {
    let creates = |id: BundleId| {
        view.refs_of(id).any(|reference| {
            matches!(reference.target, Target::Symbol { id, .. }
                if view.object.symbol(id).name().starts_with("kthread_create"))
        })
    };
    let mut started = BTreeSet::new();
    for (creator, _) in view.bundles.iter().filter(|(id, _)| creates(*id)) {
        started.extend(
            view.refs_of(creator)
                .filter_map(|reference| match reference.target {
                    Target::Bundle { id, offset: 0 } if id != creator => Some(id),
                    _ => None,
                }),
        );
    }
    started
}

//! Which locks a function takes, before and after.
//!
//! A call counts once for each place in the source that it stands for: the compiler copies and moves calls freely, and
//! counting them in the code would tell of its moods. Locks that are taken without a call (an inlined unlock) are not
//! seen, so only what is taken is compared, not what is released.

use super::{Subject, Warning, WarningCode, data};
use crate::bundle::BundleId;
use crate::dwarf::{DebugInfo, LazyDebugInfo};
use crate::object::SectionId;
use crate::reference::{Target, View};
use std::collections::{BTreeMap, BTreeSet};

/// Functions whose names begin so take a lock (`kernel/locking`, 4.0 to 7.0).
const TAKERS: [&str; 18] = [
    "_raw_spin_lock",
    "_raw_spin_trylock",
    "_raw_read_lock",
    "_raw_read_trylock",
    "_raw_write_lock",
    "_raw_write_trylock",
    "mutex_lock",
    "mutex_trylock",
    "__mutex_lock",
    "rt_mutex_lock",
    "rt_mutex_trylock",
    "ww_mutex_lock",
    "ww_mutex_trylock",
    "down_read",
    "down_write",
    "percpu_down_write",
    "rt_spin_lock",
    "rt_read_lock",
];

/// More calls than any function of a kernel has.
const CALLS: usize = 1024;

pub(super) fn find(subject: &Subject<'_, '_, '_>, found: &mut Vec<Warning>) {
    let comparer = subject.comparer;
    let (orig, patched) = (Code::new(comparer.orig), Code::new(comparer.patched));
    // A lock that the patch brings has a warning of its own.
    let new: BTreeSet<String> = data::new_data(subject)
        .map(|id| patched.name(comparer.patched.name(id)))
        .collect();
    for (id, twin) in subject.changed() {
        let before = orig.taken(subject, comparer.orig_debug, twin);
        let after = patched.taken(subject, comparer.patched_debug, id);
        let (Some(before), Some(after)) = (before, after) else {
            continue;
        };
        if let Some(what) = difference(&before, &after, &new) {
            found.push(subject.warning(WarningCode::LockChange, id, format!("{what}. Until the transition ends the old version runs on other threads: make sure that the two together can neither deadlock nor reach the same data under different locks")));
        }
    }
}

/// A call that takes a lock: how, and which one if that is a variable.
type Lock = (String, Option<String>);

/// An object's functions with their cold parts.
struct Code<'c, 'd> {
    view: &'c View<'d>,
    cold: BTreeMap<BundleId, Vec<BundleId>>,
}

impl<'c, 'd> Code<'c, 'd> {
    fn new(view: &'c View<'d>) -> Self {
        let mut cold: BTreeMap<BundleId, Vec<BundleId>> = BTreeMap::new();
        for (id, bundle) in view.bundles.iter() {
            if let Some(parent) = bundle.parent {
                cold.entry(parent).or_default().push(id);
            }
        }
        Self { view, cold }
    }

    /// The locks that a function takes, in the order of the source; `None` without debug information.
    fn taken(
        &self,
        subject: &Subject<'_, '_, '_>,
        debug: &LazyDebugInfo<'_>,
        function: BundleId,
    ) -> Option<Vec<Lock>> {
        let debug = debug.get()?;
        let cold = self.cold.get(&function).map_or(&[][..], Vec::as_slice);
        let mut places = BTreeMap::new();
        for id in [&[function], cold].concat() {
            let bundle = self.view.bundles.get(id);
            let refs = self.view.refs_of(id).enumerate();
            let calls = refs.filter_map(|(index, reference)| {
                Some((
                    index,
                    taker(self.view, &reference.target)?,
                    reference.offset,
                ))
            });
            for (index, name, offset) in calls.take(CALLS) {
                let lock = (name.to_owned(), self.argument(subject, id, index));
                places.insert((lines(debug, bundle.section, offset), lock.clone()), lock);
            }
        }
        Some(places.into_values().collect())
    }

    /// The variable that a call gets as its first argument, if it is loaded right before.
    fn argument(&self, subject: &Subject<'_, '_, '_>, id: BundleId, call: usize) -> Option<String> {
        /// Nothing but a call's own arguments is loaded this close to it.
        const NEAR: u64 = 16;
        let mut refs = self.view.refs_of(id).skip(call.checked_sub(1)?);
        let (before, call) = (refs.next()?, refs.next()?);
        let field = before.offset - self.view.bundles.get(id).start;
        let code = self.view.bytes_of(id);
        let is_first = call.offset - before.offset <= NEAR
            && subject.comparer.arch.argument_at(code, 0, field) == Some(0);
        let name = match before.target {
            Target::Bundle { id, .. } => self.view.name(id),
            Target::Symbol { id, .. } => self.view.object.symbol(id).name(),
            Target::Section { .. } => return None,
        };
        is_first.then(|| self.name(name))
    }

    fn name(&self, symbol: &str) -> String {
        crate::name::canonical(symbol, self.view.object.compiler).into_owned()
    }
}

/// The lines that a place in the code stands for, from the function inwards: its own, then those in what is inlined.
fn lines(debug: &DebugInfo<'_>, section: SectionId, offset: u64) -> Vec<u32> {
    let frames = debug.frames(section, offset);
    let calls = frames.iter().rev().filter_map(|frame| frame.call.as_ref());
    let innermost = debug.lines().at(section, offset);
    calls.chain(&innermost).map(|place| place.line).collect()
}

fn taker<'d>(view: &View<'d>, target: &Target) -> Option<&'d str> {
    let Target::Symbol { id, .. } = target else {
        return None;
    };
    let name = view.object.symbol(*id).name();
    TAKERS
        .iter()
        .any(|taker| name.starts_with(taker))
        .then_some(name)
}

/// What differs, in words; `new` are the locks that the patch brings.
fn difference(before: &[Lock], after: &[Lock], new: &BTreeSet<String>) -> Option<String> {
    let is_known = |(_, argument): &&Lock| argument.as_ref().is_none_or(|name| !new.contains(name));
    let after: Vec<Lock> = after.iter().filter(is_known).cloned().collect();
    let after = &after[..];
    let count = |locks: &[Lock], wanted: &Lock| locks.iter().filter(|lock| *lock == wanted).count();
    let all: BTreeSet<&Lock> = before.iter().chain(after).collect();
    let mut words = Vec::new();
    for lock in all {
        let (old, new) = (count(before, lock), count(after, lock));
        let call = spell(lock);
        match (old, new) {
            (0, _) => words.push(format!("it takes {call} and did not before")),
            (_, 0) => words.push(format!("it no longer takes {call}")),
            (old, new) if old != new => {
                words.push(format!("it takes {call} in {new} places, before in {old}"));
            }
            _ => {}
        }
    }
    if words.is_empty() && before != after {
        let list = |locks: &[Lock]| locks.iter().map(spell).collect::<Vec<_>>().join(", ");
        words.push(format!(
            "it takes its locks in another order: {}, before {}",
            list(after),
            list(before)
        ));
    }
    (!words.is_empty()).then(|| words.join("; "))
}

fn spell((name, argument): &Lock) -> String {
    let name = name.trim_start_matches("_raw_");
    match argument {
        Some(argument) => format!("{name}({argument})"),
        None => format!("{name}()"),
    }
}

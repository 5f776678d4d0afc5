//! Functions that are the same but for how the assembler wrote them down: the sizes of jumps, and padding.
//!
//! A function that shares its section is laid out by what stands before it: a jump gets long when its target is far. Such
//! a function need not be patched. It is the same only if each place in it that anything refers to is the same
//! instruction on both sides; what the patch brings must not refer into it, since its places are others there. The
//! tempting wrong way is to compare the text of the instructions: a jump label's place is a field of a table.

use crate::arch::{Arch, Marked, SameCode};
use crate::bundle::{BundleId, Kind};
use crate::correlate::Twins;
use crate::reference::{Ref, Target, View};
use crate::special::{Entries, refs_of};
use std::collections::{BTreeSet, HashMap};

/// How the instructions of such functions correspond, by patched function.
#[derive(Debug, Default)]
pub(super) struct Reencoded(HashMap<BundleId, SameCode>);

/// An object and its special entries.
type Side<'v, 'd> = (&'v View<'d>, &'v Entries);

impl Reencoded {
    /// Finds them.
    pub(super) fn find(
        orig: Side<'_, '_>,
        patched: Side<'_, '_>,
        twins: &Twins,
        arch: &dyn Arch,
    ) -> Self {
        let differing = patched.0.bundles.iter().filter_map(|(id, bundle)| {
            let twin = twins.orig(id).filter(|_| bundle.kind == Kind::Function)?;
            (orig.0.bytes_of(twin) != patched.0.bytes_of(id)).then_some((twin, id))
        });
        let mut found: Vec<(BundleId, BundleId, SameCode)> = Vec::new();
        for (twin, id) in differing {
            let (before, after) = (Labels::of(orig, twin, arch), Labels::of(patched, id, arch));
            let same = arch.same_code(
                &before.marked(orig.0.bytes_of(twin)),
                &after.marked(patched.0.bytes_of(id)),
            );
            let same = same.filter(|same| !same.is_in_place());
            found.extend(same.map(|same| (twin, id, same)));
        }
        if found.is_empty() {
            return Self::default();
        }
        let (theirs, ours) = (entered(orig.0), entered(patched.0));
        let found = found
            .into_iter()
            .filter(|(twin, id, _)| !theirs.contains(twin) && !ours.contains(id));
        Self(found.map(|(_, id, same)| (id, same)).collect())
    }

    /// Whether a patched function is written in another way than its twin, and says the same but for what it refers to.
    pub(super) fn has(&self, id: BundleId) -> bool {
        self.0.contains_key(&id)
    }

    /// Whether two places of such a function are one instruction.
    pub(super) fn corresponds(&self, id: BundleId, orig: i64, patched: i64) -> bool {
        let places = u64::try_from(orig).ok().zip(u64::try_from(patched).ok());
        let same = self.0.get(&id).zip(places);
        same.is_some_and(|(same, (orig, patched))| same.corresponds(orig, patched))
    }
}

/// What in a function is a field of a reference, and what is referred to.
struct Labels {
    fields: Vec<(u64, u64)>,
    marks: BTreeSet<u64>,
}

impl Labels {
    fn of((view, entries): Side<'_, '_>, id: BundleId, arch: &dyn Arch) -> Self {
        let bundle = view.bundles.get(id);
        let start = bundle.start;
        let entry = bundle
            .owner
            .map_or(start, |owner| view.object.symbol(owner).value);
        let own = view.refs_of(id);
        let fields = own.map(|reference| (reference.offset - start, reference.width(arch)));
        let inside = |reference: &Ref| match reference.target {
            Target::Bundle { id: target, offset } if target == id => u64::try_from(offset).ok(),
            _ => None,
        };
        let entries = entries.of(id);
        let marks = entries
            .flat_map(|entry| refs_of(view, &entry))
            .filter_map(|reference| inside(&reference));
        Self {
            fields: fields.collect(),
            // What stands at the entry may be ftrace's.
            marks: marks.chain([0, entry - start]).collect(),
        }
    }

    fn marked<'c>(&'c self, bytes: &'c [u8]) -> Marked<'c> {
        Marked {
            bytes,
            fields: &self.fields,
            marks: &self.marks,
        }
    }
}

/// The functions into which something else than their own parts and tables refers.
fn entered(view: &View<'_>) -> BTreeSet<BundleId> {
    let mut entered = BTreeSet::new();
    for (user, bundle) in view.bundles.iter() {
        // A table without a name goes where its user goes.
        if bundle.kind == Kind::Anonymous && !view.object.section(bundle.section).is_writable() {
            continue;
        }
        for reference in view.refs_of(user) {
            let Target::Bundle { id, offset } = reference.target else {
                continue;
            };
            let is_part = user == id
                || bundle.parent == Some(id)
                || view.bundles.get(id).parent == Some(user);
            if !is_part && view.is_inside(id, offset) {
                entered.insert(id);
            }
        }
    }
    entered
}

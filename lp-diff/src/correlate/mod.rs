//! Finds for each bundle of the patched object its twin in the original.
//!
//! Names decide where they can: once the compiler's numbers are off, a function or datum has the twin that shares its
//! name, if just one on each side does. Where several do (clones of one function), equal content decides, then equal
//! full names if both sides have as many. Static locals go by who uses them ([`static_local`]). What has no twin is
//! new: its users then differ too, and take their own copy with them. That makes a missed twin safe and a wrong one
//! not: the tempting wrong way is to pair off the rest in order.

mod static_local;

use crate::bundle::{BundleId, Bundles, Kind};
use crate::name::{canonical, is_numbered};
use crate::object::Object;
use crate::reference::View;
use crate::special::Entries;
use crate::special::table::is_init;
use std::collections::{BTreeMap, BTreeSet};

/// Twins, both ways.
#[derive(Debug)]
pub struct Twins {
    orig_of: Vec<Option<BundleId>>,
    patched_of: Vec<Option<BundleId>>,
    /// Patched static locals whose twin is only the likeliest of several.
    ambiguous: BTreeSet<BundleId>,
}

impl Twins {
    /// Correlates the two objects.
    pub fn correlate(
        (orig, orig_entries): (&View<'_>, &Entries),
        (patched, patched_entries): (&View<'_>, &Entries),
    ) -> Self {
        let mut twins = Self {
            orig_of: vec![None; patched.bundles.len()],
            patched_of: vec![None; orig.bundles.len()],
            ambiguous: BTreeSet::new(),
        };
        twins.by_name(orig, patched);
        static_local::correlate((orig, orig_entries), (patched, patched_entries), &mut twins);
        twins
    }

    /// The original of a patched bundle.
    pub fn orig(&self, patched: BundleId) -> Option<BundleId> {
        self.orig_of[patched.0 as usize]
    }

    /// The patched version of an original bundle.
    pub fn patched(&self, orig: BundleId) -> Option<BundleId> {
        self.patched_of[orig.0 as usize]
    }

    /// Whether a patched static local could as well be another one of its name.
    pub fn is_ambiguous(&self, patched: BundleId) -> bool {
        self.ambiguous.contains(&patched)
    }

    fn pair(&mut self, orig: BundleId, patched: BundleId) {
        self.orig_of[patched.0 as usize] = Some(orig);
        self.patched_of[orig.0 as usize] = Some(patched);
    }

    fn by_name(&mut self, orig: &View<'_>, patched: &View<'_>) {
        let mut theirs = groups(orig);
        for (key, ours) in groups(patched) {
            let Some(theirs) = theirs.remove(&key) else {
                continue;
            };
            self.pair_group(orig, patched, theirs, ours);
        }
    }

    fn pair_group(
        &mut self,
        orig: &View<'_>,
        patched: &View<'_>,
        mut theirs: Vec<BundleId>,
        mut ours: Vec<BundleId>,
    ) {
        if theirs.len() > 1 || ours.len() > 1 {
            let same_count = theirs.len() == ours.len();
            self.pair_if(&mut theirs, &mut ours, |a, b| {
                orig.name(a) == patched.name(b) && same_content(orig, patched, a, b)
            });
            self.pair_if(&mut theirs, &mut ours, |a, b| {
                same_content(orig, patched, a, b)
            });
            if same_count {
                self.pair_if(&mut theirs, &mut ours, |a, b| {
                    orig.name(a) == patched.name(b)
                });
            }
        }
        if let ([theirs], [ours]) = (&theirs[..], &ours[..]) {
            self.pair(*theirs, *ours);
        }
    }

    fn pair_if(
        &mut self,
        theirs: &mut Vec<BundleId>,
        ours: &mut Vec<BundleId>,
        same: impl Fn(BundleId, BundleId) -> bool,
    ) {
        ours.retain(
            |our| match theirs.iter().position(|their| same(*their, *our)) {
                Some(index) => {
                    self.pair(theirs.remove(index), *our);
                    false
                }
                None => true,
            },
        );
    }
}

/// What is freed after start and what is not are never the same thing, whatever they are called.
type Groups = BTreeMap<(Kind, bool, String), Vec<BundleId>>;

/// Functions and data by what they are and their name without numbers; static locals are not among them.
fn groups(view: &View<'_>) -> Groups {
    let mut groups: Groups = BTreeMap::new();
    for (id, bundle) in view.bundles.iter() {
        if bundle.kind.is_by_content() || is_static_local(&view.object, &view.bundles, id) {
            continue;
        }
        groups
            .entry((
                bundle.kind,
                is_init(view.section_name(id)),
                canonical(view.name(id)),
            ))
            .or_default()
            .push(id);
    }
    groups
}

/// Whether a bundle is a static variable of a function, going by its name.
fn is_static_local(object: &Object<'_>, bundles: &Bundles, id: BundleId) -> bool {
    let bundle = bundles.get(id);
    bundle.kind == Kind::Data
        && bundle.owner.is_some_and(|owner| {
            object.symbol(owner).is_local() && is_numbered(object.symbol(owner).name)
        })
}

/// Equal bytes and equal kinds and offsets of relocations: enough to tell clones of one function apart.
fn same_content(orig: &View<'_>, patched: &View<'_>, a: BundleId, b: BundleId) -> bool {
    let start = |view: &View<'_>, id| view.bundles.get(id).start;
    let shape = |view: &View<'_>, id: BundleId| -> Vec<(u64, u32)> {
        view.refs_of(id)
            .iter()
            .map(|reference| (reference.offset - start(view, id), reference.kind))
            .collect()
    };
    orig.bytes_of(a) == patched.bytes_of(b)
        && orig.bundles.get(a).len == patched.bundles.get(b).len
        && shape(orig, a) == shape(patched, b)
}

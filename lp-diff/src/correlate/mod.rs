//! Finds for each bundle of the patched object its twin in the original.
//!
//! Names decide where they can ([`by_name`]), each in its scope ([`scope`]): once the compiler's numbers are off, and those of lines
//! ([`by_line`]), a function or datum has the twin that shares its name, if just one on each side does. Cold parts go with their
//! functions, static locals by who declares or uses them ([`static_local`]). What has no twin is new: its users then differ too,
//! and take their own copy with them. That makes a missed twin of code safe and a wrong one too: whoever refers to it
//! then differs. Of data neither is: which of several is meant must be known, or is refused where it matters. The
//! tempting wrong way is to pair off the rest in order.

mod by_line;
mod by_name;
mod group;
mod scope;
mod static_local;

use crate::arch::Arch;
use crate::bundle::{BundleId, Kind};
use crate::dwarf::LazyDebugInfo;
use crate::name;
use crate::reference::View;
use crate::special::Entries;
use std::collections::BTreeSet;

/// Twins, both ways.
#[derive(Debug)]
pub struct Twins {
    orig_of: Column,
    patched_of: Column,
    /// Patched data of which it is not sure which one of the original's they are, or whether they are any.
    ambiguous: BTreeSet<BundleId>,
}

impl Twins {
    /// Correlates the two objects.
    pub fn correlate<'v, 'd>(
        (orig, orig_entries, orig_debug): (&'v View<'d>, &'v Entries, &'v LazyDebugInfo<'v>),
        (patched, patched_entries, patched_debug): (
            &'v View<'d>,
            &'v Entries,
            &'v LazyDebugInfo<'v>,
        ),
        arch: &dyn Arch,
    ) -> Self {
        let mut twins = Self {
            orig_of: Column::of(patched.bundles.len()),
            patched_of: Column::of(orig.bundles.len()),
            ambiguous: BTreeSet::new(),
        };
        let (their_scopes, our_scopes) = scope::Scopes::of(orig, patched);
        let theirs = static_local::Side {
            view: orig,
            entries: orig_entries,
            scopes: &their_scopes,
            debug: orig_debug,
        };
        let ours = static_local::Side {
            view: patched,
            entries: patched_entries,
            scopes: &our_scopes,
            debug: patched_debug,
        };
        let known = by_line::correlate(theirs, ours, &mut twins);
        let both = ((orig, &their_scopes), (patched, &our_scopes));
        by_name::correlate(both, &known, arch, &mut twins);
        static_local::correlate(theirs, ours, &mut twins);
        twins
    }

    /// The original of a patched bundle.
    pub fn orig(&self, patched: BundleId) -> Option<BundleId> {
        self.orig_of.get(patched)
    }

    /// The patched version of an original bundle.
    pub fn patched(&self, orig: BundleId) -> Option<BundleId> {
        self.patched_of.get(orig)
    }

    /// Whether a patched datum could as well be another one of its name than its twin, or one where it has none.
    pub fn is_ambiguous(&self, patched: BundleId) -> bool {
        self.ambiguous.contains(&patched)
    }

    fn pair(&mut self, orig: BundleId, patched: BundleId) {
        self.orig_of.set(patched, orig);
        self.patched_of.set(orig, patched);
    }
}

/// A twin, or none, for each bundle of one object.
#[derive(Debug)]
struct Column(Vec<BundleId>);

impl Column {
    const NONE: BundleId = BundleId(u32::MAX);

    fn of(len: usize) -> Self {
        Self(vec![Self::NONE; len])
    }

    fn get(&self, id: BundleId) -> Option<BundleId> {
        Some(self.0[id.0 as usize]).filter(|twin| *twin != Self::NONE)
    }

    fn set(&mut self, id: BundleId, twin: BundleId) {
        self.0[id.0 as usize] = twin;
    }
}

/// Whether a bundle is a static variable of a function, or one without a name of its own: known by its users.
fn is_static_local(view: &View<'_>, id: BundleId) -> bool {
    let bundle = view.bundles.get(id);
    bundle.kind == Kind::Data
        && bundle.owner.is_some_and(|owner| {
            let symbol = view.object.symbol(owner);
            let hidden = symbol.is_local() || name::is_promoted(symbol.name());
            hidden && name::is_static_local(symbol.name(), view.object.compiler)
        })
}

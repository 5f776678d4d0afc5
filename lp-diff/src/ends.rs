//! References that may mean the end of one datum or the start of the next.
//!
//! Where data share a section (`__read_mostly`, `__ro_after_init`), the address behind a table is spelt like that of
//! what follows it. Where the same thing followed before, both readings are one address; else which is meant must be
//! known. Only an address that is taken can be an end, of a table that the same code uses. A place before a datum is not
//! spelt so: in the kernel's code model no compiler counts down from a symbol, since the result may be out of reach (gcc
//! `x86_64_immediate_operand`, LLVM `isOffsetSuitableForCodeModel`). The tempting wrong way is to believe the spelling: a
//! loop would run on to where the other datum is now.

use crate::bundle::{BundleId, Kind};
use crate::callable::is_address_taken;
use crate::compare::Comparer;
use crate::reference::{Ref, Target};
use std::collections::HashSet;

/// What one piece of code or data refers to.
pub struct Ends<'c, 'v, 'd> {
    comparer: &'c Comparer<'v, 'd>,
    user: BundleId,
    /// Built when first needed: what the user refers to.
    used: Option<HashSet<BundleId>>,
}

impl<'c, 'v, 'd> Ends<'c, 'v, 'd> {
    /// For the references of this bundle.
    pub fn new(comparer: &'c Comparer<'v, 'd>, user: BundleId) -> Self {
        Self {
            comparer,
            user,
            used: None,
        }
    }

    /// The datum that a reference seems to mean, if it may as well mean the end of the one before it.
    pub fn may_be_one(&mut self, reference: &Ref) -> Option<BundleId> {
        let Target::Bundle { id, offset: 0 } = reference.target else {
            return None;
        };
        let view = self.comparer.patched;
        let section = view.bundles.get(self.user).section;
        let doubtful =
            reference.by_section && is_address_taken(view, self.comparer.arch, section, reference);
        let before = self.table_before(id).filter(|_| doubtful)?;
        let ambiguous = !self.were_neighbours(before, id) && self.uses(before);
        ambiguous.then_some(id)
    }

    /// The datum before this one, where both are data of which an end can be meant: a flag or counter has none.
    fn table_before(&self, id: BundleId) -> Option<BundleId> {
        const SCALAR: u64 = 4;
        let view = self.comparer.patched;
        let before = BundleId(id.0.checked_sub(1)?);
        let (first, second) = (view.bundles.get(before), view.bundles.get(id));
        let both = first.section == second.section && second.kind == Kind::Data;
        (both && first.kind == Kind::Data && first.len > SCALAR).then_some(before)
    }

    fn were_neighbours(&self, before: BundleId, id: BundleId) -> bool {
        let (orig, twins) = (self.comparer.orig, self.comparer.twins);
        match (twins.orig(before), twins.orig(id)) {
            (Some(one), Some(next)) => {
                let section = |id| orig.bundles.get(id).section;
                next.0 == one.0 + 1 && section(one) == section(next)
            }
            _ => false,
        }
    }

    fn uses(&mut self, id: BundleId) -> bool {
        let refs = self.comparer.patched.refs_of(self.user);
        let used = self.used.get_or_insert_with(|| {
            refs.filter_map(|reference| match reference.target {
                Target::Bundle { id, .. } => Some(id),
                _ => None,
            })
            .collect()
        });
        used.contains(&id)
    }
}

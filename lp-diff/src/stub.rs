//! Stubs for short branches into another function of a shared section (`__sched`, `.noinstr.text`).
//!
//! The assembler resolves such a branch with one byte. Taken out of its section the function is far from the other
//! one, so the branch goes to a jump right behind the function instead, which has room for the distance. Where even
//! that is out of reach there is nothing to be done short of assembling the function anew. The tempting wrong way is to
//! leave the byte alone because both functions come along: nothing keeps them at that distance.

use crate::arch::Arch;
use crate::bundle::BundleId;
use crate::reference::{Ref, Target, View};

/// A jump behind a function, and the short branches that go there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stub {
    /// Where the jump goes.
    pub target: Target,
    /// Offset of the jump from the start of the function's bundle.
    pub offset: u64,
    /// The branches' fields, as offsets from the start of the bundle.
    pub fields: Vec<u64>,
}

/// The stubs of a function.
#[derive(Debug, Default)]
pub struct Stubs {
    /// In the order in which they follow the function.
    pub list: Vec<Stub>,
    /// Offsets of the fields of branches that reach no stub.
    pub out_of_reach: Vec<u64>,
}

impl Stubs {
    /// The stubs that a bundle needs once it is taken out of its section.
    pub fn of(view: &View<'_>, arch: &dyn Arch, id: BundleId) -> Self {
        let bundle = view.bundles.get(id);
        let leaves = |reference: &Ref| {
            let inside =
                matches!(reference.target, Target::Bundle { id: target, .. } if target == id);
            reference.is_short(arch) && !inside
        };
        let mut stubs = Self::default();
        for reference in view.refs_of(id).filter(leaves) {
            let field = reference.offset - bundle.start;
            let known = stubs
                .list
                .iter()
                .position(|stub| stub.target == reference.target);
            let index = known.unwrap_or(stubs.list.len());
            let offset = bundle.len + index as u64 * arch.jump().0.len() as u64;
            if offset - (field + 1) > arch.short_reach() {
                stubs.out_of_reach.push(field);
            } else if let Some(stub) = stubs.list.get_mut(index) {
                stub.fields.push(field);
            } else {
                stubs.list.push(Stub {
                    target: reference.target,
                    offset,
                    fields: vec![field],
                });
            }
        }
        stubs
    }

    /// Their bytes, jumps that go nowhere yet.
    pub fn bytes(&self, arch: &dyn Arch) -> Vec<u8> {
        arch.jump().0.repeat(self.list.len())
    }
}

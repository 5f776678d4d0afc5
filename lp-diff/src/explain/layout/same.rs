//! Whether two types, one of each object, are the same where they are used: by value or through a pointer.
//!
//! What has a name is compared by its name here, since what the name means is compared by itself.

use crate::dwarf::types::{TypeId, Types};
use gimli::constants as dw;
use std::cell::Cell;

/// How far two types agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Likeness {
    /// The same type, typedefs and qualifiers aside.
    Same,
    /// Another type whose values can be read as the one: a signed number for an unsigned, a typed pointer for `void *`.
    Retyped,
    /// Another type.
    Other,
}

/// Types of two units.
pub(super) struct Likely<'l, 'o, 'p> {
    before: &'l Types<'o>,
    after: &'l Types<'p>,
    /// Comparisons left: types without names can nest and branch without end in bytes that no compiler wrote.
    left: Cell<u32>,
}

const DEPTH: usize = 24;
const COMPARISONS: u32 = 4096;

impl<'l, 'o, 'p> Likely<'l, 'o, 'p> {
    /// For types of these units, the original's first.
    pub(super) fn new(before: &'l Types<'o>, after: &'l Types<'p>) -> Self {
        Self {
            before,
            after,
            left: Cell::new(0),
        }
    }

    /// How far two types agree.
    pub(super) fn likeness(&self, old: Option<TypeId>, new: Option<TypeId>) -> Likeness {
        self.left.set(COMPARISONS);
        self.compared(old, new, DEPTH)
    }

    fn compared(&self, old: Option<TypeId>, new: Option<TypeId>, depth: usize) -> Likeness {
        let Self { before, after, .. } = self;
        let (old, new) = (
            self.named_or_bare(before, old),
            self.named_or_bare(after, new),
        );
        let left = self.left.get().checked_sub(1);
        self.left.set(left.unwrap_or(0));
        let depth = depth.checked_sub(1).filter(|_| left.is_some());
        let (Some(old), Some(new), Some(depth)) = (old, new, depth) else {
            // `void` on both sides, or C that nobody writes.
            return if old.is_some() == new.is_some() {
                Likeness::Same
            } else {
                Likeness::Other
            };
        };
        if let (Some(one), Some(other)) = (before.known_as(Some(old)), after.known_as(Some(new))) {
            let enums = one.keyword == "enum" && other.keyword == "enum";
            let same = (one.keyword, one.name) == (other.keyword, other.name);
            return match (same, enums) {
                (true, _) => Likeness::Same,
                (false, true) => Likeness::Retyped,
                (false, false) => Likeness::Other,
            };
        }
        let tags = (before.get(old).tag, after.get(new).tag);
        let inner = || self.compared(before.target(old), after.target(new), depth);
        match tags {
            (dw::DW_TAG_pointer_type, dw::DW_TAG_pointer_type) => {
                self.pointees(before.target(old), after.target(new), depth)
            }
            (dw::DW_TAG_array_type, dw::DW_TAG_array_type) => {
                let same = before.dimensions(old).eq(after.dimensions(new));
                if same { inner() } else { Likeness::Other }
            }
            (dw::DW_TAG_subroutine_type, dw::DW_TAG_subroutine_type) => {
                inner().max(self.parameters(old, new, depth))
            }
            (one, other) if is_aggregate(one) && one == other => self.bodies(old, new, depth),
            (one, other) if is_scalar(one) && is_scalar(other) => self.scalars(old, new),
            _ => Likeness::Other,
        }
    }

    fn named_or_bare(&self, types: &Types<'_>, id: Option<TypeId>) -> Option<TypeId> {
        let mut id = types.unqualified(id);
        for _ in 0..32 {
            let typedef = id.filter(|id| types.get(*id).tag == dw::DW_TAG_typedef);
            if types.known_as(id).is_some() || typedef.is_none() {
                return id;
            }
            id = types.unqualified(types.target(typedef?));
        }
        None
    }

    /// `void *` says nothing of what is there, so it agrees with every pointer to data.
    fn pointees(&self, old: Option<TypeId>, new: Option<TypeId>, depth: usize) -> Likeness {
        let Self { before, after, .. } = self;
        let (bare_old, bare_new) = (before.bare(old), after.bare(new));
        let is_scalar = |types: &Types<'_>, id: Option<TypeId>| {
            id.is_none_or(|id| is_scalar(types.get(id).tag))
        };
        let likeness = self.compared(old, new, depth);
        let vague = bare_old.is_none()
            || bare_new.is_none()
            || (is_scalar(before, bare_old) && is_scalar(after, bare_new));
        if vague {
            likeness.min(Likeness::Retyped)
        } else {
            likeness
        }
    }

    fn parameters(&self, old: TypeId, new: TypeId, depth: usize) -> Likeness {
        let Self { before, after, .. } = self;
        let (mut olds, mut news) = (before.children(old), after.children(new));
        let mut worst = Likeness::Same;
        loop {
            let (one, other) = match (olds.next(), news.next()) {
                (None, None) => return worst,
                (Some(one), Some(other)) => (one, other),
                _ => return Likeness::Other,
            };
            if before.get(one).tag != after.get(other).tag {
                return Likeness::Other;
            }
            worst = worst.max(self.compared(before.target(one), after.target(other), depth));
        }
    }

    /// Aggregates without a name, member by member.
    fn bodies(&self, old: TypeId, new: TypeId, depth: usize) -> Likeness {
        let Self { before, after, .. } = self;
        let (one, other) = (before.get(old), after.get(new));
        if one.size != other.size {
            return Likeness::Other;
        }
        let (mut olds, mut news) = (before.members(old), after.members(new));
        let mut worst = Likeness::Same;
        while worst < Likeness::Other {
            let (one, other) = match (olds.next(), news.next()) {
                (None, None) => return worst,
                (Some(one), Some(other)) => (one, other),
                _ => return Likeness::Other,
            };
            let (a, b) = (before.get(one), after.get(other));
            if (a.name, a.place, a.bits) != (b.name, b.place, b.bits) {
                return Likeness::Other;
            }
            worst = worst.max(self.compared(before.target(one), after.target(other), depth));
        }
        worst
    }

    fn scalars(&self, old: TypeId, new: TypeId) -> Likeness {
        let Self { before, after, .. } = self;
        let (one, other) = (before.get(old), after.get(new));
        if one.size != other.size {
            Likeness::Other
        } else if one.name == other.name {
            Likeness::Same
        } else {
            Likeness::Retyped
        }
    }
}

fn is_aggregate(tag: gimli::DwTag) -> bool {
    matches!(tag, dw::DW_TAG_structure_type | dw::DW_TAG_union_type)
}

fn is_scalar(tag: gimli::DwTag) -> bool {
    matches!(tag, dw::DW_TAG_base_type | dw::DW_TAG_enumeration_type)
}

//! An aggregate as a flat list of members: those of anonymous structs and unions inside it count as its own.
//!
//! What has a name of its own (`struct list_head node`) is one member: its layout is compared where that name is.

use crate::dwarf::types::{TypeId, Types};
use gimli::constants as dw;
use serde::{Deserialize, Serialize};

/// No aggregate of a kernel has more; what bytes claim beyond is left out.
const LIMIT: usize = 20_000;
const DEPTH: usize = 16;

/// Where a member is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberPlace {
    /// Bytes from the start of the aggregate.
    pub offset: u64,
    /// Bytes; none for a flexible array.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// Of a bit-field: its first bit after `offset`, and how many.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bits: Option<(u32, u32)>,
    /// In the words of C.
    #[serde(rename = "type")]
    pub kind: String,
}

/// A member with its path: `u.tcp.seq`.
#[derive(Debug, Clone)]
pub(super) struct Member {
    pub(super) path: String,
    pub(super) id: TypeId,
    pub(super) place: MemberPlace,
}

/// All members of an aggregate.
pub(super) fn members(types: &Types<'_>, aggregate: TypeId) -> Vec<Member> {
    let mut flat = Vec::new();
    let mut flattener = Flattener {
        types,
        flat: &mut flat,
        left: LIMIT,
    };
    flattener.add(aggregate, "", 0, DEPTH);
    flat
}

struct Flattener<'f, 'o> {
    types: &'f Types<'o>,
    flat: &'f mut Vec<Member>,
    left: usize,
}

impl Flattener<'_, '_> {
    fn add(&mut self, aggregate: TypeId, prefix: &str, base: u64, depth: usize) {
        for id in self.types.members(aggregate) {
            let Some(left) = self.left.checked_sub(1) else {
                return;
            };
            self.left = left;
            let member = *self.types.get(id);
            let bit = base.wrapping_add(member.place.unwrap_or(0));
            let path = format!("{prefix}{}", member.name);
            let target = self.types.target(id);
            if let (Some(inner), Some(depth)) = (self.anonymous(target), depth.checked_sub(1)) {
                let prefix = if member.name.is_empty() {
                    path
                } else {
                    path + "."
                };
                self.add(inner, &prefix, bit, depth);
                continue;
            }
            let element = self.element(target);
            let place = MemberPlace {
                // A bit-field's place counts from its byte: storage units are the compiler's business.
                offset: bit / 8,
                size: self.types.size_of(target),
                bits: member.bits.map(|bits| ((bit % 8) as u32, bits)),
                kind: self.types.spell(target),
            };
            let inside = format!("{path}[].");
            self.flat.push(Member { path, id, place });
            if let (Some(inner), Some(depth)) = (element, depth.checked_sub(1)) {
                self.add(inner, &inside, bit, depth);
            }
        }
    }

    /// The aggregate behind a type, if it has no name of its own.
    fn anonymous(&self, id: Option<TypeId>) -> Option<TypeId> {
        let inner = self.types.unqualified(id)?;
        let entry = self.types.get(inner);
        let aggregate = matches!(entry.tag, dw::DW_TAG_structure_type | dw::DW_TAG_union_type);
        (aggregate && entry.name.is_empty()).then_some(inner)
    }

    /// The anonymous aggregate that an array is made of.
    fn element(&self, id: Option<TypeId>) -> Option<TypeId> {
        let array = self.types.unqualified(id)?;
        let is_array = self.types.get(array).tag == dw::DW_TAG_array_type;
        self.anonymous(self.types.target(array))
            .filter(|_| is_array)
    }
}

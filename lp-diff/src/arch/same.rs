//! Codes that say the same in other bytes, and how their instructions correspond.

use std::collections::BTreeSet;

/// A code, with what of it means something to others.
#[derive(Debug, Clone, Copy)]
pub struct Marked<'c> {
    /// Its bytes.
    pub bytes: &'c [u8],
    /// Offset and width of each field that a reference fills, in order.
    pub fields: &'c [(u64, u64)],
    /// Offsets of instructions that something refers to, so that they count whatever they do.
    pub marks: &'c BTreeSet<u64>,
}

impl Marked<'_> {
    /// The fields in a part of the code.
    pub fn fields_in(&self, start: u64, end: u64) -> &[(u64, u64)] {
        let first = self.fields.partition_point(|(field, _)| *field < start);
        let last = self.fields.partition_point(|(field, _)| *field < end);
        &self.fields[first..last.max(first)]
    }
}

/// Where each instruction of a code begins, padding included, and its end; each with how many instructions that are no
/// padding stand before it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Places(pub Vec<(u64, u32)>);

impl Places {
    /// How many instructions stand before a place; `None` within an instruction.
    pub fn before(&self, place: u64) -> Option<u32> {
        let found = self.0.binary_search_by_key(&place, |(start, _)| *start);
        Some(self.0[found.ok()?].1)
    }
}

/// Two codes that say the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SameCode {
    /// The places of the original.
    pub orig: Places,
    /// Those of the patched code.
    pub patched: Places,
}

impl SameCode {
    /// Whether two places are before the same instruction.
    pub fn corresponds(&self, orig: u64, patched: u64) -> bool {
        let before = self.orig.before(orig);
        before.is_some() && before == self.patched.before(patched)
    }

    /// Whether the same stands at the same place everywhere.
    pub fn is_in_place(&self) -> bool {
        self.orig == self.patched
    }
}

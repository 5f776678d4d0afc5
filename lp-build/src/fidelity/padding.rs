//! Which instructions of two functions stand for each other, where one of them has more padding inside.
//!
//! The assembler fills up to a loop's alignment, and how much that takes depends on what is before: a jump to a neighbour
//! is two bytes long, and five where the neighbour has a section of its own; and a loop that is aligned more than its function is (gcc
//! from 14.2 on aligns small ones to a cache line) lies elsewhere in a section of its own. Only a run of no-operations that ends
//! where an aligned piece of code begins, and is shorter than that alignment, is padding. The tempting wrong way is to leave out all
//! no-operations: one that something is written over later would be missing. So a run that a table refers to is none.

use super::insn::Insn;
use std::ops::Range;

/// Code is aligned to no more than a cache line.
const LARGEST: u64 = 64;

/// And to no less than this: `.p2align 4,,10` and, where that takes more, `.p2align 3`.
const LEAST: u64 = 8;

/// One of the two functions.
#[derive(Clone, Copy)]
pub(super) struct Side<'a> {
    pub(super) insns: &'a [Insn],
    pub(super) code: &'a [u8],
    /// Where it begins: an address, or an offset in a section that is aligned as its code needs.
    pub(super) start: u64,
}

/// What stands for what.
pub(super) struct Aligned {
    /// Indexes of instructions.
    pub(super) pairs: Vec<(usize, usize)>,
    /// Their offsets, and those of the padding that was left out.
    pub(super) offsets: Vec<(u64, u64)>,
    /// The first instructions that have no counterpart.
    pub(super) ends: (usize, usize),
}

/// Goes through both; `is_referred`: whether a table refers to a place between two offsets of ours, the second left out.
pub(super) fn align(
    (ours, theirs): (Side<'_>, Side<'_>),
    is_referred: impl Fn(Range<u64>) -> bool,
) -> Aligned {
    let mut aligned = Aligned {
        pairs: Vec::with_capacity(ours.insns.len()),
        offsets: Vec::with_capacity(ours.insns.len()),
        ends: (0, 0),
    };
    loop {
        let (our_at, their_at) = aligned.ends;
        let (Some(our), Some(their)) = (ours.insns.get(our_at), theirs.insns.get(their_at)) else {
            return aligned;
        };
        aligned.offsets.push((our.offset, their.offset));
        let differs = (our.is_nop() || their.is_nop()) && ours.bytes(our) != theirs.bytes(their);
        let run = ours.padding(our_at).filter(|_| differs);
        let run = run.filter(|run| !is_referred(ours.range(our_at, *run)));
        match (run, theirs.padding(their_at)) {
            (Some(our), Some(their)) => aligned.ends = (our_at + our, their_at + their),
            _ => {
                aligned.pairs.push((our_at, their_at));
                aligned.ends = (our_at + 1, their_at + 1);
            }
        }
    }
}

impl Side<'_> {
    fn bytes(&self, insn: &Insn) -> &[u8] {
        let start = insn.offset as usize;
        self.code.get(start..start + insn.len()).unwrap_or_default()
    }

    /// The offsets of so many instructions from here on, which others follow.
    fn range(&self, at: usize, count: usize) -> Range<u64> {
        let offset = |at: usize| self.insns.get(at).map_or(u64::MAX, |insn| insn.offset);
        offset(at)..offset(at + count)
    }

    /// How many instructions from here on are padding; none where there are no-operations that are not.
    fn padding(&self, at: usize) -> Option<usize> {
        let rest = self.insns.get(at..)?;
        let count = rest.iter().take_while(|insn| insn.is_nop()).count();
        let (Some(first), Some(next)) = (rest.first(), rest.get(count)) else {
            return None;
        };
        let size = next.offset - first.offset;
        let end = self.start.checked_add(next.offset)?;
        let alignment = 1u64 << end.trailing_zeros().min(LARGEST.trailing_zeros());
        (size < alignment && alignment >= LEAST).then_some(count)
    }
}

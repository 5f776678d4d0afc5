//! Where the direct branches of an object lead, found by decoding all of its code once.
//!
//! A jump is written over the first bytes of a function; a branch into the middle of them from other code would land in the
//! middle of the jump. Decoding starts anew at each function's symbol, so data between functions misleads it no
//! farther than that. Indirect branches are not seen: those into a function's first bytes come from its own body (a
//! computed goto), and that is not run any more.

use iced_x86::{Decoder, DecoderOptions, FlowControl, Instruction, OpKind};
use std::ops::Range;

/// A direct call or jump, in the file's addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Branch {
    /// Where it leads.
    pub to: u64,
    /// Where it is.
    pub from: u64,
}

/// All direct branches of an object, by where they lead.
#[derive(Debug, Default)]
pub struct Branches(Vec<Branch>);

impl Branches {
    /// Decodes pieces of code, each with its address. `starts`: those of functions, ascending.
    pub fn of(pieces: &[(u64, Vec<u8>)], starts: &[u64]) -> Self {
        let mut branches = Vec::new();
        for (start, bytes) in pieces {
            let end = start.saturating_add(bytes.len() as u64);
            for part in between(starts, *start..end) {
                let (from, to) = (part.start - start, part.end - start);
                if let Some(bytes) = bytes.get(from as usize..to as usize) {
                    scan(bytes, part.start, &mut branches);
                }
            }
        }
        branches.sort_unstable();
        Self(branches)
    }

    /// Those that lead into a range.
    pub fn leading_into(&self, range: Range<u64>) -> &[Branch] {
        let start = self.0.partition_point(|it| it.to < range.start);
        let end = self
            .0
            .partition_point(|it| it.to < range.end.max(range.start));
        &self.0[start..end]
    }
}

/// The parts of a range that begin at functions.
fn between(starts: &[u64], range: Range<u64>) -> Vec<Range<u64>> {
    let first = starts.partition_point(|it| *it <= range.start);
    let inside = starts[first..].iter().take_while(|it| **it < range.end);
    let mut bounds = vec![range.start];
    bounds.extend(inside);
    bounds.push(range.end);
    bounds.dedup();
    let ends = bounds.iter().skip(1);
    bounds
        .iter()
        .zip(ends)
        .map(|(start, end)| *start..*end)
        .collect()
}

fn scan(bytes: &[u8], start: u64, branches: &mut Vec<Branch>) {
    let mut decoder = Decoder::with_ip(64, bytes, start, DecoderOptions::NONE);
    let mut instruction = Instruction::default();
    while decoder.can_decode() {
        decoder.decode_out(&mut instruction);
        branches.extend(target(&instruction).map(|to| Branch {
            to,
            from: instruction.ip(),
        }));
    }
}

/// Where a direct branch leads.
pub fn target(instruction: &Instruction) -> Option<u64> {
    let direct = matches!(
        instruction.flow_control(),
        FlowControl::UnconditionalBranch
            | FlowControl::ConditionalBranch
            | FlowControl::Call
            | FlowControl::XbeginXabortXend
    );
    let near =
        direct && instruction.op_count() > 0 && instruction.op0_kind() == OpKind::NearBranch64;
    near.then(|| instruction.near_branch_target())
}

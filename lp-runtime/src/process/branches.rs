//! Where the direct branches of an object lead, found by decoding all of its code once.
//!
//! A jump is written over the first bytes of a function; a branch into the middle of them from other code would land in the
//! middle of the jump. Decoding starts anew at each function's symbol, so data between functions misleads it no
//! farther than that. Indirect branches are not seen: those into a function's first bytes come from its own body (a
//! computed goto), and that is not run any more.

use super::elf::ElfError;
use super::image::Image;
use super::symbols::SymbolTable;
use iced_x86::{Decoder, DecoderOptions, FlowControl, Instruction, OpKind};
use object::elf;
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
    /// Decodes an object's code.
    ///
    /// # Errors
    /// Where the code cannot be read.
    pub fn of(image: &Image) -> Result<Self, ElfError> {
        let symbols = image.symbols()?;
        let mut branches = Vec::new();
        for range in code(image) {
            let bytes = image.elf.at(range.start, range.end - range.start)?;
            for part in between_functions(symbols, &range) {
                let (start, end) = (part.start - range.start, part.end - range.start);
                if let Some(bytes) = bytes.get(start as usize..end as usize) {
                    scan(bytes, part.start, &mut branches);
                }
            }
        }
        branches.sort_unstable();
        Ok(Self(branches))
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

/// The sections with code; where there are no sections, the segments.
fn code(image: &Image) -> Vec<Range<u64>> {
    let range = |start: u64, size: u64| start..start.saturating_add(size);
    let sections = image.elf.sections().iter();
    let sections = sections
        .filter(|it| it.flags & elf::SHF_EXECINSTR.0 != 0 && it.kind == elf::SHT_PROGBITS.0);
    let found: Vec<_> = sections.map(|it| range(it.address, it.size)).collect();
    if !found.is_empty() {
        return found;
    }
    let segments = image.elf.loads().filter(|segment| segment.is_code());
    segments.map(|it| range(it.address, it.file_size)).collect()
}

fn between_functions(symbols: &SymbolTable, range: &Range<u64>) -> Vec<Range<u64>> {
    let mut starts: Vec<u64> = symbols
        .functions_in(range.clone())
        .map(|it| it.value)
        .collect();
    starts.insert(0, range.start);
    starts.push(range.end);
    starts.dedup();
    let ends = starts.iter().skip(1);
    starts
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
pub(super) fn target(instruction: &Instruction) -> Option<u64> {
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

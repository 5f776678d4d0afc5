//! What differs by architecture: relocation kinds, instructions, the site at a function's entry that ftrace uses.
//!
//! The phases ask through [`Arch`] and know no instruction; another architecture is another file here.

mod same;
pub mod text;
mod x86_64;
mod x86_64_same;
mod x86_64_text;
mod x86_64_ways;

pub use same::{Marked, SameCode};

use crate::object::{Object, Section};
use std::collections::BTreeSet;
use text::{Insn, Syntax};

/// A branch or PC-relative operand that the assembler resolved itself, so that no relocation tells of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Branch {
    /// Offset of the displacement field in the section.
    pub field: u64,
    /// Bytes of the displacement field: 4, or 1 for a short branch.
    pub width: u8,
    /// Bytes from the field to the end of the instruction, from where the displacement counts.
    pub to_end: u8,
    /// Where it goes, as an offset in the section.
    pub target: u64,
}

/// An architecture's knowledge.
pub trait Arch: Sync {
    /// Whether the field holds a distance from itself rather than an address.
    fn is_pc_relative(&self, kind: u32) -> bool;
    /// Whether a patch for a process can have relocations of this kind.
    fn is_for_process(&self, kind: u32) -> bool;
    /// Whether relocations of these two kinds write the same value: a call through a linkage table that the kernel
    /// does not have is a call.
    fn same_kind(&self, one: u32, other: u32) -> bool;
    /// Bytes that a relocation of this kind writes.
    fn width(&self, kind: u32) -> u64;
    /// The relocation kind that carries a 4-byte branch distance.
    fn branch_kind(&self) -> u32;
    /// The relocation kind that carries a 4-byte distance to data.
    fn data_kind(&self) -> u32;
    /// The relocation kind that writes nothing, for what has no kind that fits.
    fn none_kind(&self) -> u32;
    /// For each relocation of a code section: the distance from the field to the end of its instruction, from where a
    /// PC-relative field counts. `starts` are offsets where an instruction is known to begin.
    fn field_to_end(&self, section: Section<'_>, starts: &[u64]) -> Vec<u8>;
    /// The branches and PC-relative operands in `start..end` that leave it and have no relocation.
    fn local_branches(&self, section: Section<'_>, start: u64, end: u64) -> Vec<Branch>;
    /// Whether a code returns, or jumps to where a slot says.
    fn returns(&self, code: &[u8]) -> bool;
    /// The branches of a code that go back in it, as (target, end of the branch): what loops.
    fn backward_branches(&self, code: &[u8]) -> Vec<(u64, u64)>;
    /// Whether the instruction or datum with such a relocation takes an address rather than what is there; `before` are
    /// the two bytes before the field.
    fn takes_address(&self, kind: u32, before: &[u8]) -> bool;
    /// Whether the instruction with such a relocation goes to another place; `before` are the two bytes before the field.
    fn is_branch(&self, kind: u32, before: &[u8]) -> bool;
    /// The same, without coming back.
    fn is_jump(&self, kind: u32, before: &[u8]) -> bool;
    /// Whether a code calls, or leaves through, an address that it computes.
    fn calls_pointer(&self, code: &[u8]) -> bool;
    /// A jump with a 4-byte distance, and the offset of that in it.
    fn jump(&self) -> (&'static [u8], u8);
    /// The largest distance that a short branch reaches.
    fn short_reach(&self) -> u64;
    /// Where the site that ftrace uses must be in a function of this code, from its entry: nothing may have happened
    /// before it that a replacement would do again.
    fn fentry_site(&self, code: &[u8]) -> u64;
    /// Whether a call through a pointer may land on this code where such are tracked.
    fn lands(&self, code: &[u8]) -> bool;
    /// The name of the function that the instruction at `site` calls, if a relocation tells.
    fn called_at<'d>(
        &self,
        object: &Object<'d>,
        section: Section<'_>,
        site: u64,
    ) -> Option<&'d str>;
    /// Offsets in a section right behind an instruction after which the next one is not run.
    fn ends_of_flow(&self, section: Section<'_>) -> BTreeSet<u64>;
    /// What loads a register from a variable in the place of the instruction of a function that loads it with the
    /// constant at `field`; `None` where it is no such instruction, or has no room.
    fn load_instead(&self, code: &[u8], field: u64) -> Option<LoadInstead>;
    /// Whether the first instruction does nothing.
    fn is_nop(&self, code: &[u8]) -> bool;
    /// The first instruction that differs and a rendering of both sides, for the report.
    fn first_difference(&self, orig: &[u8], patched: &[u8]) -> Option<Difference>;
    /// The instructions of `code`, which lies at `start` of its section, as text. `fields` are the offsets in the section
    /// where references have their fields, in order.
    fn instructions(&self, code: &[u8], start: u64, fields: &[u64], syntax: Syntax) -> Vec<Insn>;
    /// Which argument the instruction that holds the field at `field` loads, decoding from `start`.
    fn argument_at(&self, code: &[u8], start: u64, field: u64) -> Option<usize>;
    /// How the instructions of two codes correspond where both are one program but for padding and the sizes of jumps;
    /// `None` where they are not.
    fn same_code(&self, orig: &Marked<'_>, patched: &Marked<'_>) -> Option<SameCode>;
    /// The constants that differ where two codes are otherwise equal, instruction for instruction; `None` when anything
    /// else differs, or when no call follows that takes the constant.
    fn changed_constants(&self, orig: &[u8], patched: &[u8]) -> Option<Vec<ChangedConstant>>;
}

/// An instruction that takes the place of another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadInstead {
    /// Offset in the function.
    pub start: u64,
    /// As many bytes as there were.
    pub bytes: Vec<u8>,
    /// Offset in them of the distance to the variable.
    pub field: u8,
    /// From there to the end of the instruction, from where the distance counts.
    pub bias: u8,
}

/// Where two codes begin to differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Offset from the start of both.
    pub offset: u64,
    /// The original's instruction.
    pub orig: String,
    /// The patched one's.
    pub patched: String,
}

/// An immediate that is passed to a call, with another value on each side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangedConstant {
    /// The value in the original.
    pub orig: u64,
    /// The value in the patched object.
    pub patched: u64,
    /// Which argument of the call it is, from 0; `None` for one on the stack.
    pub argument: Option<usize>,
    /// The ways from it to the first call that may take it, one at least: of several the compiler has put the ends together.
    pub ways: Vec<Way>,
}

/// Code from the branch before a constant to the end of the call, or of the jump into a function, that takes it: start and
/// end offsets of each piece between two branches, in order.
pub type Way = Vec<(u64, u64)>;

/// The architecture of an `e_machine`, if it is one that we know.
pub fn of(machine: u16) -> Option<&'static dyn Arch> {
    match object::elf::Machine(machine) {
        object::elf::EM_X86_64 => Some(&x86_64::X86_64),
        _ => None,
    }
}

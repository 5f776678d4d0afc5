//! Tells whether two codes are one program that the assembler wrote down in two ways.
//!
//! A branch is as long as its distance wants it, and what stands between two pieces of code to align the second does
//! nothing. So instructions are compared one by one, without such padding, and a branch by the instruction that it goes
//! to. What something refers to is an instruction, whatever it does: the kernel may write there. The tempting wrong way
//! is to skip all that does nothing: the place of a jump label does nothing until it is switched.

use super::same::Places;
use super::x86_64::{decode, is_near_branch};
use super::{Marked, SameCode};
use iced_x86::{Instruction, Mnemonic};

/// How the instructions of both codes correspond, if they say the same.
pub(super) fn same_code(orig: &Marked<'_>, patched: &Marked<'_>) -> Option<SameCode> {
    let (theirs, ours) = (Code::read(orig)?, Code::read(patched)?);
    if theirs.kept.len() != ours.kept.len() {
        return None;
    }
    let mut pairs = theirs.kept.iter().zip(&ours.kept);
    let same = pairs.all(|(old, new)| theirs.says_the_same((old, orig), (new, patched), &ours));
    same.then_some(SameCode {
        orig: theirs.places,
        patched: ours.places,
    })
}

/// The instructions of a code.
struct Code {
    /// All but padding.
    kept: Vec<Instruction>,
    places: Places,
}

impl Code {
    /// `None` where something is no instruction.
    fn read(code: &Marked<'_>) -> Option<Self> {
        let mut kept = Vec::new();
        let mut places = Vec::new();
        for insn in decode(code.bytes, 0) {
            places.push((insn.ip(), kept.len() as u32));
            if insn.is_invalid() {
                return None;
            }
            if insn.mnemonic() != Mnemonic::Nop || code.marks.contains(&insn.ip()) {
                kept.push(insn);
            }
        }
        places.push((code.bytes.len() as u64, kept.len() as u32));
        Some(Self {
            kept,
            places: Places(places),
        })
    }

    fn says_the_same(
        &self,
        (old, orig): (&Instruction, &Marked<'_>),
        (new, patched): (&Instruction, &Marked<'_>),
        ours: &Self,
    ) -> bool {
        let (their_fields, our_fields) = (
            orig.fields_in(old.ip(), old.next_ip()),
            patched.fields_in(new.ip(), new.next_ip()),
        );
        if is_near_branch(old) && is_near_branch(new) {
            let (there, here) = (old.near_branch_target(), new.near_branch_target());
            let goes_alike = match (their_fields, our_fields) {
                ([], []) => {
                    let target = self.places.before(there);
                    target.is_some() && target == ours.places.before(here)
                }
                ([_], [_]) => true,
                _ => false,
            };
            return goes_alike
                && old.mnemonic() == new.mnemonic()
                && old.segment_prefix() == new.segment_prefix()
                && old.has_repne_prefix() == new.has_repne_prefix();
        }
        let in_it = |insn: &Instruction, fields: &[(u64, u64)]| {
            fields
                .iter()
                .map(|(field, width)| (field - insn.ip(), *width))
                .collect::<Vec<_>>()
        };
        let counts_from_itself = old.is_ip_rel_memory_operand() && their_fields.is_empty();
        let fields = in_it(old, their_fields);
        !counts_from_itself
            && fields == in_it(new, our_fields)
            && without(orig, old, &fields) == without(patched, new, &fields)
    }
}

/// The bytes of an instruction, zero where its fields are.
fn without(code: &Marked<'_>, insn: &Instruction, fields: &[(u64, u64)]) -> Vec<u8> {
    let bytes = code.bytes.get(insn.ip() as usize..insn.next_ip() as usize);
    let mut bytes = bytes.unwrap_or_default().to_vec();
    for (field, width) in fields {
        let end = (field + width).min(bytes.len() as u64);
        bytes[*field as usize..end as usize].fill(0);
    }
    bytes
}

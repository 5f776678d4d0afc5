//! What code and pointers refer to in both builds, pair by pair.

use super::File;
use iced_x86::{Decoder, DecoderOptions, Instruction, Register};
use object::{Object, RelocationFlags, elf};

/// An address of ours, and the same one of theirs.
pub(super) type Pair = (u64, u64);

/// The addresses that the instructions of a section refer to from where they are; where its two contents differ in another way.
pub(super) fn of_code(
    (ours, at): (&[u8], u64),
    (theirs, place): (&[u8], u64),
) -> Result<Vec<Pair>, usize> {
    if ours.len() != theirs.len() {
        let same = ours.iter().zip(theirs);
        return Err(same.take_while(|(one, other)| one == other).count());
    }
    let by = at.wrapping_sub(place);
    let mut decoder = Decoder::with_ip(64, theirs, place, DecoderOptions::NONE);
    let mut instruction = Instruction::default();
    let mut found = Vec::new();
    while decoder.can_decode() {
        let start = decoder.position();
        decoder.decode_out(&mut instruction);
        let range = start..decoder.position();
        let (own, other) = (
            ours.get(range.clone()).ok_or(start)?,
            theirs.get(range).ok_or(start)?,
        );
        // Nobody refers to data by 32 bits of the address: that is no code, but data among it.
        let is_short = instruction.memory_base() == Register::EIP;
        if !instruction.is_ip_rel_memory_operand() || is_short {
            if own != other {
                return Err(start);
            }
            continue;
        }
        let offsets = decoder.get_constant_offsets(&instruction);
        let field = offsets.displacement_offset()
            ..offsets.displacement_offset() + offsets.displacement_size();
        let is_same_around = own.get(..field.start) == other.get(..field.start)
            && own.get(field.end..) == other.get(field.end..);
        if !is_same_around || field.len() != 4 {
            return Err(start);
        }
        let distance = own.get(field).and_then(|bytes| bytes.try_into().ok());
        let distance = i32::from_le_bytes(distance.ok_or(start)?);
        let target = instruction
            .next_ip()
            .wrapping_add(by)
            .wrapping_add_signed(distance.into());
        found.push((target, instruction.ip_rel_memory_address()));
    }
    Ok(found)
}

/// The pointers that the loader fills in with an address of the program itself (`R_X86_64_RELATIVE`), and what they point to; nothing
/// where the two have not as many.
pub(super) fn of_pointers(ours: &File<'_>, theirs: &File<'_>) -> Option<Vec<Pair>> {
    let (ours, theirs) = (pointers(ours), pointers(theirs));
    if ours.len() != theirs.len() {
        return None;
    }
    let pairs = ours.into_iter().zip(theirs);
    let pairs = pairs.flat_map(|((at, to), (place, target))| [(at, place), (to, target)]);
    Some(pairs.collect())
}

/// By address.
fn pointers(file: &File<'_>) -> Vec<(u64, u64)> {
    let all = file.dynamic_relocations().into_iter().flatten();
    let mut found: Vec<(u64, u64)> = all
        .filter(|(_, one)| matches!(one.flags(), RelocationFlags::Elf { r_type } if r_type == elf::R_X86_64_RELATIVE))
        .map(|(at, one)| (at, one.addend().cast_unsigned()))
        .collect();
    found.sort_unstable();
    found
}

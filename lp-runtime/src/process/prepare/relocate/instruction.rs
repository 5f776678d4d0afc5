//! Instructions that load an address from a slot, and what does the same without (psABI, "Optimize GOTPCRELX relocations").

/// Turns an instruction into one that has the distance in it. `bytes` are its opcode, its ModRM byte and the four bytes of the
/// distance, which is counted from their end. Says whether it could.
pub(super) fn relax(bytes: &mut [u8], distance: u32) -> bool {
    let &mut [ref mut opcode, ref mut modrm, ref mut number @ ..] = bytes else {
        return false;
    };
    match (*opcode, *modrm) {
        // mov slot(%rip), %reg: lea target(%rip), %reg
        (0x8b, modrm) if modrm & 0xc7 == 0x05 => *opcode = 0x8d,
        // call *slot(%rip): addr32 call target
        (0xff, 0x15) => (*opcode, *modrm) = (0x67, 0xe8),
        // jmp *slot(%rip): jmp target; nop. It begins one byte earlier.
        (0xff, 0x25) => return relax_jump(bytes, distance),
        _ => return false,
    }
    number.copy_from_slice(&distance.to_le_bytes());
    true
}

fn relax_jump(bytes: &mut [u8], distance: u32) -> bool {
    // What is near the end of the reach stays as it is.
    let Some(distance) = (distance as i32).checked_add(1) else {
        return false;
    };
    bytes[0] = 0xe9;
    bytes[1..5].copy_from_slice(&distance.to_le_bytes());
    bytes[5] = 0x90;
    true
}

//! Back from a signal handler without unwind information: what the kernel put on the stack has a layout of its own.
//!
//! musl's `__restore_rt` has no unwind information. Its two instructions are known all the same: the kernel's interface leaves no other
//! way to return (`struct rt_sigframe`, arch/x86/include/asm/sigframe.h).

use super::{Known, RETURN_ADDRESS, RSP, Stack};

/// `mov $15,%rax; syscall` (15: rt_sigreturn), with a 64-bit and a 32-bit move.
const RETURNS: [&[u8]; 2] = [
    &[0x48, 0xc7, 0xc0, 15, 0, 0, 0, 0x0f, 0x05],
    &[0xb8, 15, 0, 0, 0, 0x0f, 0x05],
];

/// Offset of `uc_mcontext` in `struct ucontext`.
const MCONTEXT: u64 = 40;

/// DWARF numbers of the registers in `struct sigcontext_64`, in their order.
const ORDER: [usize; 17] = [
    8,
    9,
    10,
    11,
    12,
    13,
    14,
    15,
    5,
    4,
    6,
    3,
    1,
    0,
    2,
    RSP,
    RETURN_ADDRESS,
];

/// The registers of the code that a signal interrupted, when its handler is about to return to `pc`.
pub(super) fn interrupted(known: &Known, pc: u64, stack: &mut Stack<'_>) -> Option<Known> {
    let returns = |code: &&[u8]| {
        let byte =
            |(at, byte): (u64, &u8)| stack.value(pc.wrapping_add(at), 1) == Ok((*byte).into());
        (0..).zip(code.iter()).all(byte)
    };
    let mut returns = returns;
    RETURNS.iter().find(|code| returns(code))?;
    let context = known[RSP]?.checked_add(MCONTEXT)?;
    let mut registers = *known;
    for (at, number) in (0..).zip(ORDER) {
        registers[number] = Some(stack.word(context.wrapping_add(8 * at)).ok()?);
    }
    Some(registers)
}

//! The end of a stack that `makecontext` has made.
//!
//! glibc has the context's function return to the first byte of `__start_context`, which no call stands before, so no unwind information
//! covers it as a caller. Its first instructions are known (`sysdeps/unix/sysv/linux/x86_64/__start_context.S`): nothing is below them, they
//! go on with another context.

use super::Stack;

/// `mov %rbx,%rsp; mov (%rsp),%rdi; test %rdi,%rdi`
const START: [u8; 10] = [0x48, 0x89, 0xdc, 0x48, 0x8b, 0x3c, 0x24, 0x48, 0x85, 0xff];

/// Whether a call that returns to `pc` is a context's function.
pub(super) fn starts(pc: u64, stack: &mut Stack<'_>) -> bool {
    let same = |(at, byte): (u64, &u8)| stack.value(pc.wrapping_add(at), 1) == Ok((*byte).into());
    (0..).zip(&START).all(same)
}

//! What lies on a stack beyond the last frame that is known.
//!
//! Code without unwind information (musl's, hand-written assembly, what a program generates for itself) hides who called it, but not
//! where that is written: a caller's return address lies above the stack pointer, on the same stack. So every word from there to the
//! stack's end is taken for one. Where none leads into code that changes, no frame is inside of it, whatever the frames are. Where one
//! does, it may be a remain: then the thread is busy for longer than it had to be, and never free too early. The tempting wrong way is
//! that of debuggers: to guess the next frame, and go on from there.
//!
//! It holds on the stack that the thread was given alone. On any other one (of a coroutine, of a signal handler) the code that is not
//! known may be what came there, and the callers are elsewhere.

use std::ops::Range;

use crate::process::read::maps::Maps;
use crate::process::read::memory::{ReadMemory, read_u64};
use crate::process::touch::registers::Registers;
use crate::process::touch::unwind::{Beyond, Frame};

const WORD: u64 = 8;

/// More than this is read of no stack, in bytes: the usual limit of a main thread's.
const MOST: u64 = 8 << 20;

/// What a thread's own stack is known by.
pub(super) struct Owner<'a> {
    /// Whether the process began with it.
    pub(super) is_first: bool,
    pub(super) registers: &'a Registers,
}

/// The first thing that a word beyond leads into, or none if no word does. An error where it is not known where callers would be.
pub(super) fn leads_into<'b>(
    beyond: &Beyond,
    owner: &Owner<'_>,
    maps: &Maps,
    memory: &dyn ReadMemory,
    inside: impl Fn(&Frame) -> Option<&'b str>,
) -> Result<Option<&'b str>, NotItsOwn> {
    let range = until_end(beyond.sp, owner, maps, memory).ok_or(NotItsOwn)?;
    let mut bytes = vec![0; (range.end - range.start) as usize];
    memory
        .read(range.start, &mut bytes)
        .map_err(|_| NotItsOwn)?;
    let (words, _) = bytes.as_chunks::<{ WORD as usize }>();
    let words = words.iter().map(|word| u64::from_le_bytes(*word));
    // What was called may have taken its return address from the stack.
    let mut all = words.chain(beyond.registers.iter().copied());
    let returns_to = |pc| Frame {
        pc,
        exact: false,
        cfa: 0,
    };
    Ok(all.find_map(|word| inside(&returns_to(word))))
}

/// The stack is not the thread's own, or not there.
pub(super) struct NotItsOwn;

/// From an address of a thread's own stack to where that began: the kernel names the stack of the first, and above those of the others
/// lies what the C library keeps of a thread, which begins with its own address (glibc, musl). How far down it reaches does not
/// matter: what else lies in between is looked at, too. So it holds for threads and stacks that the mappings do not know yet.
fn until_end(
    sp: u64,
    owner: &Owner<'_>,
    maps: &Maps,
    memory: &dyn ReadMemory,
) -> Option<Range<u64>> {
    let end = if owner.is_first {
        let named = maps.iter().find(|it| it.path.as_os_str() == "[stack]")?;
        named.range.end
    } else {
        let record = owner.registers.thread_pointer();
        let is_record = read_u64(memory, record).is_ok_and(|it| it == record);
        is_record.then_some(record)?
    };
    let is_near = end.checked_sub(sp).is_some_and(|size| size <= MOST);
    (is_near && sp.is_multiple_of(WORD)).then_some(sp..end)
}

//! Both objects of a diff at once, where nothing else keeps the processors busy.
//!
//! A worker of a pool that diffs many pairs does its own halves one after the other. The tempting wrong way is
//! `rayon::join` everywhere: a worker whose other half was taken by somebody begins another pair while it waits, on top
//! of this one on its stack, there the next one, and so on until the stack is full.

/// What both closures return; at the same time unless this is a worker's thread.
pub(crate) fn both<A: Send, B: Send>(
    one: impl FnOnce() -> A + Send,
    other: impl FnOnce() -> B + Send,
) -> (A, B) {
    match rayon::current_thread_index() {
        Some(_) => (one(), other()),
        None => rayon::join(one, other),
    }
}

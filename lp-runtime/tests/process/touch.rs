//! What is done to a process.

mod registers;
mod sleepers;
mod stopping;
mod support;
mod syscalls;
mod unwinding;

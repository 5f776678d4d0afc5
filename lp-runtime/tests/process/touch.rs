//! What is done to a process.

mod journal;
mod registers;
mod sleepers;
mod stopping;
mod support;
mod switching;
mod syscalls;
mod unwinding;

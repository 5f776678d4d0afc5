//! What touches a process, from a thread of its own whose end lets it go in any case.
//!
//! | module | does |
//! |---|---|
//! | [`threads`], `ptrace` | stops every thread, and lets them go as if nothing had been |
//! | [`registers`], [`syscall`], [`call`] | has a thread do something for us, with its registers as before |
//! | [`mod@write`] | writes as the process may, and reads it back |
//! | [`unwind`], [`check`] | what every stack is inside of, and who is in the way |
//! | [`jump`] | the five bytes at an entry |

pub mod call;
pub mod check;
pub mod jump;
pub(in crate::process) mod ptrace;
pub mod registers;
pub mod syscall;
pub mod threads;
pub mod unwind;
pub mod write;

//! The process side against real programs, compiled and started by the tests: one test binary, a file per thing that is
//! done. `read` changes nothing in a process, `touch` does.

mod patch;
mod per_thread;
mod program;

mod ctl;
mod hostile;
mod late;
mod read;
mod scenarios;
mod session;
mod suspended;
mod touch;

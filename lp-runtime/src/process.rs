//! A running process as a target.
//!
//! | folder | is about |
//! |---|---|
//! | [`read`] | what a process is: who it is, what is mapped, its ELF objects with their symbols |
//! | [`prepare`] | a patch made ready for one process, or all the reasons why not; nothing is touched yet |
//! | [`touch`] | a process is stopped, its stacks are read, its code is written |
//! | [`kept`] | what is installed is kept in the process, and each step is announced there |
//! | [`late`] | objects that come and go while a patch is installed |
//! | [`per_thread`] | each thread switches when its own stack allows it |
//!
//! Over all of them: `live` is a process as lp-klp's target, whose threads switch together; `install` and `remove` are a patch on its way in
//! and out; `suspended` finds who may come back to code that goes, and `staying` is what had to stay therefore; [`session`] is what users
//! of the library see.

pub mod kept;
pub mod late;
pub mod prepare;
pub mod read;
pub mod touch;

pub mod error;
mod install;
mod live;
pub mod per_thread;
mod remove;
pub mod session;
mod staying;
mod suspended;

pub use error::ProcessError;
pub use late::catch_up::Happened;
pub use late::presence::{Standing, State};
pub use late::watch::{Ended, WatchError, Watched};
pub use per_thread::status::{Left, Underway};
pub use session::{Consistency, Done, Options, Process};

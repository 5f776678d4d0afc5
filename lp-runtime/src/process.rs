//! A running process as a target.
//!
//! Everything is found out before anything is touched: who it is ([`identity`]), what is mapped ([`maps`]), which ELF
//! objects that are ([`images`], [`image`]) with their symbols ([`symbols`], [`dynamic`]). Memory is read
//! through [`memory::ReadMemory`], so that what reads it can be tried on bytes. A patch ([`patch_file`]) is laid out by the
//! objects that it is for ([`groups`], [`layout`]), its symbols are resolved as those objects see them ([`resolve`]), a place
//! is chosen ([`place`]), and its bytes are finished on our side ([`relocate`]). Whether a jump may be written at a function's
//! start is [`entry`]'s question. [`plan`] puts it all together: what is to be done, or all the reasons why not.
//!
//! Then it is touched: [`threads`] stops it, [`unwind`] knows what runs, [`syscall`] and [`call`] have a thread do something for us
//! with its [`registers`] as before, [`write`] writes. [`check`] says who is in the way of a [`jump`]. What is installed is kept in
//! the process ([`control`]), and each step is announced there, so that the next loader can end what a killed one began ([`journal`]).
//! All threads switch at once, or each when its own stack allows it ([`per_thread`]).
//!
//! Objects may come and go at any time: who comes next finds out ([`presence`]) and makes up for it ([`catch_up`]); a
//! watcher that stays patches them before they run ([`watch`]).

pub mod area;
pub mod branches;
pub mod dynamic;
pub mod eh_frame;
pub mod elf;
pub mod entry;
pub mod groups;
pub mod identity;
pub mod image;
pub mod images;
pub mod layout;
pub mod maps;
pub mod memory;
pub mod patch_file;
pub mod place;
pub mod plan;
pub mod relocate;
pub mod relocation;
pub mod resolve;
pub mod symbols;

pub mod call;
pub mod check;
pub mod control;
pub mod journal;
pub mod jump;
mod ptrace;
pub mod registers;
pub mod syscall;
pub mod threads;
pub mod unwind;
pub mod write;

pub mod catch_up;
mod coming;
pub mod error;
mod going;
mod install;
mod inventory;
mod live;
mod lock;
mod mapped;
pub mod per_thread;
pub mod presence;
mod recorded;
mod remove;
pub mod session;
mod start;
pub mod trust;
pub mod watch;

pub use catch_up::Happened;
pub use error::ProcessError;
pub use per_thread::status::{Left, Underway};
pub use presence::{Standing, State};
pub use session::{Consistency, Done, Options, Process};
pub use watch::{Ended, WatchError, Watched};

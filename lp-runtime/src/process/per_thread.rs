//! Threads that switch one by one, as the kernel's tasks do: for programs with a thread that never leaves a patched function.
//!
//! While the transition lasts each entry that changes leads to a [`trampoline`], which sends every thread to the version that it
//! runs; the old code is called by its first instructions, [`moved`]. A thread switches when none of the versions that it would leave is
//! on its stack. The rules are the livepatch core's (`lp_klp::transition`), whose tasks the threads are. A transition is in
//! the process's own memory, in each thread's `gs` base and in the control area: it may outlast the loader that began it, the next one
//! goes on with it, turns it back or forces it, and a child of the process has it, too.
//!
//! ```text
//! planted ── rounds: threads switch ──► all switched ──► callbacks ──► settled: direct jumps, no cells, no trampolines
//!    ▲                                                                      
//!    └─ one stop in which nobody is inside the bytes of a jump
//! ```
//!
//! Killed between the end of the rounds and the note that all have switched, the callbacks at the end may run again.

mod cells;
mod changes;
mod drive;
pub mod moved;
mod plant;
mod session;
pub mod status;
mod target;
pub mod trampoline;

pub(super) use drive::{load, rehearse};
pub(super) use session::{leave, refuse_another_transition};

use crate::process::kept::control::{Contents, Direction, Transition};

impl Transition {
    /// What is installed when it has ended.
    fn settle(&self, contents: &mut Contents) {
        let ours = contents.patch(&self.patch);
        let replaces = ours
            .and_then(|it| it.described())
            .is_some_and(|it| it.replace);
        let replaced = self.patched && self.began == Direction::Load && replaces;
        for patch in &mut contents.patches {
            let goes = if patch.name == self.patch {
                !self.patched
            } else {
                replaced
            };
            patch.enabled &= !goes;
        }
    }
}

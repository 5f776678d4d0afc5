//! What is patched, seen from the livepatch core: a running kernel's model, a process, a simulation.
//!
//! The core decides what happens and in which order; a target only does it. The tempting wrong way is to let each
//! target keep its own idea of which patch is on top: two sets of rules would drift apart.

use crate::core::KlpFunc;
use crate::errno::Errno;
use crate::name::ObjName;
use crate::patch::Version;
use crate::state::States;
use crate::transition::PatchState;
use serde::{Deserialize, Serialize};
use std::fmt::{self, Debug};

/// When a callback runs (`struct klp_callbacks`, `include/linux/livepatch.h`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Callback {
    /// Before an object is patched; an error stops the enabling.
    PrePatch,
    /// After all tasks run the patched code.
    PostPatch,
    /// Before an object is unpatched.
    PreUnpatch,
    /// After no task runs the patched code any more.
    PostUnpatch,
}

impl Callback {
    /// All of them, in the order of a patch's life.
    pub const ALL: [Self; 4] = [
        Self::PrePatch,
        Self::PostPatch,
        Self::PreUnpatch,
        Self::PostUnpatch,
    ];

    /// The kernel's name of it.
    pub fn name(self) -> &'static str {
        match self {
            Self::PrePatch => "pre_patch",
            Self::PostPatch => "post_patch",
            Self::PreUnpatch => "pre_unpatch",
            Self::PostUnpatch => "post_unpatch",
        }
    }
}

impl fmt::Display for Callback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Something whose functions can be redirected while it runs.
pub trait Target {
    /// The entry of a function.
    type Site: Copy + Ord + Debug;
    /// Something with a stack of its own: a task, a thread.
    type Task: Copy + Ord + Debug;

    /// Whether an object is there now (`klp_find_object_module`). `vmlinux` always is.
    fn is_loaded(&self, object: &ObjName) -> bool;

    /// Finds the function to be redirected (`klp_find_object_symbol`).
    ///
    /// # Errors
    /// EINVAL where it does not exist, or where it is not unique and no position is given.
    fn find(&mut self, object: &ObjName, func: &KlpFunc) -> Result<Self::Site, Errno>;

    /// Redirects a function; `stack` are its versions from the oldest to the one just added (`klp_patch_func`).
    ///
    /// # Errors
    /// Where the function cannot be redirected; it is then as it was.
    fn patch_func(&mut self, site: Self::Site, stack: &[Version]) -> Result<(), Errno>;

    /// Takes a version off; `stack` are those that stay, maybe none (`klp_unpatch_func`).
    fn unpatch_func(&mut self, site: Self::Site, stack: &[Version]);

    /// Runs a callback if the patch has it; `states` are the system states as the callback may ask for them.
    ///
    /// # Errors
    /// Only that of [`Callback::PrePatch`] has a meaning.
    fn callback(
        &mut self,
        callback: Callback,
        patch: &str,
        object: &ObjName,
        states: &mut States<'_>,
    ) -> Result<(), Errno>;

    /// All tasks that there are now.
    fn tasks(&mut self) -> Vec<Self::Task>;

    /// The side that a task is on, where the target itself keeps it (`task->patch_state`): a task that began unseen is as
    /// its parent was (`klp_copy_process`). None: the core keeps it.
    fn patch_state(&mut self, _task: Self::Task) -> Option<PatchState> {
        None
    }

    /// Whether none of these versions is on a task's stack, which can be trusted (`klp_check_stack`).
    fn may_switch(&mut self, task: Self::Task, busy: &[(Self::Site, Version)]) -> bool;

    /// From now on a task is on this side of the transition.
    fn switch(&mut self, task: Self::Task, to: PatchState);

    /// Returns when no task can still see what was just taken away (`klp_synchronize_transition`).
    fn synchronize(&mut self) {}
}

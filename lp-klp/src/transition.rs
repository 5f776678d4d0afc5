//! The transition: tasks go over to the other side one by one, each when it is in none of the functions concerned.
//!
//! There is one transition at a time. It can be reversed while it runs, and forced at the cost of the consistency
//! that it is there for. The rules are `kernel/livepatch/transition.c` (6.1). The tempting wrong way is to wait
//! until all tasks are safe at once: on a busy machine that moment never comes.

use crate::core::Klp;
use crate::errno::Errno;
use crate::patch::{PatchId, Version};
use crate::target::{Callback, Target};
use std::collections::BTreeMap;

/// On which side of a transition a task is (`task->patch_state`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PatchState {
    /// It does not run the patch in transition (`KLP_UNPATCHED`).
    Unpatched,
    /// It runs it (`KLP_PATCHED`).
    Patched,
}

impl PatchState {
    /// The other one.
    pub fn reversed(self) -> Self {
        match self {
            Self::Unpatched => Self::Patched,
            Self::Patched => Self::Unpatched,
        }
    }
}

/// The transition that is under way (`klp_transition_patch`, `klp_target_state`).
#[derive(Debug, Clone)]
pub struct Transition<T> {
    /// The patch that is enabled or disabled.
    pub patch: PatchId,
    /// Where tasks are going.
    pub target: PatchState,
    tasks: BTreeMap<T, PatchState>,
}

impl<T: Copy + Ord> Transition<T> {
    /// All tasks start on the other side (`klp_init_transition`).
    pub(crate) fn new(patch: PatchId, target: PatchState, tasks: Vec<T>) -> Self {
        let from = target.reversed();
        Self {
            patch,
            target,
            tasks: tasks.into_iter().map(|task| (task, from)).collect(),
        }
    }

    /// One that an earlier run of the program began.
    pub(crate) fn resumed(
        patch: PatchId,
        target: PatchState,
        tasks: BTreeMap<T, PatchState>,
    ) -> Self {
        Self {
            patch,
            target,
            tasks,
        }
    }

    /// The side that a task is on. A task that nobody has seen is one that has just begun: it has nothing of the old
    /// code on its stack.
    pub fn state(&self, task: T) -> PatchState {
        self.tasks.get(&task).copied().unwrap_or(self.target)
    }

    /// The tasks that have not switched yet.
    pub fn remaining(&self) -> impl Iterator<Item = T> {
        self.tasks
            .iter()
            .filter(|(_, state)| **state != self.target)
            .map(|(task, _)| *task)
    }

    /// A task begins as its parent is (`klp_copy_process`).
    pub fn copy_process(&mut self, parent: T, child: T) {
        self.tasks.insert(child, self.state(parent));
    }

    pub(crate) fn switch(&mut self, task: T) {
        self.tasks.insert(task, self.target);
    }

    /// Forgets tasks that are gone.
    pub(crate) fn keep(&mut self, tasks: &[T]) {
        self.tasks.retain(|task, _| tasks.contains(task));
    }

    /// Turns round (`klp_reverse_transition`).
    pub(crate) fn reverse(&mut self) {
        self.target = self.target.reversed();
    }
}

impl<T: Target> Klp<T> {
    /// Sends the tasks that are left to the other side, safe or not (`force_store`, `klp_force_transition`). The
    /// modules that some task may still run must stay for ever. The next [`Self::try_complete_transition`] ends it.
    ///
    /// # Errors
    /// ENOENT: it is not installed. EINVAL: it is not in transition.
    pub fn write_force(&mut self, name: &str) -> Result<(), Errno> {
        let found = self
            .patches
            .iter()
            .find(|installed| installed.patch.name == name);
        let id = found.map(|installed| installed.id).ok_or(Errno::ENOENT)?;
        let Some(transition) = self
            .transition
            .as_mut()
            .filter(|transition| transition.patch == id)
        else {
            return Err(Errno::EINVAL);
        };
        for task in transition.remaining().collect::<Vec<_>>() {
            transition.switch(task);
            self.target.switch(task, transition.target);
        }
        let disabling = transition.target == PatchState::Unpatched;
        let replaces = self.installed(id).patch.replace;
        for installed in &mut self.patches {
            let left = if disabling {
                installed.id == id
            } else {
                replaces && installed.id != id
            };
            installed.forced |= left;
        }
        Ok(())
    }

    /// Tries each task that is left, and ends the transition when none is (`klp_try_complete_transition`). Returns
    /// whether there is no transition any more. The kernel does this every second.
    pub fn try_complete_transition(&mut self) -> bool {
        let Some(id) = self.transition.as_ref().map(|transition| transition.patch) else {
            return true;
        };
        let busy = self.busy(id);
        self.see_tasks();
        if let Some(transition) = &mut self.transition {
            for task in transition.remaining().collect::<Vec<_>>() {
                if self.target.may_switch(task, &busy) {
                    transition.switch(task);
                    self.target.switch(task, transition.target);
                }
            }
            if transition.remaining().next().is_some() {
                return false;
            }
        }
        self.complete_transition();
        self.free_patches(id);
        true
    }

    /// The tasks that are left and could not switch now. None of them is switched.
    pub fn holding_up(&mut self) -> Vec<T::Task> {
        let Some(id) = self.transition.as_ref().map(|transition| transition.patch) else {
            return Vec::new();
        };
        let busy = self.busy(id);
        self.see_tasks();
        let left = self.transition.iter().flat_map(Transition::remaining);
        let left: Vec<T::Task> = left.collect();
        let mut may_switch = |task: &T::Task| self.target.may_switch(*task, &busy);
        left.into_iter().filter(|task| !may_switch(task)).collect()
    }

    /// Looks which tasks there are, and on which side, where the target keeps that.
    pub fn see_tasks(&mut self) {
        let tasks = self.target.tasks();
        if let Some(transition) = &mut self.transition {
            transition.keep(&tasks);
            for task in tasks {
                if let Some(state) = self.target.patch_state(task) {
                    transition.tasks.insert(task, state);
                }
            }
        }
    }

    /// `klp_init_transition`.
    pub(crate) fn init_transition(&mut self, id: PatchId, target: PatchState) {
        let tasks = self.target.tasks();
        for task in &tasks {
            self.target.switch(*task, target.reversed());
        }
        self.transition = Some(Transition::new(id, target, tasks));
        self.mark_transition(id, true);
    }

    /// Undoes an enabling that did not get as far as its tasks (`klp_cancel_transition`).
    pub(crate) fn cancel_transition(&mut self) {
        if let Some(transition) = &mut self.transition {
            transition.target = PatchState::Unpatched;
        }
        self.complete_transition();
    }

    /// `klp_reverse_transition`.
    pub(crate) fn reverse_transition(&mut self) {
        let Some(transition) = &mut self.transition else {
            return;
        };
        transition.reverse();
        let id = transition.patch;
        self.target.synchronize();
        let installed = self.installed_mut(id);
        installed.enabled = !installed.enabled;
    }

    /// `klp_complete_transition`.
    fn complete_transition(&mut self) {
        let Some((id, target)) = self
            .transition
            .as_ref()
            .map(|transition| (transition.patch, transition.target))
        else {
            return;
        };
        match target {
            PatchState::Patched if self.installed(id).patch.replace => self.unpatch_replaced(id),
            PatchState::Patched => {}
            PatchState::Unpatched => {
                self.unpatch_objects(id, false);
                self.target.synchronize();
            }
        }
        self.mark_transition(id, false);
        self.target.synchronize();
        for index in 0..self.installed(id).objects.len() {
            if !self.object_mut(id, index).loaded {
                continue;
            }
            match target {
                PatchState::Patched => drop(self.call(Callback::PostPatch, id, index)),
                PatchState::Unpatched => self.post_unpatch(id, index),
            }
        }
        self.transition = None;
    }

    /// `klp_unpatch_replaced_patches`, then `klp_discard_nops`: in this order, or a nop's function would run an old
    /// patch again.
    fn unpatch_replaced(&mut self, id: PatchId) {
        for old in self.older(id) {
            self.installed_mut(old).enabled = false;
            self.unpatch_objects(old, false);
        }
        self.unpatch_objects(id, true);
        self.installed_mut(id).drop_nops();
    }

    fn unpatch_objects(&mut self, id: PatchId, nops_only: bool) {
        for index in 0..self.installed(id).objects.len() {
            if self.object_mut(id, index).patched {
                self.unpatch_object(id, index, nops_only);
            }
        }
    }

    /// What has no use any more is forgotten: a disabled patch, those that a new one replaced.
    fn free_patches(&mut self, id: PatchId) {
        let installed = self.installed(id);
        let gone = match (installed.enabled, installed.patch.replace) {
            (false, _) => vec![id],
            (true, true) => self.older(id),
            (true, false) => Vec::new(),
        };
        for id in gone {
            self.forget(id);
        }
    }

    fn older(&self, id: PatchId) -> Vec<PatchId> {
        self.patches
            .iter()
            .map(|installed| installed.id)
            .take_while(|old| *old != id)
            .collect()
    }

    pub(crate) fn mark_transition(&mut self, id: PatchId, transition: bool) {
        let objects = self
            .patches
            .iter()
            .filter(|installed| installed.id == id)
            .flat_map(|found| &found.objects);
        for site in objects
            .flat_map(|object| &object.funcs)
            .filter_map(|func| func.site)
        {
            self.stacks.set_transition(site, id, transition);
        }
    }

    /// The versions that a task must not be in: those that it would leave (`klp_check_stack_func`).
    fn busy(&self, id: PatchId) -> Vec<(T::Site, Version)> {
        let target = self.transition.as_ref().map(|transition| transition.target);
        let patched = self
            .installed(id)
            .objects
            .iter()
            .filter(|object| object.patched);
        let funcs = patched.flat_map(|object| &object.funcs);
        let leaves = |func: &crate::core::InstalledFunc<T::Site>| {
            let site = func.site?;
            Some((
                site,
                match target {
                    Some(PatchState::Unpatched) if func.nop => Version::Original,
                    Some(PatchState::Unpatched) => Version::Patched(func.id),
                    _ => self.stacks.below(site, func.id),
                },
            ))
        };
        funcs.filter_map(leaves).collect()
    }
}

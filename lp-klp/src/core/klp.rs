//! The livepatch core at work: enabling, disabling, replacing, and modules that come and go.
//!
//! Each operation does what `kernel/livepatch/core.c` (6.1) does, in its order, and returns its errno. Patches are
//! ordered from the oldest to the newest. The tempting wrong way is to undo a replace by enabling the old patches
//! again: the kernel never enables a patch twice.

use super::{Installed, KlpPatch};
use crate::errno::Errno;
use crate::name::{MODULE_NAME_LEN, ObjName};
use crate::patch::{Entry, FuncStacks, PatchId, Version};
use crate::rules::Rules;
use crate::state::{StateData, incompatibilities};
use crate::target::{Callback, Target};
use crate::transition::{PatchState, Transition};

/// A target with the patches that are installed on it.
#[derive(Debug)]
pub struct Klp<T: Target> {
    /// What is patched.
    pub target: T,
    rules: Rules,
    pub(crate) patches: Vec<Installed<T::Site>>,
    pub(crate) stacks: FuncStacks<T::Site>,
    pub(crate) transition: Option<Transition<T::Task>>,
    pinned: Vec<String>,
    next: u64,
}

impl<T: Target> Klp<T> {
    /// A target on which nothing is installed.
    pub fn new(target: T, rules: Rules) -> Self {
        Self {
            target,
            rules,
            patches: Vec::new(),
            stacks: FuncStacks::default(),
            transition: None,
            pinned: Vec::new(),
            next: 0,
        }
    }

    /// The installed patches, from the oldest to the newest (sysfs `stack_order`).
    pub fn patches(&self) -> &[Installed<T::Site>] {
        &self.patches
    }

    /// The transition that is under way.
    pub fn transition(&self) -> Option<&Transition<T::Task>> {
        self.transition.as_ref()
    }

    /// Whether a patch's module cannot be unloaded: it is installed, or was forced out.
    pub fn is_pinned(&self, name: &str) -> bool {
        let installed = self.patches.iter().map(|installed| &installed.patch.name);
        installed.chain(&self.pinned).any(|pinned| pinned == name)
    }

    /// The functions that are redirected.
    pub fn stacks(&self) -> &FuncStacks<T::Site> {
        &self.stacks
    }

    /// What a task runs that calls a function now.
    pub fn runs(&self, site: T::Site, task: T::Task) -> Version {
        let state = self
            .transition
            .as_ref()
            .map(|transition| transition.state(task));
        self.stacks.runs(site, state.unwrap_or(PatchState::Patched))
    }

    /// Installs a patch and starts the transition to it (`klp_enable_patch`).
    ///
    /// # Errors
    /// EINVAL: malformed, not compatible with the states of the installed patches, or a function cannot be found or
    /// redirected. EBUSY: a transition is under way. EEXIST: two things of one name. Else what pre_patch answered.
    pub fn enable_patch(&mut self, patch: KlpPatch) -> Result<PatchId, Errno> {
        let installed = self.patches.iter().map(|installed| &installed.patch);
        if !incompatibilities(&patch, installed).is_empty() {
            return Err(Errno::EINVAL);
        }
        let id = PatchId(self.next);
        self.next += 1;
        let installed = self.init_patch(id, patch)?;
        self.patches.push(installed);
        match self.start_enabling(id) {
            Ok(()) => Ok(id),
            Err(errno) => {
                self.patches.retain(|installed| installed.id != id);
                Err(errno)
            }
        }
    }

    /// Takes over a patch that an earlier run of the program installed: its functions are redirected already, so that no
    /// callback runs and the target changes nothing. To be called in the order in which they were installed, before
    /// anything else.
    ///
    /// # Errors
    /// As [`Self::enable_patch`] for what cannot be found. EBUSY: a transition is under way.
    pub fn adopt(&mut self, patch: KlpPatch, data: StateData) -> Result<PatchId, Errno> {
        if self.transition.is_some() {
            return Err(Errno::EBUSY);
        }
        let mut installed = Installed::new(PatchId(self.next), patch);
        self.init_objects(&mut installed)?;
        Ok(self.take_over(installed, data))
    }

    /// Takes over a transition that an earlier run of the program began: `target` is where its tasks go. A patch that is not
    /// among those adopted is one that was being enabled, over them.
    ///
    /// # Errors
    /// As [`Self::adopt`].
    pub fn adopt_transition(
        &mut self,
        patch: KlpPatch,
        data: StateData,
        target: PatchState,
    ) -> Result<PatchId, Errno> {
        if self.transition.is_some() {
            return Err(Errno::EBUSY);
        }
        let mut adopted = self.patches.iter();
        let id = match adopted.find(|it| it.patch.name == patch.name) {
            Some(installed) => installed.id,
            None => {
                let installed = self.init_patch(PatchId(self.next), patch)?;
                self.take_over(installed, data)
            }
        };
        let tasks = self.target.tasks().into_iter();
        let states = tasks.map(|task| {
            let state = self.target.patch_state(task);
            (task, state.unwrap_or(target.reversed()))
        });
        let states = states.collect();
        self.transition = Some(Transition::resumed(id, target, states));
        self.mark_transition(id, true);
        self.installed_mut(id).enabled = target == PatchState::Patched;
        Ok(id)
    }

    fn take_over(&mut self, mut installed: Installed<T::Site>, data: StateData) -> PatchId {
        let id = installed.id;
        self.next += 1;
        for object in installed.objects.iter_mut().filter(|object| object.loaded) {
            object.patched = true;
            object.post_unpatch_enabled = true;
            for func in &mut object.funcs {
                let Some(site) = func.site else { continue };
                let entry = Entry {
                    func: func.id,
                    nop: func.nop,
                    transition: false,
                };
                self.stacks.push(site, entry);
                func.patched = true;
            }
        }
        installed.enabled = true;
        installed.data = data;
        self.patches.push(installed);
        id
    }

    /// The number that the next patch gets.
    pub fn next_id(&self) -> PatchId {
        PatchId(self.next)
    }

    /// Writes to a patch's `enabled` file (`enabled_store`): disables it, or reverses its transition.
    ///
    /// # Errors
    /// ENOENT: it is not installed. EINVAL: it is so already, or was disabled for good. EBUSY: another transition is
    /// under way.
    pub fn write_enabled(&mut self, name: &str, enabled: bool) -> Result<(), Errno> {
        let found = self
            .patches
            .iter()
            .find(|installed| installed.patch.name == name);
        let (id, is_enabled) = found
            .map(|found| (found.id, found.enabled))
            .ok_or(Errno::ENOENT)?;
        if is_enabled == enabled {
            return Err(Errno::EINVAL);
        }
        match &self.transition {
            Some(transition) if transition.patch == id => self.reverse_transition(),
            _ if enabled => return Err(Errno::EINVAL),
            Some(_) => return Err(Errno::EBUSY),
            None => self.start_disabling(id),
        }
        Ok(())
    }

    fn init_patch(&mut self, id: PatchId, patch: KlpPatch) -> Result<Installed<T::Site>, Errno> {
        if self
            .patches
            .iter()
            .any(|installed| installed.patch.name == patch.name)
        {
            return Err(Errno::EEXIST);
        }
        let mut installed = Installed::new(id, patch);
        if installed.patch.replace {
            self.add_nops(&mut installed);
        }
        self.init_objects(&mut installed)?;
        Ok(installed)
    }

    /// Finds what is there of a patch's objects (`klp_init_object`).
    fn init_objects(&mut self, installed: &mut Installed<T::Site>) -> Result<(), Errno> {
        let mut names: Vec<&ObjName> = Vec::new();
        for object in &mut installed.objects {
            object.loaded = self.target.is_loaded(&object.name);
            if object.name.as_str().len() >= MODULE_NAME_LEN {
                return Err(Errno::EINVAL);
            }
            if names.contains(&&object.name) || object.has_two_folders() {
                return Err(Errno::EEXIST);
            }
            for func in object.funcs.iter_mut().filter(|_| object.loaded) {
                func.site = Some(self.target.find(&object.name, &func.func)?);
            }
            names.push(&object.name);
        }
        Ok(())
    }

    /// What older patches redirect and this one does not goes back to the original (`klp_add_nops`). An object that older
    /// patches have for its callbacks alone comes along, too, until the transition ends.
    fn add_nops(&self, new: &mut Installed<T::Site>) {
        for old in self.patches.iter().flat_map(|installed| &installed.objects) {
            new.add_object(&old.name);
            for func in &old.funcs {
                let same = |ours: &super::KlpFunc| {
                    ours.old_name == func.func.old_name
                        && self.rules.same_sympos(ours.sympos, func.func.sympos)
                };
                let there = new.objects.iter().filter(|object| object.name == old.name);
                if !there
                    .flat_map(|object| &object.funcs)
                    .any(|ours| same(&ours.func))
                {
                    new.add_nop(&old.name, func.func.clone());
                }
            }
        }
    }

    /// `__klp_enable_patch`.
    fn start_enabling(&mut self, id: PatchId) -> Result<(), Errno> {
        if self.transition.is_some() {
            return Err(Errno::EBUSY);
        }
        self.init_transition(id, PatchState::Patched);
        for index in 0..self.installed(id).objects.len() {
            if !self.object_mut(id, index).loaded {
                continue;
            }
            let patched = self
                .pre_patch(id, index)
                .and_then(|()| self.patch_object(id, index));
            if let Err(errno) = patched {
                self.cancel_transition();
                return Err(errno);
            }
        }
        self.installed_mut(id).enabled = true;
        self.try_complete_transition();
        Ok(())
    }

    /// `__klp_disable_patch`.
    fn start_disabling(&mut self, id: PatchId) {
        self.init_transition(id, PatchState::Unpatched);
        for index in 0..self.installed(id).objects.len() {
            if self.object_mut(id, index).patched {
                let _ = self.call(Callback::PreUnpatch, id, index);
            }
        }
        self.installed_mut(id).enabled = false;
        self.try_complete_transition();
    }

    pub(crate) fn installed(&self, id: PatchId) -> &Installed<T::Site> {
        let at = self.patches.partition_point(|installed| installed.id < id);
        &self.patches[at]
    }

    pub(crate) fn installed_mut(&mut self, id: PatchId) -> &mut Installed<T::Site> {
        let at = self.patches.partition_point(|installed| installed.id < id);
        &mut self.patches[at]
    }

    /// It is not installed any more (`klp_free_patch_start`); its module may go, unless the patch was forced out.
    pub(crate) fn forget(&mut self, id: PatchId) {
        if let Some(at) = self.patches.iter().position(|installed| installed.id == id) {
            let gone = self.patches.remove(at);
            if gone.forced {
                self.pinned.push(gone.patch.name);
            }
        }
    }

    pub(super) fn is_in_transition(&self, id: PatchId) -> bool {
        self.transition
            .as_ref()
            .is_some_and(|transition| transition.patch == id)
    }
}

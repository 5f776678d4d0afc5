//! One object of a patch at a time: redirecting its functions, running its callbacks, and modules that come and go.
//!
//! The rules are `klp_patch_object` and `klp_unpatch_object` of `kernel/livepatch/patch.c`, `klp_module_coming` and
//! `klp_module_going` of `core.c`, and the callback helpers of `core.h` (6.1). The tempting wrong way is to patch a
//! module after it started: its functions would have run unpatched.

use super::{InstalledObject, Klp};
use crate::errno::Errno;
use crate::name::ObjName;
use crate::patch::{Entry, PatchId};
use crate::state::States;
use crate::target::{Callback, Target};

impl<T: Target> Klp<T> {
    /// A module has been loaded and is about to start (`klp_module_coming`).
    ///
    /// # Errors
    /// The module is refused, with this error, when one of its patches cannot be applied.
    pub fn module_coming(&mut self, module: &ObjName) -> Result<(), Errno> {
        let ids: Vec<PatchId> = self.patches.iter().map(|installed| installed.id).collect();
        for id in ids {
            let Some(index) = self.object_index(id, module) else {
                continue;
            };
            if let Err(errno) = self.patch_coming(id, index) {
                self.object_mut(id, index).loaded = false;
                self.cleanup_module(module, Some(id));
                return Err(errno);
            }
        }
        Ok(())
    }

    /// A module goes (`klp_module_going`).
    pub fn module_going(&mut self, module: &ObjName) {
        self.cleanup_module(module, None);
    }

    fn patch_coming(&mut self, id: PatchId, index: usize) -> Result<(), Errno> {
        self.object_mut(id, index).loaded = true;
        self.find_object(id, index)?;
        self.pre_patch(id, index)?;
        if let Err(errno) = self.patch_object(id, index) {
            self.post_unpatch(id, index);
            return Err(errno);
        }
        if !self.is_in_transition(id) {
            let _ = self.call(Callback::PostPatch, id, index);
        }
        Ok(())
    }

    /// `klp_cleanup_module_patches_limited`.
    fn cleanup_module(&mut self, module: &ObjName, limit: Option<PatchId>) {
        let ids: Vec<PatchId> = self.patches.iter().map(|installed| installed.id).collect();
        for id in ids.into_iter().take_while(|id| Some(*id) != limit) {
            let Some(index) = self.object_index(id, module) else {
                continue;
            };
            if !self.is_in_transition(id) {
                let _ = self.call(Callback::PreUnpatch, id, index);
            }
            self.unpatch_object(id, index, false);
            self.post_unpatch(id, index);
            let object = self.object_mut(id, index);
            object.loaded = false;
            for func in &mut object.funcs {
                func.site = None;
            }
        }
    }

    fn find_object(&mut self, id: PatchId, index: usize) -> Result<(), Errno> {
        let object = self.object_mut(id, index);
        let name = object.name.clone();
        let funcs: Vec<_> = object.funcs.iter().map(|func| func.func.clone()).collect();
        for (at, func) in funcs.iter().enumerate() {
            let site = self.target.find(&name, func)?;
            self.object_mut(id, index).funcs[at].site = Some(site);
        }
        Ok(())
    }

    /// `klp_patch_object`: all functions of an object or none.
    pub(super) fn patch_object(&mut self, id: PatchId, index: usize) -> Result<(), Errno> {
        let transition = self.is_in_transition(id);
        for at in 0..self.object_mut(id, index).funcs.len() {
            let func = &self.object_mut(id, index).funcs[at];
            let (func, nop, Some(site)) = (func.id, func.nop, func.site) else {
                continue;
            };
            let versions = self.stacks.push(
                site,
                Entry {
                    func,
                    nop,
                    transition,
                },
            );
            if let Err(errno) = self.target.patch_func(site, &versions) {
                self.stacks.remove(site, func);
                self.unpatch_object(id, index, false);
                return Err(errno);
            }
            self.object_mut(id, index).funcs[at].patched = true;
        }
        self.object_mut(id, index).patched = true;
        Ok(())
    }

    /// `__klp_unpatch_object`.
    pub(crate) fn unpatch_object(&mut self, id: PatchId, index: usize, nops_only: bool) {
        for at in 0..self.object_mut(id, index).funcs.len() {
            let func = &mut self.object_mut(id, index).funcs[at];
            if !func.patched || (nops_only && !func.nop) {
                continue;
            }
            func.patched = false;
            let (func, site) = (func.id, func.site);
            if let Some(site) = site {
                let versions = self.stacks.remove(site, func);
                self.target.unpatch_func(site, &versions);
            }
        }
        let object = self.object_mut(id, index);
        if object.dynamic || !nops_only {
            object.patched = false;
        }
    }

    pub(super) fn pre_patch(&mut self, id: PatchId, index: usize) -> Result<(), Errno> {
        let answer = self.call(Callback::PrePatch, id, index);
        self.object_mut(id, index).post_unpatch_enabled = answer.is_ok();
        answer
    }

    pub(crate) fn post_unpatch(&mut self, id: PatchId, index: usize) {
        if self.object_mut(id, index).post_unpatch_enabled {
            // Only pre_patch can say no.
            let _ = self.call(Callback::PostUnpatch, id, index);
        }
        self.object_mut(id, index).post_unpatch_enabled = false;
    }

    pub(crate) fn call(
        &mut self,
        callback: Callback,
        id: PatchId,
        index: usize,
    ) -> Result<(), Errno> {
        let installed = self.installed(id);
        let (patch, object) = (
            installed.patch.name.clone(),
            installed.objects[index].name.clone(),
        );
        let transition = self.transition.as_ref().map(|transition| transition.patch);
        let mut states = States::new(&mut self.patches, id, transition);
        self.target.callback(callback, &patch, &object, &mut states)
    }

    pub(crate) fn object_mut(
        &mut self,
        id: PatchId,
        index: usize,
    ) -> &mut InstalledObject<T::Site> {
        &mut self.installed_mut(id).objects[index]
    }

    fn object_index(&self, id: PatchId, module: &ObjName) -> Option<usize> {
        let mut objects = self.installed(id).objects.iter();
        objects.position(|object| !object.name.is_vmlinux() && object.name == *module)
    }
}

//! A patch that is installed, with what the kernel notes of each of its objects and functions
//! (the dynamic members of `struct klp_patch`, `klp_object` and `klp_func`, `include/linux/livepatch.h`, 6.1).

use super::{KlpFunc, KlpPatch};
use crate::name::ObjName;
use crate::patch::{FuncId, PatchId};
use crate::state::StateData;
use std::collections::BTreeSet;

/// An installed patch.
#[derive(Debug, Clone)]
pub struct Installed<S> {
    /// Its number.
    pub id: PatchId,
    /// What its author wrote.
    pub patch: KlpPatch,
    /// Its objects, those made for nops included.
    pub objects: Vec<InstalledObject<S>>,
    /// Whether tasks are to run it (sysfs `enabled`).
    pub enabled: bool,
    /// Whether its module must stay for ever, since a transition away from it was forced.
    pub forced: bool,
    /// What its callbacks keep with each state (`klp_state.data`).
    pub data: StateData,
    funcs: u32,
}

/// An object of an installed patch.
#[derive(Debug, Clone)]
pub struct InstalledObject<S> {
    /// Its name.
    pub name: ObjName,
    /// Its functions, nops included.
    pub funcs: Vec<InstalledFunc<S>>,
    /// Whether it is there for nops alone.
    pub dynamic: bool,
    /// Whether its functions are redirected (sysfs `patched`).
    pub patched: bool,
    /// Whether the object is there (`obj->mod`).
    pub loaded: bool,
    /// Whether pre_patch went well, so that post_unpatch has something to undo.
    pub post_unpatch_enabled: bool,
}

/// A function of an installed patch.
#[derive(Debug, Clone)]
pub struct InstalledFunc<S> {
    /// Its number.
    pub id: FuncId,
    /// Which one it redirects.
    pub func: KlpFunc,
    /// Whether it leads back to the original code.
    pub nop: bool,
    /// Its entry, once its object is loaded.
    pub site: Option<S>,
    /// Whether it is on its function's stack.
    pub patched: bool,
}

impl<S: Copy> Installed<S> {
    pub(super) fn new(id: PatchId, patch: KlpPatch) -> Self {
        let objects = patch.objects.clone();
        let mut installed = Self {
            id,
            patch,
            objects: Vec::new(),
            enabled: false,
            forced: false,
            data: StateData::default(),
            funcs: 0,
        };
        for object in objects {
            let funcs = object
                .funcs
                .into_iter()
                .map(|func| installed.func(func, false))
                .collect();
            installed
                .objects
                .push(InstalledObject::new(object.name, funcs, false));
        }
        installed
    }

    fn func(&mut self, func: KlpFunc, nop: bool) -> InstalledFunc<S> {
        let id = FuncId {
            patch: self.id,
            number: self.funcs,
        };
        self.funcs += 1;
        InstalledFunc {
            id,
            func,
            nop,
            site: None,
            patched: false,
        }
    }

    /// Adds an object for nops, if there is none of that name (`klp_alloc_object_dynamic`).
    pub(super) fn add_object(&mut self, name: &ObjName) {
        if !self.objects.iter().any(|object| object.name == *name) {
            let object = InstalledObject::new(name.clone(), Vec::new(), true);
            self.objects.push(object);
        }
    }

    /// Adds a function that leads back to the original code to an object (`klp_alloc_func_nop`).
    pub(super) fn add_nop(&mut self, name: &ObjName, func: KlpFunc) {
        let nop = self.func(func, true);
        let mut objects = self.objects.iter_mut();
        if let Some(object) = objects.find(|object| object.name == *name) {
            object.funcs.push(nop);
        }
    }

    /// Drops the nops and their objects (`klp_free_objects_dynamic`).
    pub(crate) fn drop_nops(&mut self) {
        self.objects.retain(|object| !object.dynamic);
        for object in &mut self.objects {
            object.funcs.retain(|func| !func.nop);
        }
    }
}

impl<S> InstalledObject<S> {
    fn new(name: ObjName, funcs: Vec<InstalledFunc<S>>, dynamic: bool) -> Self {
        Self {
            name,
            funcs,
            dynamic,
            patched: false,
            loaded: false,
            post_unpatch_enabled: false,
        }
    }

    /// Whether two of its functions would have one folder in sysfs, where position 0 is called 1 (`klp_init_func`).
    pub(super) fn has_two_folders(&self) -> bool {
        let mut folders = BTreeSet::new();
        self.funcs
            .iter()
            .any(|func| !folders.insert((&func.func.old_name, func.func.sympos.0.max(1))))
    }
}

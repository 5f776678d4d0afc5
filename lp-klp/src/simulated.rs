//! A target of names alone: for tests, and to ask what would happen.
//!
//! Every name is a function that can be redirected and exists once, unless it is said to be otherwise; every task
//! switches, unless a function is put on its stack.

use crate::core::KlpFunc;
use crate::errno::Errno;
use crate::name::ObjName;
use crate::patch::Version;
use crate::state::States;
use crate::target::{Callback, Target};
use crate::transition::PatchState;
use std::collections::{BTreeMap, BTreeSet};

/// A function of a simulated target: a number for (object, name, position).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Site(pub usize);

/// A task of a simulated target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Task(pub u32);

/// A callback that ran: when, of which patch, for which object.
pub type Ran = (Callback, String, ObjName);

/// The target.
#[derive(Debug, Clone, Default)]
pub struct Simulated {
    /// Modules that are loaded.
    pub modules: BTreeSet<ObjName>,
    /// Functions that do not exist once, but so many times.
    pub count: BTreeMap<(ObjName, String), u32>,
    /// What each task has on its stack.
    pub tasks: BTreeMap<Task, Vec<(Site, Version)>>,
    /// The patches and objects whose pre_patch says no, and with what.
    pub vetoes: BTreeMap<(String, ObjName), Errno>,
    /// The callbacks that ran, in order.
    pub ran: Vec<Ran>,
    sites: Vec<(ObjName, String, u32)>,
}

impl Simulated {
    /// The place of a function of a unique name.
    pub fn site(&mut self, object: &ObjName, name: &str) -> Site {
        self.site_at(object, name, 1)
    }

    /// The place of a function of a name and a position from 1.
    pub fn site_at(&mut self, object: &ObjName, name: &str, position: u32) -> Site {
        self.number((object.clone(), name.to_owned(), position))
    }

    fn number(&mut self, key: (ObjName, String, u32)) -> Site {
        let known = self.sites.iter().position(|site| *site == key);
        Site(known.unwrap_or_else(|| {
            self.sites.push(key);
            self.sites.len() - 1
        }))
    }
}

impl Target for Simulated {
    type Site = Site;
    type Task = Task;

    fn is_loaded(&self, object: &ObjName) -> bool {
        object.is_vmlinux() || self.modules.contains(object)
    }

    fn find(&mut self, object: &ObjName, func: &KlpFunc) -> Result<Site, Errno> {
        let key = (object.clone(), func.old_name.clone());
        let count = self.count.get(&key).copied().unwrap_or(1);
        let position = match (func.sympos.0, count) {
            (0, 1) => 1,
            (position, count) if (1..=count).contains(&position) => position,
            _ => return Err(Errno::EINVAL),
        };
        Ok(self.number((key.0, key.1, position)))
    }

    fn patch_func(&mut self, _site: Site, _stack: &[Version]) -> Result<(), Errno> {
        Ok(())
    }

    fn unpatch_func(&mut self, _site: Site, _stack: &[Version]) {}

    fn callback(
        &mut self,
        callback: Callback,
        patch: &str,
        object: &ObjName,
        _states: &mut States<'_>,
    ) -> Result<(), Errno> {
        self.ran.push((callback, patch.to_owned(), object.clone()));
        match self.vetoes.get(&(patch.to_owned(), object.clone())) {
            Some(errno) if callback == Callback::PrePatch => Err(*errno),
            _ => Ok(()),
        }
    }

    fn tasks(&mut self) -> Vec<Task> {
        self.tasks.keys().copied().collect()
    }

    fn may_switch(&mut self, task: Task, busy: &[(Site, Version)]) -> bool {
        let stack = self.tasks.get(&task).map_or(&[][..], Vec::as_slice);
        !stack.iter().any(|frame| busy.contains(frame))
    }

    fn switch(&mut self, _task: Task, _to: PatchState) {}
}

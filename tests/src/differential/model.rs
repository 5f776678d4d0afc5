//! The model's side: `lp_klp`'s livepatch core on a simulated target, and what the module loader adds to it.
//!
//! The loader's part is small: a module that is there cannot be loaded again, one that is in use cannot be removed.

use std::collections::BTreeSet;

use lp_klp::core::{Installed, Klp, KlpFunc};
use lp_klp::errno::Errno;
use lp_klp::name::ObjName;
use lp_klp::patch::Version;
use lp_klp::rules::Rules;
use lp_klp::simulated::{Simulated, Site, Task};
use lp_klp::state::{KlpState, States};
use lp_klp::target::{Callback, Target};
use lp_klp::transition::PatchState;

use super::operation::Operation;
use super::pool::{self, Entry, HELD, LATE, PROBES, Probe, STAY};
use super::seen::{Seen, SeenObject, told};

/// The task that is held.
const HOLDER: Task = Task(1);
/// Whoever asks has just come from user space, and has switched there.
const READER: Task = Task(0);
/// The module is in use.
const EAGAIN: Errno = Errno(11);

/// The model.
#[derive(Debug)]
pub struct Model {
    klp: Klp<Subject>,
    pool: Vec<Entry>,
    loaded: BTreeSet<usize>,
    /// What the held task will answer.
    held: Option<String>,
}

/// The simulated target, with the pool's callbacks.
#[derive(Debug)]
struct Subject {
    simulated: Simulated,
    pool: Vec<Entry>,
    said: Vec<String>,
}

impl Model {
    /// A kernel with the pool's modules at hand, and the one that stays.
    pub fn new(pool: Vec<Entry>) -> Self {
        let mut simulated = Simulated::default();
        simulated.modules.insert(pool::object_name(STAY));
        for probe in PROBES {
            let key = (pool::object_name(probe.object), probe.function.to_owned());
            let count = simulated.count.entry(key).or_default();
            *count = (*count).max(probe.position);
        }
        let missing = pool
            .iter()
            .flat_map(|entry| &entry.patch.objects)
            .flat_map(|object| {
                object
                    .funcs
                    .iter()
                    .map(|func| (object.name.clone(), func.old_name.clone()))
            });
        for key in missing {
            simulated.count.entry(key).or_insert(0);
        }
        let subject = Subject {
            simulated,
            pool: pool.clone(),
            said: Vec::new(),
        };
        Self {
            klp: Klp::new(subject, Rules::CURRENT),
            pool,
            loaded: BTreeSet::new(),
            held: None,
        }
    }

    /// Does an operation, waits until nothing happens any more, and looks.
    pub fn step(&mut self, operation: Operation) -> Seen {
        let mut seen = Seen::default();
        let mut held = None;
        let answer = match operation {
            Operation::Load(patch) => self.load(patch),
            Operation::Unload(patch) => self.unload(patch),
            Operation::Disable(patch) => self.klp.write_enabled(&self.name(patch), false),
            Operation::Enable(patch) => self.klp.write_enabled(&self.name(patch), true),
            Operation::Force(patch) => self.klp.write_force(&self.name(patch)),
            Operation::InsertLate => self.insert_late(),
            Operation::RemoveLate => self.remove_late(),
            Operation::Hold => {
                self.hold();
                Ok(())
            }
            Operation::Release => {
                held = self.release();
                Ok(())
            }
        };
        self.klp.try_complete_transition();
        seen.answer(answer.map_err(|errno| errno.0));
        if let Some(version) = held {
            seen.runs("the held task", &version);
        }
        self.look(&mut seen);
        seen
    }

    /// The places in the pool of what is installed, from the oldest to the newest, and whether it is in transition.
    pub fn installed(&self) -> Vec<(usize, bool)> {
        let transition = self.klp.transition().map(|transition| transition.patch);
        let place = |installed: &Installed<Site>| {
            let place = self
                .pool
                .iter()
                .position(|entry| entry.name() == installed.patch.name)?;
            Some((place, transition == Some(installed.id)))
        };
        self.klp.patches().iter().filter_map(place).collect()
    }

    /// Whether a patch's module is loaded.
    pub fn is_loaded(&self, patch: usize) -> bool {
        self.loaded.contains(&patch)
    }

    /// Whether an object is there to be patched.
    pub fn has_object(&self, object: &ObjName) -> bool {
        self.klp.target.is_loaded(object)
    }

    /// Whether a patch is for a function that its object, which is not there yet, will not have.
    pub fn lacks_function(&self, entry: &Entry) -> bool {
        let mut target = self.klp.target.simulated.clone();
        let objects = entry.patch.objects.iter();
        let mut absent = objects.filter(|object| !self.has_object(&object.name));
        absent.any(|object| {
            let mut funcs = object.funcs.iter();
            funcs.any(|func| target.find(&object.name, func).is_err())
        })
    }

    fn name(&self, patch: usize) -> String {
        self.pool
            .get(patch)
            .map(|entry| entry.name().to_owned())
            .unwrap_or_default()
    }

    fn load(&mut self, patch: usize) -> Result<(), Errno> {
        if self.loaded.contains(&patch) {
            return Err(Errno::EEXIST);
        }
        let entry = self.pool.get(patch).ok_or(Errno::ENOENT)?;
        self.klp.enable_patch(entry.patch.clone())?;
        self.loaded.insert(patch);
        Ok(())
    }

    fn unload(&mut self, patch: usize) -> Result<(), Errno> {
        if !self.loaded.contains(&patch) {
            return Err(Errno::ENOENT);
        }
        if self.klp.is_pinned(&self.name(patch)) {
            return Err(EAGAIN);
        }
        self.loaded.remove(&patch);
        Ok(())
    }

    fn insert_late(&mut self) -> Result<(), Errno> {
        let late = pool::object_name(LATE);
        if !self.klp.target.simulated.modules.insert(late.clone()) {
            return Err(Errno::EEXIST);
        }
        let answer = self.klp.module_coming(&late);
        if answer.is_err() {
            self.klp.target.simulated.modules.remove(&late);
        }
        answer
    }

    fn remove_late(&mut self) -> Result<(), Errno> {
        let late = pool::object_name(LATE);
        if !self.klp.target.simulated.modules.remove(&late) {
            return Err(Errno::ENOENT);
        }
        self.klp.module_going(&late);
        Ok(())
    }

    fn hold(&mut self) {
        if self.held.is_some() {
            return;
        }
        let site = self
            .klp
            .target
            .simulated
            .site(&pool::object_name(STAY), HELD);
        let version = self.klp.runs(site, READER);
        self.klp
            .target
            .simulated
            .tasks
            .insert(HOLDER, vec![(site, version)]);
        self.held = Some(self.version_name(version));
    }

    fn release(&mut self) -> Option<String> {
        self.klp.target.simulated.tasks.remove(&HOLDER);
        self.held.take()
    }

    fn look(&mut self, seen: &mut Seen) {
        let transition = self.klp.transition().map(|transition| transition.patch);
        for installed in self.klp.patches() {
            let objects = objects(installed);
            seen.patch(
                &installed.patch.name,
                installed.enabled,
                transition == Some(installed.id),
                objects,
            );
        }
        for probe in PROBES {
            if self.held.is_none() || probe.function != HELD {
                let version = self.answer(&probe);
                seen.runs(probe.file, &version);
            }
        }
        for patch in &self.loaded {
            let name = self.name(*patch);
            seen.module(&name, self.klp.is_pinned(&name));
        }
        seen.said(std::mem::take(&mut self.klp.target.said));
    }

    fn answer(&mut self, probe: &Probe) -> String {
        let object = pool::object_name(probe.object);
        if !self.has_object(&object) {
            return "absent".to_owned();
        }
        let site = self
            .klp
            .target
            .simulated
            .site_at(&object, probe.function, probe.position);
        self.version_name(self.klp.runs(site, READER))
    }

    fn version_name(&self, version: Version) -> String {
        match version {
            Version::Original => "original".to_owned(),
            Version::Patched(func) => {
                let of = self
                    .klp
                    .patches()
                    .iter()
                    .find(|installed| installed.id == func.patch);
                of.map_or("a patch that is gone".to_owned(), |of| {
                    let mut funcs = of.objects.iter().flat_map(|object| &object.funcs);
                    let name = funcs
                        .find(|other| other.id == func)
                        .map(|func| folder(&func.func));
                    format!("{} {}", of.patch.name, name.unwrap_or_default())
                })
            }
        }
    }
}

fn objects(installed: &Installed<Site>) -> Vec<SeenObject> {
    let objects = installed.objects.iter().map(|object| SeenObject {
        name: object.name.to_string(),
        patched: object.patched,
        functions: object.funcs.iter().map(|func| folder(&func.func)).collect(),
    });
    objects.collect()
}

/// A function's folder in sysfs (`klp_init_func`).
fn folder(func: &KlpFunc) -> String {
    format!("{},{}", func.old_name, func.sympos.0.max(1))
}

impl Target for Subject {
    type Site = Site;
    type Task = Task;

    fn is_loaded(&self, object: &ObjName) -> bool {
        self.simulated.is_loaded(object)
    }

    fn find(&mut self, object: &ObjName, func: &KlpFunc) -> Result<Site, Errno> {
        self.simulated.find(object, func)
    }

    fn patch_func(&mut self, site: Site, stack: &[Version]) -> Result<(), Errno> {
        self.simulated.patch_func(site, stack)
    }

    fn unpatch_func(&mut self, site: Site, stack: &[Version]) {
        self.simulated.unpatch_func(site, stack);
    }

    /// Every object of the pool has all callbacks; what is there for nops alone has none.
    fn callback(
        &mut self,
        callback: Callback,
        patch: &str,
        object: &ObjName,
        states: &mut States<'_>,
    ) -> Result<(), Errno> {
        let entry = self.pool.iter().find(|entry| entry.name() == patch);
        let Some(entry) = entry.filter(|entry| entry.patch.object(object).is_some()) else {
            return Ok(());
        };
        let seen = [1, 2, 3].map(|id| {
            let known = |state: Option<(&KlpState, Option<u64>)>| {
                state.map(|(state, data)| (state.version, data.unwrap_or(0)))
            };
            if callback == Callback::PrePatch {
                let before = known(states.get_prev_state(id)).map_or(0, |(_, data)| data);
                states.set_data(id, before + 1);
            }
            // Asked again: the previous state may be the own one, where a later patch is in transition.
            let own = known(states.get_state(id));
            (own, known(states.get_prev_state(id)))
        });
        self.said.push(told(patch, object.as_str(), callback, seen));
        let veto = entry.vetoes.iter().find(|(name, _)| name == object);
        match veto {
            Some((_, errno)) if callback == Callback::PrePatch => Err(*errno),
            _ => Ok(()),
        }
    }

    fn tasks(&mut self) -> Vec<Task> {
        self.simulated.tasks()
    }

    fn may_switch(&mut self, task: Task, busy: &[(Site, Version)]) -> bool {
        self.simulated.may_switch(task, busy)
    }

    fn switch(&mut self, task: Task, to: PatchState) {
        self.simulated.switch(task, to);
    }
}

//! A process as the livepatch core's target, with a task for each thread.
//!
//! All threads are stopped once a round, since only then the list of them is whole; those that are free switch, and all go on. The
//! entries get their trampolines in the first round in which nobody is inside the bytes of the jumps. The tempting
//! wrong way is to plant each entry when the core speaks of its function: a thread would have no cell yet.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use lp_klp::core::KlpFunc;
use lp_klp::errno::Errno;
use lp_klp::manifest::Manifest;
use lp_klp::name::ObjName;
use lp_klp::patch::Version;
use lp_klp::state::{StateData, States};
use lp_klp::target::{Callback, Target};
use lp_klp::transition::PatchState;

use super::cells;
use super::changes::Change;
use super::plant::move_thread;
use crate::process::error::ProcessError;
use crate::process::kept::control::{
    AreaRecord, Direction, InstalledPatch, Transition, TransitionSite,
};
use crate::process::kept::journal::{Hands, Step, Transaction};
use crate::process::live::{FIRST_MOMENT, Live, STOP};
use crate::process::touch::check::{Busy, BusyRange, BusyThread};
use crate::process::touch::jump::destination;
use crate::process::touch::registers::Registers;
use crate::process::touch::threads::{StopError, Tid, task};
use crate::process::touch::unwind::Frame;

/// The longest moment for which threads inside run on while the others are kept.
const LONGEST_MOMENT: Duration = Duration::from_micros(320);

/// A process in a transition.
pub(super) struct PerThread<'a, 's> {
    pub(super) live: Live<'a, 's>,
    /// The patch's name.
    pub(super) name: String,
    /// Whether threads go to it.
    pub(super) patched: bool,
    /// Whether it takes the place of all others.
    pub(super) replaces: bool,
    /// What is to be planted, until it is.
    pub(super) before: Option<Before>,
    /// What a round has found.
    round: Option<BTreeMap<Tid, BusyThread>>,
    /// Who is left.
    pub(super) left: Vec<BusyThread>,
    /// Whether all threads stand.
    stopped: bool,
    /// What the patch's callbacks keep.
    pub(super) data: StateData,
}

/// A transition before it has begun.
pub(super) struct Before {
    pub(super) changes: Vec<Change>,
    /// The patch, where it is not among those installed yet.
    pub(super) record: Option<InstalledPatch>,
    pub(super) began: Direction,
    /// It will not be planted any more.
    pub(super) giving_up: bool,
}

impl<'a, 's> PerThread<'a, 's> {
    pub(super) fn new(
        live: Live<'a, 's>,
        manifest: &Manifest,
        patched: bool,
        before: Option<Before>,
    ) -> Self {
        Self {
            live,
            name: manifest.name.clone(),
            replaces: manifest.replace,
            patched,
            before,
            round: None,
            left: Vec::new(),
            stopped: false,
            data: StateData::default(),
        }
    }

    /// The transition as the control area has it.
    pub(super) fn transition(&self) -> Option<Transition> {
        self.live.at.transaction.contents().transition.clone()
    }

    fn cells(&self) -> Option<u64> {
        let transition = self.live.at.transaction.contents().transition.as_ref();
        transition.map(|it| it.cells)
    }

    fn toward(&self) -> PatchState {
        if self.patched {
            PatchState::Patched
        } else {
            PatchState::Unpatched
        }
    }

    /// Lets all threads go on until the next round.
    pub(super) fn go_on(&mut self) {
        self.stopped = false;
        self.live.go_on();
    }

    pub(super) fn stop(&mut self) -> bool {
        self.round = None;
        self.stopped = match self.live.at.threads.stop_all(STOP) {
            Ok(()) => self.begin_anew(),
            // It may be better soon.
            Err(error) if error.may_pass() => false,
            Err(error) => {
                self.live.keep(error);
                false
            }
        };
        self.stopped
    }

    /// Sends threads that are in a trampoline's test back to the entry: they have not chosen a side, and a stack is known there.
    fn begin_anew(&mut self) -> bool {
        let transition = self.transition();
        let sites = transition.iter().flat_map(|it| &it.sites);
        let head = |site: &TransitionSite| {
            let start = destination(site.address, site.planted)?;
            Some((start, (site.head, site.address)))
        };
        let heads: BTreeMap<u64, (u64, u64)> = sites.filter_map(head).collect();
        let entry = |pc: u64| {
            let (_, (head, entry)) = heads.range(..=pc).next_back()?;
            (pc <= *head).then_some(*entry)
        };
        let tids: Vec<Tid> = self.live.at.threads.tids().collect();
        match tids.iter().try_for_each(|tid| move_thread(*tid, entry)) {
            Ok(()) => true,
            Err(error) => {
                self.live.keep(error);
                false
            }
        }
    }

    fn tids(&mut self) -> Vec<Tid> {
        let pid = self.live.at.threads.pid();
        if self.stopped {
            return self.live.at.threads.tids().collect();
        }
        // Without any the core would take the transition for ended.
        let tids = task::tids(pid).unwrap_or_default();
        if tids.is_empty() { vec![pid] } else { tids }
    }

    /// Who of the threads that have not switched must not. Where the round could not begin, all.
    fn blocked(
        &mut self,
        leaving: &[(u64, Version)],
    ) -> Result<BTreeMap<Tid, BusyThread>, StopError> {
        let Some(cells) = self.cells() else {
            return Ok(BTreeMap::new());
        };
        let toward = self.toward();
        for (name, goes) in self.goes() {
            let mut patches = self.live.patches.values_mut();
            if let Some(loaded) = patches.find(|it| it.name == name) {
                loaded.goes = goes;
            }
        }
        let mut ranges = self.live.busy(leaving);
        ranges.extend(self.trampolines());
        let busy = Busy::new(ranges);
        let tids = self.live.at.threads.tids();
        let tids: Vec<Tid> = tids
            .filter(|tid| cells::side(cells, *tid) != Some(toward))
            .collect();
        self.look_again(tids, &busy)
    }

    /// Who of these threads is inside. Those that are and run go on for a moment, while the others are kept: one that calls a
    /// function all the time is hardly ever out of it just when all are stopped.
    fn look_again(
        &mut self,
        tids: Vec<Tid>,
        busy: &Busy,
    ) -> Result<BTreeMap<Tid, BusyThread>, StopError> {
        let inside = |frame: &Frame| busy.function_at(frame.inside());
        let places = self.all_places();
        let same = |pc| places.get(&pc).copied().unwrap_or(pc);
        let all: Vec<Tid> = self.live.at.threads.tids().collect();
        let (mut pause, mut left) = (FIRST_MOMENT, tids);
        loop {
            let found = self.live.at.checker.in_the_way_of(&left, same, inside);
            let found = found.map_err(|(tid, errno)| StopError::Wait { tid, errno })?;
            left = found.iter().map(|it| it.tid).collect();
            // One that waits in a system call will not come out by running on.
            let runs = |tid: &&Tid| Registers::of(**tid).is_ok_and(|it| !it.is_in_syscall());
            let running: Vec<Tid> = left.iter().filter(runs).copied().collect();
            if running.is_empty() || pause > LONGEST_MOMENT {
                return Ok(found.into_iter().map(|it| (it.tid, it)).collect());
            }
            self.live.at.threads.resume_only(&running);
            std::thread::sleep(pause);
            pause *= 2;
            self.live.at.threads.stop_all(STOP)?;
            self.begin_anew();
            let mut now = self.live.at.threads.tids();
            if now.any(|tid| !all.contains(&tid)) {
                // The core does not know of it, and it may be on the old side: nobody switches in this round.
                let them = |tid: &Tid| BusyThread::began(*tid);
                return Ok(all.iter().map(|tid| (*tid, them(tid))).collect());
            }
            let there: BTreeSet<Tid> = self.live.at.threads.tids().collect();
            left.retain(|tid| there.contains(tid));
        }
    }

    /// For places in trampolines the same ones of the functions.
    fn all_places(&self) -> BTreeMap<u64, u64> {
        let transition = self.transition();
        let sites = transition.iter().flat_map(|it| &it.sites);
        sites.flat_map(|site| site.places.iter().copied()).collect()
    }

    /// Which patches go when the transition ends: then no thread that switches may be in any of their text.
    fn goes(&self) -> Vec<(String, bool)> {
        let loads = self
            .transition()
            .is_some_and(|it| it.began == Direction::Load);
        let replaces = self.replaces && loads;
        let patches = self.live.patches.values();
        let goes = patches.map(|it| {
            let it_is_this = it.name == self.name;
            let goes = if self.patched {
                replaces && !it_is_this
            } else {
                it_is_this
            };
            (it.name.clone(), goes)
        });
        goes.collect()
    }

    /// The trampolines: a thread inside one is about to be on one side or the other.
    pub(super) fn trampolines(&self) -> Vec<BusyRange> {
        let areas = self.transition().map(|it| it.areas).unwrap_or_default();
        let range = |area: &AreaRecord| BusyRange {
            range: area.range(),
            function: "the entry of a function that changes".into(),
        };
        areas.iter().map(range).collect()
    }

    fn try_may_switch(
        &mut self,
        task: Tid,
        leaving: &[(u64, Version)],
    ) -> Result<bool, ProcessError> {
        if !self.stopped {
            return Ok(false);
        }
        if let Some(before) = &self.before {
            // What has failed in this round fails for all.
            if self.round.is_some() || before.giving_up {
                return Ok(before.giving_up);
            }
            self.round = Some(BTreeMap::new());
            if !self.plant()? {
                return Ok(false);
            }
            self.round = None;
        }
        if self.round.is_none() {
            let blocked = self.blocked(leaving)?;
            self.left = blocked.values().cloned().collect();
            self.round = Some(blocked);
        }
        let round = self.round.as_ref();
        Ok(round.is_some_and(|it| !it.contains_key(&task)))
    }

    /// What changes the process, while all threads stand.
    pub(super) fn hands(&mut self) -> Result<(Hands<'_>, &mut Transaction<'a, 's>), ProcessError> {
        let tid = self.live.at.threads.helper(self.live.at.memory)?;
        let hands = Hands {
            threads: &mut *self.live.at.threads,
            tid,
            gate: self.live.at.gate,
            memory: self.live.at.memory,
        };
        Ok((hands, &mut self.live.at.transaction))
    }
}

impl Target for PerThread<'_, '_> {
    type Site = u64;
    type Task = Tid;

    fn is_loaded(&self, object: &ObjName) -> bool {
        self.live.is_loaded(object)
    }

    fn find(&mut self, object: &ObjName, func: &KlpFunc) -> Result<u64, Errno> {
        self.live.find(object, func)
    }

    fn patch_func(&mut self, site: u64, stack: &[Version]) -> Result<(), Errno> {
        self.live.patch_func(site, stack)
    }

    fn unpatch_func(&mut self, site: u64, stack: &[Version]) {
        self.live.unpatch_func(site, stack);
    }

    fn callback(
        &mut self,
        callback: Callback,
        patch: &str,
        object: &ObjName,
        states: &mut States<'_>,
    ) -> Result<(), Errno> {
        if callback == Callback::PreUnpatch || callback == Callback::PrePatch {
            // The core asked for the tasks before: they stand.
            self.go_on();
        }
        let answer = self.live.callback(callback, patch, object, states);
        self.stopped = false;
        if patch == self.name {
            let mut own = self.live.patches.values().filter(|it| it.name == patch);
            let own: BTreeSet<u64> = own.next().map(|it| it.states.clone()).unwrap_or_default();
            for id in own {
                if let Some((_, Some(data))) = states.get_state(id) {
                    self.data.insert(id, data);
                }
            }
        }
        answer
    }

    fn tasks(&mut self) -> Vec<Tid> {
        if self.live.fault.is_none() {
            self.stop();
        }
        self.tids()
    }

    fn patch_state(&mut self, task: Tid) -> Option<PatchState> {
        match self.cells() {
            Some(cells) if self.stopped => cells::side(cells, task),
            Some(_) => None,
            None => Some(self.toward().reversed()),
        }
    }

    fn may_switch(&mut self, task: Tid, busy: &[(u64, Version)]) -> bool {
        if self.live.fault.is_some() {
            return false;
        }
        self.try_may_switch(task, busy).unwrap_or_else(|error| {
            self.live.keep(error);
            false
        })
    }

    fn switch(&mut self, task: Tid, to: PatchState) {
        let Some(cells) = self.cells() else {
            return;
        };
        match cells::put(cells, task, to) {
            Ok(()) => self.live.at.transaction.tell(Step::Switched),
            Err(errno) => self.live.keep(StopError::Wait { tid: task, errno }),
        }
    }
}

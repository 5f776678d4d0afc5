//! A process as the livepatch core's target: all its threads switch at once.
//!
//! To the core the process has one task. It may switch when all threads are stopped and none is inside what changes; they stay
//! stopped until the jumps are written, all in one go, and run on. So there is no moment at which some run old and others
//! new code. The tempting wrong way is to write each jump when the core speaks of its function: that is before anyone has
//! looked at a stack.

mod absent;
mod coming;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::time::{Duration, Instant};

use lp_klp::core::KlpFunc;
use lp_klp::errno::Errno;
use lp_klp::manifest::{Function, Manifest, Object};
use lp_klp::name::{ObjName, Sympos};
use lp_klp::patch::{FuncId, PatchId, Version};
use lp_klp::state::States;
use lp_klp::target::{Callback, Target};
use lp_klp::transition::PatchState;

use super::error::ProcessError;
use crate::process::kept::area::Area;
use crate::process::kept::control::InstalledPatch;
use crate::process::kept::control::states::{self, BELOW, IN_TRANSITION, LpState};
use crate::process::kept::journal::{Hands, Transaction, TransactionError};
use crate::process::read::images::Images;
use crate::process::touch::call::{CallSite, Others};
use crate::process::touch::check::{Busy, BusyRange, BusyThread, Checker};
use crate::process::touch::jump::{JUMP_SIZE, JumpError, TextChange, jump};
use crate::process::touch::registers::Registers;
use crate::process::touch::syscall::Gate;
use crate::process::touch::threads::{StopError, Threads, Tid};
use crate::process::touch::write::WriteMemory;
pub(super) use absent::Skipped;
use absent::needing;
use coming::Coming;

/// How long all threads may take to stop.
pub(super) const STOP: Duration = Duration::from_secs(2);
/// How long a callback may run.
const CALL: Duration = Duration::from_secs(10);
/// How long threads inside run on while the others are kept, at first; each time twice as long.
pub(super) const FIRST_MOMENT: Duration = Duration::from_micros(20);
const LONGEST_MOMENT: Duration = Duration::from_micros(320);
/// How long the threads may be kept in all.
const MOMENTS: Duration = Duration::from_millis(10);
/// What the core hears of a failure that has been kept as [`Live::fault`].
const EIO: Errno = Errno(5);

/// All threads of the process together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Whole;

/// A patch that is in the process's memory.
#[derive(Debug, Default)]
pub(super) struct Loaded {
    pub(super) name: String,
    /// Its functions' new code, by their numbers: the function itself first, then its fragments. Nothing for those of objects
    /// that are not there.
    pub(super) code: Vec<Vec<Range<u64>>>,
    /// All its text.
    pub(super) text: Vec<Range<u64>>,
    /// Whether it goes: then no thread may be in any of its text.
    pub(super) goes: bool,
    pub(super) callbacks: BTreeMap<(ObjName, Callback), u64>,
    pub(super) call: Option<CallSite>,
    pub(super) states: BTreeSet<u64>,
    /// How many functions it has of each object.
    functions: BTreeMap<ObjName, usize>,
    /// Callbacks that refer to their object.
    needing: BTreeSet<(ObjName, Callback)>,
}

/// A function's entry.
#[derive(Debug)]
pub(super) struct Site {
    pub(super) name: String,
    /// What the program came with.
    pub(super) original: [u8; JUMP_SIZE],
    /// The original code, with its fragments.
    pub(super) old: Vec<Range<u64>>,
    /// The patches' versions, the newest last.
    pub(super) stack: Vec<Version>,
    /// What runs now.
    pub(super) active: Version,
}

/// What is to be written, and which versions run then.
type Changes = (Vec<TextChange>, Vec<(u64, Version)>);

/// A function of an object: its object, name and position.
pub(super) type FuncKey = (ObjName, String, u32);

/// Which function a name and position mean: 0 and 1 are the same, the first.
pub(super) fn key(object: &ObjName, name: &str, sympos: Sympos) -> FuncKey {
    (object.clone(), name.to_owned(), sympos.0.max(1))
}

/// The process, seized.
pub(super) struct Live<'a, 's> {
    pub(super) at: Parts<'a, 's>,
    pub(super) patches: BTreeMap<PatchId, Loaded>,
    /// By the address of the jump.
    pub(super) sites: BTreeMap<u64, Site>,
    pub(super) functions: BTreeMap<FuncKey, u64>,
    /// The objects that are there, to the core.
    pub(super) loaded: BTreeSet<ObjName>,
    /// An object that has gone: its callbacks do without it.
    pub(super) gone: Option<ObjName>,
    /// Callbacks that could not, and those that failed.
    pub(super) skipped: Vec<Skipped>,
    /// An object that has come and is being patched.
    coming: Option<Coming>,
    /// Nothing was changed yet, and nothing will be.
    pub(super) giving_up: bool,
    /// Jumps may have been written.
    pub(super) touched: bool,
    /// Whether all threads stand, to be switched.
    stopped: bool,
    /// What is left by the switch.
    pub(super) leaving: Vec<(u64, Version)>,
    /// Who kept it from switching the last time.
    pub(super) in_the_way: Vec<BusyThread>,
    /// What the core has no word for.
    pub(super) fault: Option<ProcessError>,
    /// The longest time that all threads stood.
    pub(super) window: Duration,
}

/// What is needed of a process to patch it.
pub(super) struct Parts<'a, 's> {
    pub(super) threads: &'a mut Threads,
    pub(super) gate: Gate,
    pub(super) memory: &'a WriteMemory,
    pub(super) images: &'a Images,
    pub(super) checker: Checker<'a>,
    pub(super) states_at: u64,
    pub(super) transaction: Transaction<'a, 's>,
}

impl<'a, 's> Live<'a, 's> {
    pub(super) fn new(at: Parts<'a, 's>) -> Self {
        Self {
            at,
            patches: BTreeMap::new(),
            sites: BTreeMap::new(),
            functions: BTreeMap::new(),
            loaded: BTreeSet::new(),
            gone: None,
            skipped: Vec::new(),
            coming: None,
            giving_up: false,
            touched: false,
            stopped: false,
            leaving: Vec::new(),
            in_the_way: Vec::new(),
            fault: None,
            window: Duration::ZERO,
        }
    }

    /// Takes in what a patch has in the process.
    pub(super) fn know(&mut self, id: PatchId, patch: &InstalledPatch, manifest: &Manifest) {
        let functions: Vec<(&Object, &Function)> = manifest
            .objects
            .iter()
            .flat_map(|object| {
                object
                    .functions
                    .iter()
                    .map(move |function| (object, function))
            })
            .collect();
        let mut code = vec![Vec::new(); functions.len()];
        for site in &patch.sites {
            let number = site.number as usize;
            let (Some((object, function)), Some(place)) =
                (functions.get(number), code.get_mut(number))
            else {
                continue;
            };
            place.push(range(site.new_address, site.new_size));
            let moved = patch.fragments.iter().filter(|it| it.0 == site.number);
            place.extend(moved.map(|(_, address, size)| range(*address, *size)));
            let key = key(&object.name, &function.name, function.sympos);
            self.functions.insert(key, site.address);
            self.sites.entry(site.address).or_insert_with(|| Site {
                name: function.name.clone(),
                original: site.original,
                old: vec![range(site.old_address, site.old_size)],
                stack: Vec::new(),
                active: Version::Original,
            });
        }
        let text = patch
            .areas
            .iter()
            .filter(|area| area.protection == Area::Text);
        let callbacks = patch
            .callbacks
            .iter()
            .filter_map(|(object, name, address)| {
                let callback = Callback::ALL.into_iter().find(|it| it.name() == name)?;
                Some(((object.parse().ok()?, callback), *address))
            });
        let loaded = Loaded {
            name: patch.name.clone(),
            code,
            text: text.map(|area| area.range()).collect(),
            goes: false,
            callbacks: callbacks.collect(),
            call: patch
                .call
                .map(|(stub, stack_top)| CallSite { stub, stack_top }),
            states: manifest.states.iter().map(|state| state.id).collect(),
            functions: manifest
                .objects
                .iter()
                .map(|object| (object.name.clone(), object.functions.len()))
                .collect(),
            needing: needing(patch),
        };
        self.patches.insert(id, loaded);
    }

    /// Notes that a patch's functions run, over what ran before.
    pub(super) fn lay_over(&mut self, id: PatchId, patch: &InstalledPatch) {
        for record in &patch.sites {
            let version = Version::Patched(FuncId {
                patch: id,
                number: record.number,
            });
            if let Some(site) = self.sites.get_mut(&record.address) {
                site.stack.push(version);
                site.active = version;
            }
        }
    }

    /// Stops all threads and says whether none is inside; they stay stopped then.
    pub(super) fn is_free(&mut self, busy: &Busy) -> bool {
        let since = Instant::now();
        match self.at.threads.stop_all(STOP) {
            Ok(()) => {}
            Err(error) if error.may_pass() => return false,
            Err(error) => {
                self.keep(error);
                return false;
            }
        }
        match self.converge(busy, since) {
            Ok(threads) if threads.is_empty() => {
                self.stopped = true;
                return true;
            }
            Ok(threads) => self.in_the_way = threads,
            Err(error) => self.keep(error),
        }
        self.go_on();
        false
    }

    /// Who is inside. The others are kept where they are while those go on for a moment, again and again: many threads that call a
    /// function all the time are hardly ever out of it all at once. It is soon over, since one that is inside may wait
    /// for one that is kept.
    pub(super) fn converge(
        &mut self,
        busy: &Busy,
        since: Instant,
    ) -> Result<Vec<BusyThread>, StopError> {
        let mut pause = FIRST_MOMENT;
        loop {
            let threads = self.at.checker.in_the_way(self.at.threads, busy);
            let threads = threads.map_err(|(tid, errno)| StopError::Wait { tid, errno })?;
            let tids: Vec<Tid> = threads.iter().map(|thread| thread.tid).collect();
            // One that waits in a system call will not come out by running on.
            let runs = |tid: &Tid| Registers::of(*tid).is_ok_and(|it| !it.is_in_syscall());
            if !tids.iter().any(runs) || since.elapsed() + pause > MOMENTS {
                return Ok(threads);
            }
            self.at.threads.resume_only(&tids);
            std::thread::sleep(pause);
            pause = (2 * pause).min(LONGEST_MOMENT);
            self.at.threads.stop_all(STOP)?;
        }
    }

    /// Lets the threads run for a while.
    pub(super) fn wait(&mut self, time: Duration) -> Result<(), StopError> {
        self.at.threads.run_for(time)
    }

    pub(super) fn keep(&mut self, fault: impl Into<ProcessError>) {
        self.fault.get_or_insert(fault.into());
    }

    /// Lets all threads go on.
    pub(super) fn go_on(&mut self) {
        // Stopping them is part of it, seizing them before is not: they run meanwhile.
        let since = self.at.threads.stopped_since();
        self.at.threads.resume_all();
        let stood = since.map_or(Duration::ZERO, |since| since.elapsed());
        self.window = self.window.max(stood);
    }

    /// Where no thread may be that switches.
    pub(super) fn busy(&self, leaving: &[(u64, Version)]) -> Vec<BusyRange> {
        let mut ranges = Vec::new();
        let mut add = |function: &str, of: &[Range<u64>]| {
            ranges.extend(of.iter().map(|range| BusyRange {
                range: range.clone(),
                function: function.to_owned(),
            }));
        };
        for (address, version) in leaving {
            let Some(site) = self.sites.get(address) else {
                continue;
            };
            match version {
                Version::Original => add(&site.name, &site.old),
                Version::Patched(func) => {
                    let name = format!("{} of a patch", site.name);
                    add(&name, self.code(*func));
                }
            }
        }
        for loaded in self.patches.values().filter(|loaded| loaded.goes) {
            add(&format!("patch {}", loaded.name), &loaded.text);
        }
        ranges
    }

    /// Where a patch's function is.
    fn code(&self, func: FuncId) -> &[Range<u64>] {
        let loaded = self.patches.get(&func.patch);
        let code = loaded.and_then(|loaded| loaded.code.get(func.number as usize));
        code.map_or(&[], Vec::as_slice)
    }

    /// The bytes at an entry that lead to a version.
    fn bytes(
        &self,
        address: u64,
        site: &Site,
        version: Version,
    ) -> Result<[u8; JUMP_SIZE], JumpError> {
        let code = match version {
            Version::Original => None,
            Version::Patched(func) => self.code(func).first(),
        };
        match code {
            None => Ok(site.original),
            Some(code) => jump(address, code.start),
        }
    }

    /// The jumps of what the process switches to, and the versions that run then.
    fn changes(&self, leaving: &[(u64, Version)], to: PatchState) -> Result<Changes, JumpError> {
        let mut changes = Vec::new();
        let mut active = Vec::new();
        for (address, leaving) in leaving {
            let Some(site) = self.sites.get(address) else {
                continue;
            };
            let next = site.after(to, *leaving);
            let (old, new) = (
                self.bytes(*address, site, site.active)?,
                self.bytes(*address, site, next)?,
            );
            active.push((*address, next));
            if old != new {
                changes.push(TextChange {
                    address: *address,
                    old,
                    new,
                });
            }
        }
        Ok((changes, active))
    }

    /// Says which jumps will be written, while the threads run: the less there is to be done when they stand.
    pub(super) fn announce(&mut self, leaving: &[(u64, Version)]) -> Result<(), TransactionError> {
        let goes = |(address, version): &(u64, Version)| {
            let site = self.sites.get(address);
            site.is_some_and(|site| site.stack.last() == Some(version))
        };
        let to = if leaving.iter().any(goes) {
            PatchState::Unpatched
        } else {
            PatchState::Patched
        };
        let (changes, _) = self.changes(leaving, to)?;
        self.at.transaction.announce_text(self.at.memory, changes)
    }

    /// Writes the jumps of what the process switches to.
    fn write(&mut self, to: PatchState) -> Result<(), TransactionError> {
        let (changes, active) = self.changes(&self.leaving, to)?;
        self.touched = true;
        // Any of them will do: it makes no system call.
        let tid = self.at.threads.a_stopped_one()?;
        let hands = Hands {
            threads: &mut *self.at.threads,
            tid,
            gate: self.at.gate,
            memory: self.at.memory,
        };
        self.at.transaction.change_text(&hands, changes)?;
        for (address, version) in active {
            if let Some(site) = self.sites.get_mut(&address) {
                site.active = version;
            }
        }
        Ok(())
    }

    fn call(
        &mut self,
        site: CallSite,
        address: u64,
        own: &BTreeSet<u64>,
        states: &mut States<'_>,
    ) -> Result<i32, ProcessError> {
        let ids: BTreeSet<u64> = self
            .patches
            .values()
            .flat_map(|of| &of.states)
            .copied()
            .collect();
        states::write(self.at.memory, self.at.states_at, &view(states, own, &ids))?;
        self.at.threads.stop_all(STOP)?;
        let tid = self.at.threads.helper(self.at.memory);
        let called = tid.and_then(|tid| {
            self.at
                .threads
                .call(tid, site, address, Others::Running, CALL)
        });
        self.at.threads.resume_all();
        let answer = called?;
        for state in states::read(self.at.memory, self.at.states_at)? {
            if state.flags & IN_TRANSITION != 0 {
                states.set_data(state.id, state.data);
            }
        }
        states::write(self.at.memory, self.at.states_at, &[])?;
        Ok(answer)
    }
}

fn range(start: u64, size: u64) -> Range<u64> {
    start..start.saturating_add(size)
}

/// The states as the patch's code sees them: its own, and the newest ones below.
fn view(states: &States<'_>, own: &BTreeSet<u64>, all: &BTreeSet<u64>) -> Vec<LpState> {
    let of = |id: &u64, found: Option<(&lp_klp::state::KlpState, Option<u64>)>, flags| {
        found.map(|(state, data)| LpState {
            id: *id,
            version: state.version,
            flags,
            data: data.unwrap_or(0),
        })
    };
    let mine = own
        .iter()
        .filter_map(|id| of(id, states.get_state(*id), IN_TRANSITION));
    let below = all
        .iter()
        .filter_map(|id| of(id, states.get_prev_state(*id), BELOW));
    mine.chain(below).take(states::MAX).collect()
}

impl Site {
    /// What runs after the switch.
    fn after(&self, to: PatchState, leaving: Version) -> Version {
        let top = self.stack.last().copied().unwrap_or(Version::Original);
        match to {
            PatchState::Patched => top,
            // What lies over the version that goes is not touched.
            PatchState::Unpatched if top != leaving => self.active,
            PatchState::Unpatched => {
                let below = self.stack.iter().rev().nth(1);
                below.copied().unwrap_or(Version::Original)
            }
        }
    }
}

impl Target for Live<'_, '_> {
    type Site = u64;
    type Task = Whole;

    fn is_loaded(&self, object: &ObjName) -> bool {
        self.loaded.contains(object)
    }

    fn find(&mut self, object: &ObjName, func: &KlpFunc) -> Result<u64, Errno> {
        let key = key(object, &func.old_name, func.sympos);
        let known = self.functions.get(&key).copied();
        known
            .or_else(|| self.untouched(object, func))
            .ok_or(Errno::EINVAL)
    }

    fn patch_func(&mut self, site: u64, stack: &[Version]) -> Result<(), Errno> {
        let entry = self.sites.get_mut(&site).ok_or(Errno::EINVAL)?;
        let before = std::mem::replace(&mut entry.stack, stack.to_vec());
        let patched = self.patched_coming(site, stack.last());
        if let (Err(_), Some(entry)) = (patched, self.sites.get_mut(&site)) {
            entry.stack = before;
        }
        patched
    }

    fn unpatch_func(&mut self, site: u64, stack: &[Version]) {
        if let Some(site) = self.sites.get_mut(&site) {
            site.stack = stack.to_vec();
        }
    }

    fn callback(
        &mut self,
        callback: Callback,
        patch: &str,
        object: &ObjName,
        states: &mut States<'_>,
    ) -> Result<(), Errno> {
        let loaded = self.patches.values().find(|of| of.name == patch);
        let found = loaded.and_then(|of| {
            let address = *of.callbacks.get(&(object.clone(), callback))?;
            Some((of.call?, address, of.states.clone()))
        });
        let Some((site, address, own)) = found else {
            return Ok(());
        };
        if self.cannot_run(patch, object, callback) {
            self.skip(patch, callback);
            return Ok(());
        }
        match self.call(site, address, &own, states) {
            Ok(0) => Ok(()),
            Ok(answer) => Err(Errno(answer.saturating_abs())),
            Err(_) if self.has_gone(object) => {
                self.skip(patch, callback);
                Err(EIO)
            }
            Err(error) => {
                self.keep(error);
                Err(EIO)
            }
        }
    }

    fn tasks(&mut self) -> Vec<Whole> {
        vec![Whole]
    }

    fn may_switch(&mut self, _: Whole, busy: &[(u64, Version)]) -> bool {
        if self.giving_up {
            return true;
        }
        if self.fault.is_some() {
            return false;
        }
        let ranges = Busy::new(self.busy(busy));
        if let Err(error) = self.announce(busy) {
            self.keep(error);
            return false;
        }
        let is_free = self.is_free(&ranges);
        if is_free {
            self.leaving = busy.to_vec();
        }
        is_free
    }

    fn switch(&mut self, _: Whole, to: PatchState) {
        if !std::mem::take(&mut self.stopped) {
            return;
        }
        if let Err(error) = self.write(to) {
            self.keep(error);
        }
        self.go_on();
    }
}

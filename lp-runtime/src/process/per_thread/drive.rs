//! A transition from its beginning, or from where another loader left it, to its end or until time is up.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use lp_klp::core::Klp;
use lp_klp::errno::Errno;
use lp_klp::manifest::Manifest;
use lp_klp::name::ObjName;
use lp_klp::patch::PatchId;
use lp_klp::rules::Rules;
use lp_klp::transition::PatchState;

use super::changes::changes;
use super::target::{Before, PerThread};
use crate::process::error::ProcessError;
use crate::process::install::{FIRST_WAIT, LONGEST_WAIT, bytes_of};
use crate::process::kept::control::{Contents, Direction, InstalledPatch, Transition};
use crate::process::kept::journal::{Step, Stops, Transaction};
use crate::process::kept::mapped::Memory;
use crate::process::kept::recorded::record;
use crate::process::live::{Live, Parts};
use crate::process::prepare::patch_file::PatchFile;
use crate::process::prepare::plan::Plan;
use crate::process::session::{View, Work, prepare};
use crate::process::touch::check::Checker;
use crate::process::touch::syscall::Gate;
use crate::process::touch::write::WriteMemory;

/// The trampolines are empty in a moment; the operator's time may be up already.
const SETTLE: Duration = Duration::from_secs(2);

/// What is wished of a transition that is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::process) enum Wish {
    /// That threads go to the patch.
    Patched,
    /// That they go away from it.
    Unpatched,
    /// That it ends now, safe or not.
    Forced,
}

/// Puts a planned patch in, thread by thread; the longest time that all threads stood.
pub(in crate::process) fn load(
    mut work: Work<'_, '_>,
    view: &mut View,
    patch: &PatchFile,
    plan: &Plan,
) -> Result<Duration, ProcessError> {
    let loaded = try_load(&mut work, view, patch, plan);
    undo(work, view, loaded)
}

/// Finds out whether the old code of all that a planned patch replaces could be called under jumps.
pub(in crate::process) fn rehearse(
    view: &View,
    memory: &WriteMemory,
    patch: &PatchFile,
    plan: &Plan,
) -> Result<(), ProcessError> {
    let record = record(&view.contents(), patch, plan, &view.images);
    changes(view, memory, &record, &patch.manifest, true).map(drop)
}

/// Has threads leave a patch one by one. Its memory stays.
pub(in crate::process) fn disable(
    mut work: Work<'_, '_>,
    view: &mut View,
    name: &str,
) -> Result<Duration, ProcessError> {
    let disabled = try_disable(&mut work, view, name);
    undo(work, view, disabled)
}

/// What was not planted is undone as if the loader had been killed.
fn undo(
    work: Work<'_, '_>,
    view: &mut View,
    done: Result<Duration, ProcessError>,
) -> Result<Duration, ProcessError> {
    let failure = match done {
        Ok(window) => return Ok(window),
        Err(failure) => failure,
    };
    let undone = View::read(work.threads.pid(), work.memory).and_then(|now| {
        *view = now;
        prepare(work.threads, view, work.memory, work.steps)
    });
    Err(match undone {
        Ok(_) => failure,
        Err(undoing) => ProcessError::NotUndone {
            failure: Box::new(failure),
            undoing: Box::new(undoing),
        },
    })
}

fn try_load(
    work: &mut Work<'_, '_>,
    view: &mut View,
    patch: &PatchFile,
    plan: &Plan,
) -> Result<Duration, ProcessError> {
    let pid = work.threads.pid();
    let manifest = &patch.manifest;
    let gate = Gate::find(pid, &view.maps, work.memory)?;
    let mut tables = view.tables(pid, work.memory);
    for unwind in &plan.unwind {
        tables.add(&manifest.name, unwind.address, bytes_of(plan, unwind));
    }
    let before = view.contents();
    let mut record = record(&before, patch, plan, &view.images);
    let changes = changes(view, work.memory, &record, manifest, true)?;
    let name = record.name.clone();
    let Some(control) = &mut view.control else {
        return Err(ProcessError::NotInstalled { name });
    };
    let states_at = control.states();
    let memory = Memory::of_patch(pid, patch, plan, &view.images)?;
    let mut transaction =
        Transaction::begin(control, work.memory, work.steps, &name, Direction::Load)?;
    let mut stops = Stops::new(work.threads, gate, work.memory);
    memory.map(&mut stops, &mut transaction)?;
    let stood = stops.longest();
    memory.note(&mut record, plan);

    let live = Live::new(Parts {
        threads: &mut *work.threads,
        gate,
        memory: work.memory,
        images: &view.images,
        checker: Checker::new(pid, &view.maps, work.memory, &tables),
        states_at,
        transaction,
    });
    let begin = Before {
        changes,
        record: Some(record.clone()),
        began: Direction::Load,
        giving_up: false,
    };
    let mut target = PerThread::new(live, manifest, true, Some(begin));
    let known = know(&mut target, &before, None);
    target
        .live
        .know(PatchId(known.len() as u64), &record, manifest);
    for function in &plan.functions {
        if let Some(site) = target.live.sites.get_mut(&function.entry.jump_at) {
            site.old.clone_from(&function.old);
        }
    }
    let mut klp = adopt(target, known)?;
    klp.target.live.loaded.extend(plan.objects.iter().cloned());
    let enabled = klp.enable_patch(manifest.patch());
    klp.target.go_on();
    if let Some(fault) = klp.target.live.fault.take() {
        return Err(fault);
    }
    enabled.map_err(|errno| refused(&name, errno))?;
    Ok(wait_and_settle(&mut klp, work.timeout)?.max(stood))
}

fn refused(name: &str, errno: Errno) -> ProcessError {
    let name = name.to_owned();
    match errno {
        Errno::EINVAL | Errno::EBUSY | Errno::EEXIST => ProcessError::Core { name, errno },
        _ => ProcessError::Veto { name, errno },
    }
}

fn try_disable(
    work: &mut Work<'_, '_>,
    view: &mut View,
    name: &str,
) -> Result<Duration, ProcessError> {
    let pid = work.threads.pid();
    let gate = Gate::find(pid, &view.maps, work.memory)?;
    let tables = view.tables(pid, work.memory);
    let before = view.contents();
    let not_there = || ProcessError::NotInstalled {
        name: name.to_owned(),
    };
    let patch = before.patch(name).ok_or_else(not_there)?;
    let manifest = patch.described().ok_or_else(not_there)?;
    let changes = changes(view, work.memory, patch, &manifest, false)?;
    let control = view.control.as_mut().ok_or_else(not_there)?;
    let states_at = control.states();
    let transaction = Transaction::begin(
        control,
        work.memory,
        work.steps,
        name,
        Direction::Transition,
    )?;
    let live = Live::new(Parts {
        threads: &mut *work.threads,
        gate,
        memory: work.memory,
        images: &view.images,
        checker: Checker::new(pid, &view.maps, work.memory, &tables),
        states_at,
        transaction,
    });
    let codes: Vec<_> = changes
        .iter()
        .map(|it| (it.address, it.code.clone()))
        .collect();
    let begin = Before {
        changes,
        record: None,
        began: Direction::Unload,
        giving_up: false,
    };
    let mut target = PerThread::new(live, &manifest, false, Some(begin));
    let known = know(&mut target, &before, None);
    know_originals(&mut target, codes);
    let mut klp = adopt(target, known)?;
    let disabled = klp.write_enabled(name, false);
    klp.target.go_on();
    if let Some(fault) = klp.target.live.fault.take() {
        return Err(fault);
    }
    disabled.map_err(|errno| refused(name, errno))?;
    wait_and_settle(&mut klp, work.timeout)
}

/// Goes on with the transition that is under way; the longest time that all threads stood.
pub(in crate::process) fn resume(
    work: Work<'_, '_>,
    view: &mut View,
    wish: Wish,
) -> Result<Duration, ProcessError> {
    let timeout = work.timeout;
    with_transition(work, view, |klp, transition| {
        let name = &transition.patch;
        match wish {
            // Where all have switched there is nothing to wish for.
            _ if transition.ended => {}
            Wish::Forced => force(klp, name)?,
            Wish::Patched | Wish::Unpatched => {
                let patched = wish == Wish::Patched;
                if klp.target.patched != patched {
                    let turned = klp.write_enabled(name, patched);
                    turned.map_err(|errno| refused(name, errno))?;
                    klp.target.patched = patched;
                    klp.target.note(Step::Turned, |it| it.patched = patched)?;
                }
            }
        }
        klp.try_complete_transition();
        klp.target.go_on();
        wait_and_settle(klp, timeout)
    })
}

fn force(klp: &mut Klp<PerThread<'_, '_>>, name: &str) -> Result<(), ProcessError> {
    let deadline = Instant::now() + SETTLE;
    while !klp.target.stop() && Instant::now() < deadline {}
    klp.see_tasks();
    // It is said first: whoever is forced must never be forgotten.
    klp.target.note(Step::Turned, |it| it.forced = true)?;
    let forced = klp.write_force(name);
    forced.map_err(|errno| refused(name, errno))?;
    let left: Vec<String> = klp
        .patches()
        .iter()
        .filter(|it| it.forced)
        .map(|it| it.patch.name.clone())
        .collect();
    klp.target.note_forced(&left)
}

/// Does something with the core as the control area has it; for a transition that has ended, ends what is left of it.
pub(super) fn with_transition<R>(
    work: Work<'_, '_>,
    view: &mut View,
    then: impl FnOnce(&mut Klp<PerThread<'_, '_>>, &Transition) -> Result<R, ProcessError>,
) -> Result<R, ProcessError> {
    let pid = work.threads.pid();
    let gate = Gate::find(pid, &view.maps, work.memory)?;
    let tables = view.tables(pid, work.memory);
    let before = view.contents();
    let none = || ProcessError::NoTransition {
        name: String::new(),
    };
    let transition = before.transition.clone().ok_or_else(none)?;
    let patch = before.patch(&transition.patch).ok_or_else(none)?;
    let manifest = patch.described().ok_or_else(none)?;
    let control = view.control.as_mut().ok_or_else(none)?;
    let states_at = control.states();
    let transaction = Transaction::resume(control, work.steps, &transition.patch);
    let live = Live::new(Parts {
        threads: work.threads,
        gate,
        memory: work.memory,
        images: &view.images,
        checker: Checker::new(pid, &view.maps, work.memory, &tables),
        states_at,
        transaction,
    });
    let mut target = PerThread::new(live, &manifest, transition.patched, None);
    let enabling = transition.began == Direction::Load;
    let known = know(&mut target, &before, enabling.then_some(&*patch.name));
    if enabling {
        let id = PatchId(known.len() as u64);
        target.live.know(id, patch, &manifest);
    }
    let codes = transition
        .sites
        .iter()
        .map(|it| (it.address, it.code.clone()));
    know_originals(&mut target, codes);
    let mut klp = adopt(target, known)?;
    klp.target.live.loaded.extend(patched_objects(patch));
    if !transition.ended {
        let toward = side(transition.patched);
        let adopted = klp.adopt_transition(manifest.patch(), patch.data.clone(), toward);
        klp.target.go_on();
        adopted.map_err(|errno| refused(&transition.patch, errno))?;
    }
    then(&mut klp, &transition)
}

fn side(patched: bool) -> PatchState {
    if patched {
        PatchState::Patched
    } else {
        PatchState::Unpatched
    }
}

/// Takes in what is enabled, but for one patch.
fn know<'c>(
    target: &mut PerThread<'_, '_>,
    contents: &'c Contents,
    except: Option<&str>,
) -> Vec<(&'c InstalledPatch, Manifest)> {
    let known: Vec<(&InstalledPatch, Manifest)> = contents
        .enabled()
        .filter(|patch| Some(&*patch.name) != except)
        .filter_map(|patch| Some((patch, patch.described()?)))
        .collect();
    for ((patch, manifest), number) in known.iter().zip(0..) {
        target.live.know(PatchId(number), patch, manifest);
        target.live.lay_over(PatchId(number), patch);
    }
    known
}

/// The original code with its fragments, of which the control area's patches do not tell.
fn know_originals(
    target: &mut PerThread<'_, '_>,
    codes: impl IntoIterator<Item = (u64, Vec<(u64, u64)>)>,
) {
    for (address, code) in codes {
        if let Some(site) = target.live.sites.get_mut(&address) {
            let range = |(at, size): (u64, u64)| at..at.saturating_add(size);
            site.old.extend(code.into_iter().map(range));
        }
    }
}

fn adopt<'a, 's>(
    target: PerThread<'a, 's>,
    known: Vec<(&InstalledPatch, Manifest)>,
) -> Result<Klp<PerThread<'a, 's>>, ProcessError> {
    let mut klp = Klp::new(target, Rules::CURRENT);
    let mut all = BTreeSet::new();
    for (patch, manifest) in known {
        klp.target.live.loaded = patched_objects(patch).collect();
        all.extend(patched_objects(patch));
        let adopted = klp.adopt(manifest.patch(), patch.data.clone());
        adopted.map_err(|errno| refused(&patch.name, errno))?;
    }
    klp.target.live.loaded = all;
    Ok(klp)
}

fn patched_objects(patch: &InstalledPatch) -> impl Iterator<Item = ObjName> {
    let patched = patch.objects.iter().filter(|it| it.is_patched());
    patched.map(|it| it.name.clone())
}

/// Rounds until all threads have switched or time is up, then the end of it.
fn wait_and_settle(
    klp: &mut Klp<PerThread<'_, '_>>,
    timeout: Duration,
) -> Result<Duration, ProcessError> {
    let start = Instant::now();
    let mut pause = FIRST_WAIT;
    while klp.transition().is_some() {
        if let Some(fault) = klp.target.live.fault.take() {
            return Err(fault);
        }
        if start.elapsed() >= timeout {
            return Err(give_up(klp, start.elapsed()));
        }
        klp.target.live.wait(pause)?;
        pause = (2 * pause).min(LONGEST_WAIT);
        klp.try_complete_transition();
        klp.target.go_on();
    }
    if let Some(fault) = klp.target.live.fault.take() {
        return Err(fault);
    }
    klp.target.all_switched()?;
    klp.target.settle(SETTLE)?;
    Ok(klp.target.live.window)
}

/// Time is up. What was not even begun is undone; else the threads that have switched stay so.
fn give_up(klp: &mut Klp<PerThread<'_, '_>>, after: Duration) -> ProcessError {
    let threads = std::mem::take(&mut klp.target.left);
    let (name, patched) = (klp.target.name.clone(), klp.target.patched);
    let Some(before) = &mut klp.target.before else {
        return ProcessError::Stalled {
            name,
            patched,
            after,
            threads,
        };
    };
    before.giving_up = true;
    let _ = klp.write_enabled(&name, !patched);
    klp.try_complete_transition();
    klp.target.go_on();
    ProcessError::Busy {
        name,
        after,
        threads,
    }
}

impl PerThread<'_, '_> {
    /// Notes something of the transition in the control area.
    fn note(
        &mut self,
        step: Step,
        change: impl FnOnce(&mut Transition),
    ) -> Result<(), ProcessError> {
        let memory = self.live.at.memory;
        let noted = self.live.at.transaction.change(memory, step, |contents| {
            if let Some(transition) = &mut contents.transition {
                change(transition);
            }
        });
        Ok(noted?)
    }

    fn note_forced(&mut self, names: &[String]) -> Result<(), ProcessError> {
        let memory = self.live.at.memory;
        let transaction = &mut self.live.at.transaction;
        transaction.change(memory, Step::Turned, |contents| {
            for patch in &mut contents.patches {
                patch.forced |= names.contains(&patch.name);
            }
        })?;
        Ok(())
    }

    /// The core has ended it: what is left are the trampolines.
    fn all_switched(&mut self) -> Result<(), ProcessError> {
        let (name, data) = (self.name.clone(), self.data.clone());
        let memory = self.live.at.memory;
        let transaction = &mut self.live.at.transaction;
        transaction.change(memory, Step::AllSwitched, |contents| {
            if let Some(transition) = &mut contents.transition {
                transition.ended = true;
            }
            let ours = contents.patches.iter_mut().find(|it| it.name == name);
            if let Some(patch) = ours {
                patch.data.extend(data);
            }
        })?;
        Ok(())
    }
}

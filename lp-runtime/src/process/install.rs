//! A patch on its way in: mapped and filled, then handed to the livepatch core, which has all threads switch.
//!
//! Until the switch the process does not run a byte of it but its pre_patch callbacks. Given up on the way, the patch is taken out
//! by the journal, as if the loader had been killed.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::time::{Duration, Instant};

use lp_klp::core::Klp;
use lp_klp::errno::Errno;
use lp_klp::manifest::Manifest;
use lp_klp::patch::PatchId;
use lp_klp::rules::Rules;

use super::error::ProcessError;
use super::live::{Live, Parts, Site};
use super::session::{View, Work, prepare};
use super::suspended::{Search, behind_calls};
use crate::process::kept::control::{Contents, Direction, InstalledPatch};
use crate::process::kept::journal::{Stops, Transaction};
use crate::process::kept::mapped::Memory;
use crate::process::kept::recorded::record;
use crate::process::prepare::patch_file::PatchFile;
use crate::process::prepare::plan::{Plan, PlannedArea, PlannedUnwind, Warning};
use crate::process::read::maps::MapsError;
use crate::process::read::memory::read_vec;
use crate::process::touch::call::STACK_SIZE;
use crate::process::touch::check::{Busy, BusyRange, Checker};
use crate::process::touch::jump::JUMP_SIZE;
use crate::process::touch::syscall::Gate;
use crate::process::touch::write::WriteMemory;

/// The first wait for busy threads; each is twice as long as the one before.
pub(super) const FIRST_WAIT: Duration = Duration::from_millis(1);
pub(super) const LONGEST_WAIT: Duration = Duration::from_millis(100);

/// No function is larger.
const MAX_CODE: u64 = 16 << 20;

/// What there is to say of a patch that is in.
pub(in crate::process) struct Installed {
    /// The longest time that all threads stood.
    pub(in crate::process) window: Duration,
    /// Who goes on in the code that was left.
    pub(in crate::process) suspended: Option<Warning>,
}

impl Installed {
    /// That much is known where threads have switched one by one.
    pub(in crate::process) fn at(window: Duration) -> Self {
        Self {
            window,
            suspended: None,
        }
    }
}

/// Puts a planned patch in.
pub(super) fn install(
    mut work: Work<'_, '_>,
    view: &mut View,
    patch: &PatchFile,
    plan: &Plan,
) -> Result<Installed, ProcessError> {
    let failure = match try_install(&mut work, view, patch, plan) {
        Ok(installed) => return Ok(installed),
        Err(failure) => failure,
    };
    // As after a killed loader.
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

fn try_install(
    work: &mut Work<'_, '_>,
    view: &mut View,
    patch: &PatchFile,
    plan: &Plan,
) -> Result<Installed, ProcessError> {
    let pid = work.threads.pid();
    let gate = Gate::find(pid, &view.maps, work.memory)?;
    let mut tables = view.tables(pid, work.memory);
    for unwind in &plan.unwind {
        tables.add(&patch.manifest.name, unwind.address, bytes_of(plan, unwind));
    }
    let before = view.contents();
    let mut record = record(&before, patch, plan, &view.images);
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
    let mut klp = adopt(live, &before)?;
    klp.target.loaded.extend(plan.objects.iter().cloned());
    if patch.manifest.replace {
        klp.target
            .patches
            .values_mut()
            .for_each(|of| of.goes = true);
    }
    let id = klp.next_id();
    klp.target.know(id, &record, &patch.manifest);
    for function in &plan.functions {
        if let Some(site) = klp.target.sites.get_mut(&function.entry.jump_at) {
            site.old.clone_from(&function.old);
        }
    }
    enable(&mut klp, &patch.manifest, work.timeout)?;
    let installed = klp.patches().iter().find(|of| of.id == id);
    record.data = installed.map(|of| of.data.clone()).unwrap_or_default();
    let replaced: Vec<u64> = before
        .enabled()
        .filter(|_| patch.manifest.replace)
        .map(|of| of.id)
        .collect();
    let live = klp.target;
    let left = live.busy(&live.leaving);
    let stacks = callbacks_stacks(before.patches.iter().chain([&record]));
    live.at
        .transaction
        .install(work.memory, record, &replaced)?;
    // It is in, whatever becomes of the search.
    let suspended = suspended(
        (pid, work.memory),
        (left, &stacks),
        &live.sites,
        &live.at.checker,
    );
    Ok(Installed {
        window: live.window.max(stood),
        suspended: suspended.unwrap_or_default(),
    })
}

/// The stacks that we have mapped for callbacks: what those have left behind there nobody comes back to.
fn callbacks_stacks<'p>(patches: impl Iterator<Item = &'p InstalledPatch>) -> Vec<Range<u64>> {
    let stacks = patches.filter_map(|patch| patch.call);
    stacks
        .map(|(_, top)| top.saturating_sub(STACK_SIZE)..top)
        .collect()
}

/// Who goes on in code that has just been left, as far as it is known: such stacks are no thread's, so nobody waited for them.
fn suspended(
    (pid, memory): (i32, &WriteMemory),
    (left, ours): (Vec<BusyRange>, &[Range<u64>]),
    sites: &BTreeMap<u64, Site>,
    checker: &Checker<'_>,
) -> Result<Option<Warning>, MapsError> {
    /// So many are told of.
    const MOST: usize = 16;
    let code: Vec<_> = left.iter().map(|it| it.range.clone()).collect();
    let read = |range: &Range<u64>| {
        let size = range.end.saturating_sub(range.start);
        let mut bytes = read_vec(memory, range.start, size, MAX_CODE).ok()?;
        // The jump is there by now.
        if let (Some(site), Some(entry)) = (
            sites.get(&range.start),
            bytes.first_chunk_mut::<JUMP_SIZE>(),
        ) {
            *entry = site.original;
        }
        Some(behind_calls(range.start, &bytes))
    };
    let search = Search {
        pid,
        memory,
        tables: checker.tables(),
        threads: checker.stacks(),
        code: &code,
        places: Some(&code.iter().filter_map(read).flatten().collect()),
        except: ours,
    };
    let words = search.suspended(MOST)?;
    let busy = Busy::new(left);
    let named = words.iter().filter_map(|it| busy.function_at(it.pc));
    let functions: BTreeSet<String> = named.map(str::to_owned).collect();
    Ok((!functions.is_empty()).then(|| Warning::Suspended {
        functions: functions.into_iter().collect(),
    }))
}

/// The core, with what is installed.
pub(super) fn adopt<'a, 's>(
    mut live: Live<'a, 's>,
    contents: &Contents,
) -> Result<Klp<Live<'a, 's>>, ProcessError> {
    let known: Vec<(&InstalledPatch, Manifest)> = contents
        .enabled()
        .filter_map(|patch| Some((patch, patch.described()?)))
        .collect();
    for ((patch, manifest), number) in known.iter().zip(0..) {
        live.know(PatchId(number), patch, manifest);
        live.lay_over(PatchId(number), patch);
    }
    let mut klp = Klp::new(live, Rules::CURRENT);
    let mut all = BTreeSet::new();
    for (patch, manifest) in known {
        let patched = patch.objects.iter().filter(|it| it.is_patched());
        klp.target.loaded = patched.map(|it| it.name.clone()).collect();
        all.extend(klp.target.loaded.iter().cloned());
        let adopted = klp.adopt(manifest.patch(), patch.data.clone());
        adopted.map_err(|errno| ProcessError::Core {
            name: patch.name.clone(),
            errno,
        })?;
    }
    klp.target.loaded = all;
    Ok(klp)
}

fn enable(
    klp: &mut Klp<Live<'_, '_>>,
    manifest: &Manifest,
    timeout: Duration,
) -> Result<(), ProcessError> {
    let name = manifest.name.clone();
    let enabled = klp.enable_patch(manifest.patch());
    if let Some(fault) = klp.target.fault.take() {
        return Err(fault);
    }
    enabled.map_err(|errno| match errno {
        Errno::EINVAL | Errno::EBUSY | Errno::EEXIST => ProcessError::Core {
            name: name.clone(),
            errno,
        },
        _ => ProcessError::Veto {
            name: name.clone(),
            errno,
        },
    })?;
    wait(klp, &name, timeout, false)
}

/// Waits until the threads have switched; given up, all is as before: `enabled` or not.
pub(super) fn wait(
    klp: &mut Klp<Live<'_, '_>>,
    name: &str,
    timeout: Duration,
    enabled: bool,
) -> Result<(), ProcessError> {
    let start = Instant::now();
    let mut pause = FIRST_WAIT;
    while klp.transition().is_some() {
        if let Some(fault) = klp.target.fault.take() {
            return Err(fault);
        }
        if start.elapsed() >= timeout {
            let threads = std::mem::take(&mut klp.target.in_the_way);
            klp.target.giving_up = true;
            let _ = klp.write_enabled(name, enabled);
            klp.try_complete_transition();
            return Err(ProcessError::Busy {
                name: name.to_owned(),
                after: start.elapsed(),
                threads,
            });
        }
        klp.target.wait(pause)?;
        pause = (2 * pause).min(LONGEST_WAIT);
        klp.try_complete_transition();
    }
    match klp.target.fault.take() {
        Some(fault) => Err(fault),
        None => Ok(()),
    }
}

pub(super) fn bytes_of(plan: &Plan, unwind: &PlannedUnwind) -> Vec<u8> {
    let inside = |area: &&PlannedArea| {
        let end = area.address.saturating_add(area.bytes.len() as u64);
        (area.address..end).contains(&unwind.address)
    };
    let bytes = plan.areas.iter().find(inside).and_then(|area| {
        let start = usize::try_from(unwind.address - area.address).ok()?;
        let end = start.checked_add(usize::try_from(unwind.size).ok()?)?;
        area.bytes.get(start..end)
    });
    bytes.unwrap_or_default().to_vec()
}

//! A patch on its way in: mapped and filled, then handed to the livepatch core, which has all threads switch.
//!
//! Until the switch the process does not run a byte of it but its pre_patch callbacks. Given up on the way, the patch is taken out
//! by the journal, as if the loader had been killed.

use std::time::{Duration, Instant};

use lp_klp::core::Klp;
use lp_klp::errno::Errno;
use lp_klp::manifest::Manifest;
use lp_klp::patch::PatchId;
use lp_klp::rules::Rules;

use super::area::Area;
use super::call::{CallSite, STACK_SIZE, STUB};
use super::check::Checker;
use super::control::{AreaRecord, Contents, Direction, InstalledPatch, SiteRecord};
use super::error::ProcessError;
use super::journal::{Hands, Transaction};
use super::live::{Live, Parts, STOP, key};
use super::maps::Maps;
use super::patch_file::PatchFile;
use super::place::{Want, place};
use super::plan::{Plan, PlannedArea, PlannedUnwind};
use super::session::{View, Work, described, enabled, prepare};
use super::syscall::Gate;

const PAGE: u64 = 4096;
/// The first wait for busy threads; each is twice as long as the one before.
const FIRST_WAIT: Duration = Duration::from_millis(1);
const LONGEST_WAIT: Duration = Duration::from_millis(100);

/// Puts a planned patch in; the longest time that all threads stood.
pub(super) fn install(
    mut work: Work<'_, '_>,
    view: &mut View,
    patch: &PatchFile,
    plan: &Plan,
) -> Result<Duration, ProcessError> {
    let failure = match try_install(&mut work, view, patch, plan) {
        Ok(window) => return Ok(window),
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
) -> Result<Duration, ProcessError> {
    let pid = work.threads.pid();
    let gate = Gate::find(pid, &view.maps, work.memory)?;
    let mut tables = view.tables(pid, work.memory);
    for unwind in &plan.unwind {
        tables.add(&patch.manifest.name, unwind.address, bytes_of(plan, unwind));
    }
    let before = view.contents();
    let mut record = record(&before, patch, plan)?;
    let name = record.name.clone();
    let Some(control) = &mut view.control else {
        return Err(ProcessError::NotInstalled { name });
    };
    let states_at = control.states();
    let mut transaction =
        Transaction::begin(control, work.memory, work.steps, &name, Direction::Load)?;
    work.threads.stop_all(STOP)?;
    let mapped = map(work.threads, gate, work.memory, &mut transaction, plan);
    work.threads.resume_all();
    let (areas, call) = mapped?;
    record.areas = areas;
    record.call = call.map(|call| (call.stub, call.stack_top));

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
    let replaced: Vec<u64> = enabled(&before)
        .filter(|_| patch.manifest.replace)
        .map(|of| of.id)
        .collect();
    let live = klp.target;
    live.at
        .transaction
        .install(work.memory, record, &replaced)?;
    Ok(live.window)
}

/// The core, with what is installed.
pub(super) fn adopt<'a, 's>(
    mut live: Live<'a, 's>,
    contents: &Contents,
) -> Result<Klp<Live<'a, 's>>, ProcessError> {
    let known: Vec<(&InstalledPatch, Manifest)> = enabled(contents)
        .filter_map(|patch| Some((patch, described(patch)?)))
        .collect();
    for ((patch, manifest), number) in known.iter().zip(0..) {
        live.know(PatchId(number), patch, manifest);
        live.lay_over(PatchId(number), patch);
    }
    let mut klp = Klp::new(live, Rules::CURRENT);
    for (patch, manifest) in known {
        let adopted = klp.adopt(manifest.patch(), patch.data.clone());
        adopted.map_err(|errno| ProcessError::Core {
            name: patch.name.clone(),
            errno,
        })?;
    }
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

fn bytes_of(plan: &Plan, unwind: &PlannedUnwind) -> Vec<u8> {
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

/// Maps the patch's memory and fills it; its areas, and where its callbacks are called from.
fn map(
    threads: &mut super::threads::Threads,
    gate: Gate,
    memory: &super::write::WriteMemory,
    transaction: &mut Transaction<'_, '_>,
    plan: &Plan,
) -> Result<(Vec<AreaRecord>, Option<CallSite>), ProcessError> {
    let tid = threads.helper(memory)?;
    let pid = threads.pid();
    let mut hands = Hands {
        threads,
        tid,
        gate,
        memory,
    };
    let mut areas = Vec::new();
    for area in &plan.areas {
        let record = AreaRecord {
            address: area.address,
            size: area.bytes.len() as u64,
            protection: area.area,
        };
        transaction.map(&mut hands, record)?;
        transaction.fill(&hands, record, &area.bytes)?;
        areas.push(record);
    }
    let Some(callback) = plan.callbacks.first() else {
        return Ok((areas, None));
    };
    // One page of text, one that is not mapped, then the stack; near the patch's code for no reason but order.
    let want = Want {
        object: "the callbacks' stack".into(),
        near: callback.address..callback.address + 1,
        size: 2 * PAGE + STACK_SIZE,
        low: false,
    };
    let address = place(&Maps::read(pid)?, &[want])?;
    let address = address.first().copied().unwrap_or(0);
    let text = AreaRecord {
        address,
        size: PAGE,
        protection: Area::Text,
    };
    let stack = AreaRecord {
        address: address + 2 * PAGE,
        size: STACK_SIZE,
        protection: Area::Data,
    };
    transaction.map(&mut hands, text)?;
    transaction.fill(&hands, text, &STUB)?;
    transaction.map(&mut hands, stack)?;
    areas.extend([text, stack]);
    let call = CallSite {
        stub: text.address,
        stack_top: stack.address + stack.size,
    };
    Ok((areas, Some(call)))
}

/// What the control area will say of the patch; its memory is not known yet.
fn record(
    contents: &Contents,
    patch: &PatchFile,
    plan: &Plan,
) -> Result<InstalledPatch, ProcessError> {
    let manifest = &patch.manifest;
    let functions = manifest.objects.iter().flat_map(|object| {
        object
            .functions
            .iter()
            .map(move |function| (object, function))
    });
    let sites = functions
        .zip(0..)
        .filter_map(|((object, function), number)| {
            let wanted = key(&object.name, &function.name, function.sympos);
            let mut planned = plan.functions.iter();
            let planned = planned.find(|it| key(&it.object, &it.name, it.sympos) == wanted)?;
            Some(SiteRecord {
                number,
                address: planned.entry.jump_at,
                original: planned.entry.original,
                new_address: planned.new.start,
                new_size: planned.new.end - planned.new.start,
                old_address: planned.entry.address,
                old_size: planned.entry.size,
            })
        });
    let callbacks = plan.callbacks.iter().map(|it| {
        let (object, callback) = (it.object.to_string(), it.callback.name().to_owned());
        (object, callback, it.address)
    });
    let json = manifest.to_json().unwrap_or_default();
    Ok(InstalledPatch {
        id: contents.next_patch,
        name: manifest.name.clone(),
        manifest: String::from_utf8_lossy(&json).into_owned(),
        enabled: true,
        areas: Vec::new(),
        sites: sites.collect(),
        callbacks: callbacks.collect(),
        call: None,
        unwind: plan.unwind.iter().map(|it| (it.address, it.size)).collect(),
        data: Default::default(),
    })
}

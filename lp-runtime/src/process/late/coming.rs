//! An object that has come (`dlopen`) and that patches wait for: its part of each is planned from the file that is kept in the
//! process, mapped, and the core patches it, as the kernel's does with a module (`klp_module_coming`).
//!
//! A process cannot be kept from loading it: what cannot be patched stays as it is, and is reported.

use std::collections::BTreeMap;
use std::time::Duration;

use lp_klp::errno::Errno;
use lp_klp::name::ObjName;

use crate::process::error::ProcessError;
use crate::process::install::adopt;
use crate::process::kept::control::{
    Contents, Direction, InstalledPatch, ObjectRecord, ObjectState,
};
use crate::process::kept::journal::{Stops, Transaction};
use crate::process::kept::mapped::{Memory, hash};
use crate::process::kept::recorded::{add, add_areas};
use crate::process::live::{Live, Parts};
use crate::process::prepare::patch_file::{LARGEST_FILE, PatchFile};
use crate::process::prepare::plan::{Plan, Refusal, Warning};
use crate::process::read::maps::Maps;
use crate::process::read::memory::read_vec;
use crate::process::session::{View, Work, prepare};
use crate::process::touch::check::Checker;
use crate::process::touch::syscall::Gate;
use crate::process::touch::write::WriteMemory;

/// Patches an object; the longest time that all threads stood, and what the operator should know.
pub(in crate::process) fn patch(
    work: &mut Work<'_, '_>,
    view: &mut View,
    object: &ObjName,
) -> Result<(Duration, Vec<Warning>), ProcessError> {
    let failure = match try_patch(work, view, object) {
        Ok(done) => return Ok(done),
        Err(failure) => failure,
    };
    // As after a killed loader.
    let undone = View::read(work.threads.pid(), work.memory).and_then(|now| {
        *view = now;
        prepare(work.threads, view, work.memory, work.steps)?;
        match failure {
            ProcessError::Veto { .. } => refuse(work.memory, view, object),
            _ => Ok(()),
        }
    });
    Err(match undone {
        Ok(()) => failure,
        Err(undoing) => ProcessError::NotUndone {
            failure: Box::new(failure),
            undoing: Box::new(undoing),
        },
    })
}

fn try_patch(
    work: &mut Work<'_, '_>,
    view: &mut View,
    object: &ObjName,
) -> Result<(Duration, Vec<Warning>), ProcessError> {
    let pid = work.threads.pid();
    let gate = Gate::find(pid, &view.maps, work.memory)?;
    let mut tables = view.tables(pid, work.memory);
    let before = view.contents();
    let waiting = waiting(&before, object);
    let mut plans = Vec::new();
    let mut maps = view.maps.clone();
    for patch in &waiting {
        let file = kept(patch, work.memory)?;
        let plan = plan(view, &maps, work.memory, (patch, &file), object)?;
        let areas = plan.areas.iter();
        maps.reserve(areas.map(|it| it.address..it.address.saturating_add(it.bytes.len() as u64)));
        plans.push(((*patch).clone(), file, plan));
    }
    let Some(control) = &mut view.control else {
        return Ok(Default::default());
    };
    let states_at = control.states();
    let names: Vec<&str> = waiting.iter().map(|it| it.name.as_str()).collect();
    let (names, direction) = (names.join(", "), Direction::Coming);
    let mut transaction = Transaction::begin(control, work.memory, work.steps, &names, direction)?;
    let mut stops = Stops::new(work.threads, gate, work.memory);
    for (record, _, plan) in &mut plans {
        let memory = Memory::of_plan(plan);
        memory.map(&mut stops, &mut transaction)?;
        record.areas.extend(memory.records());
    }
    let stood = stops.longest();
    for (record, file, plan) in &mut plans {
        add(record, &file.manifest, plan, &view.images);
        let areas = std::mem::take(&mut record.areas);
        add_areas(record, plan, &areas);
        for unwind in &plan.unwind {
            tables.add(
                &record.name,
                unwind.address,
                crate::process::install::bytes_of(plan, unwind),
            );
        }
    }

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
    for (record, file, plan) in &plans {
        let mut installed = klp.patches().iter();
        let found = installed.find(|it| it.patch.name == record.name);
        if let Some(id) = found.map(|it| it.id) {
            klp.target.know(id, record, &file.manifest);
        }
        for function in &plan.functions {
            if let Some(site) = klp.target.sites.get_mut(&function.entry.jump_at) {
                site.old.clone_from(&function.old);
            }
        }
    }
    klp.target.loaded.insert(object.clone());
    klp.target.begin_coming(object, work.timeout);
    let mut coming = klp.module_coming(object);
    if coming.is_ok() {
        coming = klp.target.redirect_coming();
        if coming.is_err() {
            klp.module_going(object);
        }
    }
    if let Some(fault) = klp.target.fault.take() {
        return Err(fault);
    }
    coming.map_err(|errno| failed(names, errno, &mut klp.target, work.timeout))?;
    let mut records = Vec::new();
    let mut warnings = Vec::new();
    for (mut record, _, plan) in plans {
        let mut installed = klp.patches().iter();
        if let Some(of) = installed.find(|it| it.patch.name == record.name) {
            record.data.clone_from(&of.data);
        }
        records.push(record);
        warnings.extend(plan.warnings);
    }
    let live = klp.target;
    live.at.transaction.update(work.memory, records)?;
    Ok((live.window.max(stood), warnings))
}

/// The patches in use that have an object which is not patched, from the oldest to the newest.
fn waiting<'a>(contents: &'a Contents, object: &ObjName) -> Vec<&'a InstalledPatch> {
    let has = |patch: &&InstalledPatch| {
        let objects = patch.described().map_or_else(Vec::new, |it| it.objects);
        patch.patched(object).is_none() && objects.iter().any(|it| it.name == *object)
    };
    contents.enabled().filter(has).collect()
}

/// A patch's file, as it was when it was loaded.
fn kept(patch: &InstalledPatch, memory: &WriteMemory) -> Result<PatchFile, ProcessError> {
    let name = || patch.name.clone();
    let lost = || ProcessError::NoFile { name: name() };
    let file = patch.file.as_ref().ok_or_else(lost)?;
    let bytes = read_vec(memory, file.address, file.size, LARGEST_FILE)?;
    if hash(&bytes) != file.sha256 {
        return Err(lost());
    }
    Ok(PatchFile::parse(&bytes)?)
}

fn plan(
    view: &View,
    maps: &Maps,
    memory: &WriteMemory,
    (patch, file): (&InstalledPatch, &PatchFile),
    object: &ObjName,
) -> Result<Plan, ProcessError> {
    let refused = |refusal| ProcessError::Refused(vec![refusal]);
    let image = view.images.find(object)?;
    if image.is_some_and(|image| image.dynamic.text_relocations) {
        let object = object.clone();
        return Err(refused(Refusal::TextRelocations { object }));
    }
    let mut bases = BTreeMap::new();
    for it in &patch.objects {
        if it.name == *object && it.state == ObjectState::Gone && it.shared {
            let object = object.clone();
            return Err(refused(Refusal::PartStays { object }));
        }
        if it.is_patched() || it.shared {
            bases.extend(it.base.map(|base| (it.name.clone(), base)));
        }
    }
    let at_first = patch.at_first.iter().cloned().collect();
    let done = Plan::resume(file, &at_first, bases).map_err(|it| refused(it.into()))?;
    view.with_inputs(file, maps, memory, |inputs| done.late(inputs, object))
        .map_err(ProcessError::Refused)
}

fn failed(name: String, errno: Errno, live: &mut Live<'_, '_>, after: Duration) -> ProcessError {
    let threads = std::mem::take(&mut live.in_the_way);
    match errno {
        Errno::EBUSY if !threads.is_empty() => ProcessError::Busy {
            name,
            after,
            threads,
        },
        Errno::EINVAL => ProcessError::Core { name, errno },
        _ => ProcessError::Veto { name, errno },
    }
}

/// Notes that an object's pre_patch said no: this very one is not asked again.
fn refuse(memory: &WriteMemory, view: &mut View, object: &ObjName) -> Result<(), ProcessError> {
    let Some(image) = view.images.find(object)? else {
        return Ok(());
    };
    let record = ObjectRecord {
        name: object.clone(),
        build_id: image.build_id_text(),
        bias: image.bias,
        state: ObjectState::Refused,
        base: None,
        areas: Vec::new(),
        shared: false,
        needing: Vec::new(),
    };
    let mut contents = view.contents();
    let waiting: Vec<u64> = waiting(&contents, object).iter().map(|it| it.id).collect();
    for patch in contents
        .patches
        .iter_mut()
        .filter(|it| waiting.contains(&it.id))
    {
        patch.objects.push(record.clone());
    }
    if let Some(control) = &mut view.control {
        control.commit(memory, contents)?;
    }
    Ok(())
}

//! An object that has gone (`dlclose`): the patches let go of it, as the kernel's do of a module.
//!
//! Nobody asked us before, so its memory is no more, and nothing is written where it was. Its callbacks run, but those that
//! refer to the object itself. What was in memory for it is only entered through the jumps that went with it; it is
//! unmapped once no thread is inside, unless other parts of the patch use it, and else stays until the next time.

use lp_klp::name::ObjName;
use lp_klp::target::Callback;

use crate::process::error::ProcessError;
use crate::process::install::adopt;
use crate::process::kept::area::Area;
use crate::process::kept::control::{AreaRecord, Contents, Direction, InstalledPatch, ObjectState};
use crate::process::kept::journal::{Hands, Transaction};
use crate::process::live::{Live, Parts};
use crate::process::session::{View, Work};
use crate::process::touch::check::{Busy, BusyRange, Checker};
use crate::process::touch::syscall::Gate;

/// Lets go of objects that have gone; the callbacks that could not run, by patch.
pub(in crate::process) fn let_go(
    work: &mut Work<'_, '_>,
    view: &mut View,
    gone: &[ObjName],
) -> Result<Vec<(String, Callback)>, ProcessError> {
    let pid = work.threads.pid();
    let gate = Gate::find(pid, &view.maps, work.memory)?;
    let tables = view.tables(pid, work.memory);
    let before = view.contents();
    let Some(control) = &mut view.control else {
        return Ok(Vec::new());
    };
    let states_at = control.states();
    let name = concerned(&before, gone);
    let transaction =
        Transaction::begin(control, work.memory, work.steps, &name, Direction::Going)?;
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
    for object in gone {
        klp.target.gone = Some(object.clone());
        klp.module_going(object);
    }
    let mut patches = before.patches.clone();
    for installed in klp.patches() {
        let mut patches = patches.iter_mut();
        let patch = patches.find(|it| it.enabled && it.name == installed.patch.name);
        if let Some(patch) = patch {
            patch.data.clone_from(&installed.data);
        }
    }
    let skipped = std::mem::take(&mut klp.target.skipped);
    forget(&mut patches, gone);
    free(klp.target, patches)?;
    let name_of = |it: crate::process::live::Skipped| (it.patch, it.callback);
    Ok(skipped.into_iter().map(name_of).collect())
}

/// The patches that have these objects, for who finds the journal.
fn concerned(contents: &Contents, gone: &[ObjName]) -> String {
    let has = |patch: &&InstalledPatch| patch.objects.iter().any(|it| gone.contains(&it.name));
    let names = contents.patches.iter().filter(has);
    let names: Vec<&str> = names.map(|it| it.name.as_str()).collect();
    names.join(", ")
}

/// Takes the objects out of what is said of the patches.
fn forget(patches: &mut [InstalledPatch], gone: &[ObjName]) {
    for patch in patches {
        let numbers = numbers(patch, gone);
        patch.sites.retain(|site| !numbers.contains(&site.number));
        let is_gone = |name: &str| gone.iter().any(|it| it.to_string() == name);
        patch.callbacks.retain(|(object, ..)| !is_gone(object));
        let mut kept = Vec::new();
        for mut object in std::mem::take(&mut patch.objects) {
            if gone.contains(&object.name) && object.state != ObjectState::Gone {
                object.state = ObjectState::Gone;
                object.needing.clear();
                // What had no memory leaves nothing.
                kept.extend((!object.areas.is_empty()).then_some(object));
            } else {
                kept.push(object);
            }
        }
        patch.objects = kept;
    }
}

/// The numbers of the functions of these objects.
fn numbers(patch: &InstalledPatch, gone: &[ObjName]) -> Vec<u32> {
    let manifest = patch.described();
    let objects = manifest.iter().flat_map(|it| &it.objects);
    let functions = objects.flat_map(|object| {
        let is_gone = gone.contains(&object.name);
        object.functions.iter().map(move |_| is_gone)
    });
    functions
        .zip(0..)
        .filter_map(|(is_gone, number)| is_gone.then_some(number))
        .collect()
}

/// Unmaps what no one uses, and ends the transaction.
fn free(mut live: Live<'_, '_>, mut patches: Vec<InstalledPatch>) -> Result<(), ProcessError> {
    let text = unused(&patches).filter(|area| area.protection == Area::Text);
    let busy = Busy::new(text.map(|area| BusyRange {
        range: area.range(),
        function: "what has gone".into(),
    }));
    if unused(&patches).next().is_none() || !live.is_free(&busy) {
        live.at.transaction.update(live.at.memory, patches)?;
        return live.fault.map_or(Ok(()), Err);
    }
    let areas: Vec<AreaRecord> = unused(&patches).copied().collect();
    let is_freed = |address: u64| areas.iter().any(|it| it.address == address);
    for patch in &mut patches {
        patch.areas.retain(|it| !is_freed(it.address));
        let freed = |address: u64| {
            let inside = |it: &AreaRecord| address.wrapping_sub(it.address) < it.size;
            areas.iter().any(inside)
        };
        patch.unwind.retain(|(address, _)| !freed(*address));
        patch
            .objects
            .retain(|it| it.state != ObjectState::Gone || it.shared);
    }
    let tid = live.at.threads.helper(live.at.memory)?;
    let mut hands = Hands {
        threads: &mut *live.at.threads,
        tid,
        gate: live.at.gate,
        memory: live.at.memory,
    };
    let released = live.at.transaction.release(&mut hands, patches, areas);
    live.at.threads.resume_all();
    Ok(released?)
}

/// The memory for objects that have gone, but for what other parts use.
fn unused(patches: &[InstalledPatch]) -> impl Iterator<Item = &AreaRecord> {
    patches.iter().flat_map(|patch| {
        let objects = patch.objects.iter();
        let gone = objects.filter(|it| it.state == ObjectState::Gone && !it.shared);
        let addresses: Vec<u64> = gone.flat_map(|it| it.areas.iter().copied()).collect();
        let areas = patch.areas.iter();
        areas.filter(move |area| addresses.contains(&area.address))
    })
}

//! A patch on its way out: its functions go back to what is below, then its memory is unmapped.
//!
//! One that was replaced runs no more; only its memory is left. In both cases no thread may be in any of its text, new functions
//! and those that no one replaced included: a thread that called one from a patched function may have returned past that by a
//! jump. The tempting wrong way is to look for the replaced functions alone.

use std::time::{Duration, Instant};

use super::error::ProcessError;
use super::install::{adopt, wait};
use super::live::{Live, Parts};
use super::session::{View, Work};
use crate::process::kept::area::Area;
use crate::process::kept::control::{Contents, Direction, InstalledPatch};
use crate::process::kept::journal::{Stops, Transaction};
use crate::process::touch::check::{Busy, BusyRange, Checker};
use crate::process::touch::syscall::Gate;

/// Takes a patch out; the longest time that all threads stood.
pub(super) fn remove(
    work: Work<'_, '_>,
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
    if patch.forced && !patch.enabled {
        let name = name.to_owned();
        return Err(ProcessError::Forced { name });
    }
    let Some(control) = &mut view.control else {
        return Err(not_there());
    };
    let states_at = control.states();
    let transaction =
        Transaction::begin(control, work.memory, work.steps, name, Direction::Unload)?;
    let mut live = Live::new(Parts {
        threads: &mut *work.threads,
        gate,
        memory: work.memory,
        images: &view.images,
        checker: Checker::new(pid, &view.maps, work.memory, &tables),
        states_at,
        transaction,
    });
    if patch.enabled {
        live = disable(live, &before, name, work.timeout)?;
    }
    unmap(live, patch, work.timeout)
}

fn disable<'a, 's>(
    live: Live<'a, 's>,
    contents: &Contents,
    name: &str,
    timeout: Duration,
) -> Result<Live<'a, 's>, ProcessError> {
    let mut klp = adopt(live, contents)?;
    let going = klp.target.patches.values_mut().find(|of| of.name == name);
    if let Some(of) = going {
        of.goes = true;
    }
    let disabled = klp.write_enabled(name, false);
    if let Some(fault) = klp.target.fault.take() {
        forget(&mut klp.target);
        return Err(fault);
    }
    disabled.map_err(|errno| ProcessError::Core {
        name: name.to_owned(),
        errno,
    })?;
    match wait(&mut klp, name, timeout, true) {
        Ok(()) => Ok(klp.target),
        Err(error) => {
            forget(&mut klp.target);
            Err(error)
        }
    }
}

/// Where nothing was changed, what the journal says is not so.
fn forget(live: &mut Live<'_, '_>) {
    if !live.touched {
        // Where that cannot be written, the next loader sees it.
        let _ = live.at.transaction.give_up(live.at.memory);
    }
}

/// Unmaps the patch's memory once nobody is inside.
fn unmap(
    mut live: Live<'_, '_>,
    patch: &InstalledPatch,
    timeout: Duration,
) -> Result<Duration, ProcessError> {
    let text = patch
        .areas
        .iter()
        .filter(|area| area.protection == Area::Text);
    let busy = Busy::new(text.map(|area| BusyRange {
        range: area.address..area.address.saturating_add(area.size),
        function: format!("patch {}", patch.name),
    }));
    let start = Instant::now();
    while !live.is_free(&busy) {
        if let Some(fault) = live.fault.take() {
            return Err(fault);
        }
        if start.elapsed() >= timeout {
            return Err(ProcessError::StillInside {
                name: patch.name.clone(),
                after: start.elapsed(),
                threads: std::mem::take(&mut live.in_the_way),
            });
        }
        live.wait(Duration::from_millis(10))?;
    }
    // Nothing leads there any more: what is outside stays outside.
    live.go_on();
    let mut stops = Stops::new(live.at.threads, live.at.gate, live.at.memory);
    live.at.transaction.remove(&mut stops, patch.id)?;
    Ok(live.window.max(stops.longest()))
}

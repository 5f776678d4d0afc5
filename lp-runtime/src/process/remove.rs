//! A patch on its way out: its functions go back to what is below, then its memory is unmapped.
//!
//! One that was replaced runs no more; only its memory is left. In both cases no thread may be in any of its text, new functions
//! and those that no one replaced included: a thread that called one from a patched function may have returned past that by a
//! jump. The tempting wrong way is to look for the replaced functions alone. Where someone may be in it who is on no thread's stack
//! (`suspended`), the patch is out and its memory stays.

use std::time::{Duration, Instant};

use super::error::ProcessError;
use super::install::{adopt, wait};
use super::live::{Live, Parts};
use super::session::{View, Work};
use super::suspended::Suspended;
use crate::process::kept::control::{Contents, Direction, InstalledPatch, Stays};
use crate::process::kept::journal::{Stops, Transaction};
use crate::process::prepare::plan::Warning;
use crate::process::touch::check::Checker;
use crate::process::touch::syscall::Gate;

/// What became of it.
pub(super) struct Removed {
    /// The longest time that all threads stood.
    pub(super) window: Duration,
    /// What of it had to stay.
    pub(super) stays: Option<Warning>,
}

/// Takes a patch out.
pub(super) fn remove(
    work: Work<'_, '_>,
    view: &mut View,
    name: &str,
) -> Result<Removed, ProcessError> {
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
    let (states_at, control_at) = (control.states(), control.address());
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
    unmap(live, patch, control_at, work.timeout)
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
    control_at: u64,
    timeout: Duration,
) -> Result<Removed, ProcessError> {
    let stays = Stays::of(patch);
    let deadline = Instant::now() + timeout;
    outside(&mut live, &stays, timeout, deadline)?;
    // Nothing leads there any more: who is outside stays outside, and comes back only from where it is suspended.
    let at = (live.at.threads.pid(), live.at.memory, control_at);
    if let Some(suspended) = stays.suspended(&live.at.checker, at)? {
        let warning = warning(patch, suspended);
        live.at.transaction.leave(live.at.memory, patch.id, stays)?;
        return Ok(Removed {
            window: live.window,
            stays: Some(warning),
        });
    }
    // One that was suspended when we began to look may run now.
    outside(&mut live, &stays, timeout, deadline)?;
    let mut stops = Stops::new(live.at.threads, live.at.gate, live.at.memory);
    live.at.transaction.remove(&mut stops, patch.id)?;
    Ok(Removed {
        window: live.window.max(stops.longest()),
        stays: None,
    })
}

/// Waits until no thread is inside; they run again then.
fn outside(
    live: &mut Live<'_, '_>,
    stays: &Stays,
    timeout: Duration,
    deadline: Instant,
) -> Result<(), ProcessError> {
    let busy = stays.busy();
    while !live.is_free(&busy) {
        if let Some(fault) = live.fault.take() {
            return Err(fault);
        }
        if Instant::now() >= deadline {
            return Err(ProcessError::StillInside {
                name: stays.patch.clone(),
                after: timeout,
                threads: std::mem::take(&mut live.in_the_way),
            });
        }
        live.wait(Duration::from_millis(10))?;
    }
    live.go_on();
    Ok(())
}

fn warning(patch: &InstalledPatch, suspended: Suspended) -> Warning {
    let has = |address: u64, size: u64| {
        let end = address.saturating_add(size);
        (address..end).contains(&suspended.pc)
    };
    let mut sites = patch.sites.iter();
    let number = sites
        .find(|it| has(it.new_address, it.new_size))
        .map(|it| it.number as usize);
    let described = patch.described();
    let functions = described.iter().flat_map(|it| &it.objects);
    let mut functions = functions.flat_map(|it| &it.functions);
    let function = number.and_then(|number| functions.nth(number));
    Warning::Stays {
        size: patch.areas.iter().map(|area| area.size).sum(),
        at: suspended.at,
        function: function.map(|it| it.name.clone()),
    }
}

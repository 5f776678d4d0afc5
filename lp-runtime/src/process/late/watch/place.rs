//! The watcher's stub on its way into a process and out of it, journalled as a patch is.

use std::time::Instant;

use super::{PATIENCE, POLL, WatchError, hook, stub};
use crate::process::error::ProcessError;
use crate::process::kept::area::Area;
use crate::process::kept::control::{AreaRecord, Direction, Watching};
use crate::process::kept::journal::{Hands, Steps, Transaction};
use crate::process::live::{Live, Parts, STOP};
use crate::process::prepare::layout::PAGE;
use crate::process::prepare::place::{Want, place};
use crate::process::read::identity::Identity;
use crate::process::session::{Process, View, Work, prepare};
use crate::process::touch::check::{Busy, BusyRange, Checker};
use crate::process::touch::jump::{JUMP_SIZE, JumpError, TextChange, jump};
use crate::process::touch::syscall::Gate;
use crate::process::touch::threads::with_threads;
use crate::process::touch::write::{WriteError, WriteMemory};

/// `madvise`: a child gets the pages empty (Linux 4.14).
const MADV_WIPEONFORK: u64 = 18;
/// What the journal calls it.
const NAME: &str = "(watch)";

/// Puts the stub in, and turns it on.
pub(super) fn put_in(
    process: &Process,
    memory: &WriteMemory,
    steps: &mut Steps<'_>,
) -> Result<Watching, ProcessError> {
    let of = process.about().identity;
    let by = Identity::of(nix::unistd::gettid().as_raw())?;
    let mut view = View::read(of.pid, memory)?;
    if let Some(other) = view.contents().watch.filter(|it| it.is_live(of)) {
        return Err(WatchError::Watched { by: other.by.pid }.into());
    }
    // The stub of a watcher that was killed goes.
    process.put_right(&mut view, memory, steps, PATIENCE)?;
    if let Some(other) = view.contents().watch {
        return Err(WatchError::Watched { by: other.by.pid }.into());
    }
    let watching = with_threads(of.pid, |threads| {
        prepare(threads, &mut view, memory, steps)?;
        let work = Work {
            threads,
            memory,
            steps,
            timeout: PATIENCE,
        };
        try_put_in(work, &mut view, (by, of))
    })?;
    let watching = match watching {
        Ok(watching) => watching,
        Err(error) => {
            // As after a killed watcher.
            let mut view = View::read(of.pid, memory)?;
            process.put_right(&mut view, memory, steps, PATIENCE)?;
            return Err(error);
        }
    };
    arm(memory, &watching)?;
    Ok(watching)
}

/// From now on the stub waits for answers.
pub(super) fn arm(memory: &WriteMemory, watching: &Watching) -> Result<(), WriteError> {
    memory.write_data(
        watching.words.address.wrapping_add(stub::WATCHED),
        &1u32.to_le_bytes(),
    )
}

fn try_put_in(
    work: Work<'_, '_>,
    view: &mut View,
    (by, of): (Identity, Identity),
) -> Result<Watching, ProcessError> {
    let hook = hook::find(&view.images, work.memory)?;
    let gate = Gate::find(of.pid, &view.maps, work.memory)?;
    let tables = view.tables(of.pid, work.memory);
    let want = Want {
        object: "the watcher's stub".into(),
        near: hook.near.clone(),
        size: 3 * PAGE,
        low: false,
    };
    let address = place(&view.maps, &[want])?.first().copied().unwrap_or(0);
    let area = |address, protection| AreaRecord {
        address,
        size: PAGE,
        protection,
    };
    let watching = Watching {
        by,
        of,
        hook: hook.jump_at,
        original: hook.original,
        text: area(address, Area::Text),
        words: area(address + 2 * PAGE, Area::Data),
    };
    let change = TextChange {
        address: hook.jump_at,
        old: hook.original,
        new: jump(hook.jump_at, address).map_err(failed)?,
    };
    let Some(control) = &mut view.control else {
        return Err(WatchError::NoLinker.into());
    };
    let transaction =
        Transaction::begin(control, work.memory, work.steps, NAME, Direction::Coming)?;
    let mut live = Live::new(Parts {
        threads: work.threads,
        gate,
        memory: work.memory,
        images: &view.images,
        checker: Checker::new(of.pid, &view.maps, work.memory, &tables),
        states_at: 0,
        transaction,
    });
    live.at.threads.stop_all(STOP)?;
    let tid = live.at.threads.helper(live.at.memory)?;
    let mut hands = Hands {
        threads: &mut *live.at.threads,
        tid,
        gate,
        memory: work.memory,
    };
    let code = stub::code(watching.words.address, hook.state);
    let transaction = &mut live.at.transaction;
    transaction.map(&mut hands, watching.text)?;
    transaction.fill(&mut hands, watching.text, &code)?;
    transaction.map(&mut hands, watching.words)?;
    transaction.fill(&mut hands, watching.words, &stub::words())?;
    let args = [watching.words.address, PAGE, MADV_WIPEONFORK, 0, 0, 0];
    let call = libc::SYS_madvise;
    hands.threads.syscall(gate, tid, "madvise", call, args)?;
    hands.threads.resume_all();
    // Nobody's next instruction is behind the first of the bytes.
    wait_until_free(&mut live, &busy(&watching))?;
    let tid = live.at.threads.helper(live.at.memory)?;
    let hands = Hands {
        threads: &mut *live.at.threads,
        tid,
        gate,
        memory: work.memory,
    };
    let changed = live.at.transaction.change_text(&hands, vec![change]);
    live.at.threads.resume_all();
    changed?;
    let transaction = live.at.transaction;
    transaction.watched(work.memory, watching.clone())?;
    Ok(watching)
}

/// Takes the stub out of a process that is watched no longer.
pub(super) fn end(
    process: &Process,
    memory: &WriteMemory,
    steps: &mut Steps<'_>,
) -> Result<(), ProcessError> {
    let pid = process.about().identity.pid;
    let mut view = View::read(pid, memory)?;
    with_threads(pid, |threads| {
        prepare(threads, &mut view, memory, steps)?;
        let mut work = Work {
            threads,
            memory,
            steps,
            timeout: PATIENCE,
        };
        take_out(&mut work, &mut view)
    })?
}

/// Takes out the stub that the control area speaks of.
pub(in crate::process) fn take_out(
    work: &mut Work<'_, '_>,
    view: &mut View,
) -> Result<(), ProcessError> {
    let pid = work.threads.pid();
    let Some(watching) = view.contents().watch else {
        return Ok(());
    };
    let gate = Gate::find(pid, &view.maps, work.memory)?;
    let tables = view.tables(pid, work.memory);
    let Some(control) = &mut view.control else {
        return Ok(());
    };
    let back = TextChange {
        address: watching.hook,
        old: jump(watching.hook, watching.text.address).map_err(failed)?,
        new: watching.original,
    };
    let transaction = Transaction::begin(control, work.memory, work.steps, NAME, Direction::Going)?;
    let mut live = Live::new(Parts {
        threads: &mut *work.threads,
        gate,
        memory: work.memory,
        images: &view.images,
        checker: Checker::new(pid, &view.maps, work.memory, &tables),
        states_at: 0,
        transaction,
    });
    let zero = 0u32.to_le_bytes();
    work.memory
        .write_data(watching.words.address.wrapping_add(stub::WATCHED), &zero)?;
    if let Err(error) = wait_until_free(&mut live, &busy(&watching)) {
        live.at.transaction.give_up(work.memory)?;
        return Err(error);
    }
    let tid = live.at.threads.helper(live.at.memory)?;
    let mut hands = Hands {
        threads: &mut *live.at.threads,
        tid,
        gate,
        memory: work.memory,
    };
    let mut transaction = live.at.transaction;
    let done = transaction
        .change_text(&hands, vec![back])
        .and_then(|()| transaction.unwatched(&mut hands));
    live.at.threads.resume_all();
    Ok(done?)
}

/// The stub, and the bytes of the hook behind the first.
fn busy(watching: &Watching) -> Busy {
    let text = watching.text;
    let ranges = [
        text.address..text.address.saturating_add(text.size),
        watching.hook.saturating_add(1)..watching.hook.saturating_add(JUMP_SIZE as u64),
    ];
    Busy::new(ranges.map(|range| BusyRange {
        range,
        function: "the watcher's stub".into(),
    }))
}

/// Stops all threads when none is inside.
fn wait_until_free(live: &mut Live<'_, '_>, busy: &Busy) -> Result<(), ProcessError> {
    let start = Instant::now();
    while !live.is_free(busy) {
        if let Some(fault) = live.fault.take() {
            return Err(fault);
        }
        if start.elapsed() >= PATIENCE {
            return Err(ProcessError::Busy {
                name: NAME.into(),
                after: start.elapsed(),
                threads: std::mem::take(&mut live.in_the_way),
            });
        }
        live.wait(POLL)?;
    }
    Ok(())
}

fn failed(error: JumpError) -> ProcessError {
    ProcessError::Transaction(error.into())
}

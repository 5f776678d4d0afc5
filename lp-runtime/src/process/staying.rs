//! Memory of patches that are out of use which had to stay, since something suspended may come back to it.
//!
//! Each load and unload looks again, and takes away what nobody comes back to any more.

use std::ops::Range;

use super::error::ProcessError;
use super::live::STOP;
use super::session::{View, Work};
use super::suspended::{Search, Suspended};
use crate::process::kept::area::Area;
use crate::process::kept::control::{self, AreaRecord, Control, Direction, InstalledPatch, Stays};
use crate::process::kept::journal::{Stops, Transaction};
use crate::process::touch::check::{Busy, BusyRange, Checker};
use crate::process::touch::syscall::Gate;
use crate::process::touch::threads::StopError;
use crate::process::touch::unwind::UnwindTables;
use crate::process::touch::write::WriteMemory;

impl Stays {
    /// Of a patch that goes.
    pub(super) fn of(patch: &InstalledPatch) -> Self {
        Self {
            patch: patch.name.clone(),
            areas: patch.areas.clone(),
            unwind: patch.unwind.clone(),
        }
    }

    pub(super) fn busy(&self) -> Busy {
        let function = format!("patch {}", self.patch);
        Busy::new(self.code().into_iter().map(|range| BusyRange {
            range,
            function: function.clone(),
        }))
    }

    fn code(&self) -> Vec<Range<u64>> {
        let text = |area: &&AreaRecord| area.protection == Area::Text;
        self.areas
            .iter()
            .filter(text)
            .map(AreaRecord::range)
            .collect()
    }

    /// Who may come back to it, where no thread is inside: those that the checker has just looked at.
    pub(super) fn suspended(
        &self,
        checker: &Checker<'_>,
        at: (i32, &WriteMemory, u64),
    ) -> Result<Option<Suspended>, ProcessError> {
        let (pid, memory, control) = at;
        let own = self.areas.iter().map(AreaRecord::range);
        let said = control..control.saturating_add(control::SIZE);
        let except: Vec<Range<u64>> = own.chain(std::iter::once(said)).collect();
        let search = Search {
            pid,
            memory,
            tables: checker.tables(),
            threads: checker.stacks(),
            code: &self.code(),
            places: None,
            except: &except,
        };
        Ok(search.suspended(1)?.pop())
    }
}

/// Takes away what nobody comes back to any more.
pub(super) fn reclaim(work: &mut Work<'_, '_>, view: &mut View) -> Result<(), ProcessError> {
    let pid = work.threads.pid();
    let gate = Gate::find(pid, &view.maps, work.memory)?;
    let tables = view.tables(pid, work.memory);
    for stays in view.contents().stays {
        let Some(control) = &mut view.control else {
            return Ok(());
        };
        let mut checker = Checker::new(pid, &view.maps, work.memory, &tables);
        if is_free(work, &mut checker, &stays)?
            && stays
                .suspended(&checker, (pid, work.memory, control.address()))?
                .is_none()
            && is_free(work, &mut checker, &stays)?
        {
            take_away(work, control, gate, &stays)?;
        }
    }
    *view = View::read(pid, work.memory)?;
    Ok(())
}

fn is_free(
    work: &mut Work<'_, '_>,
    checker: &mut Checker<'_>,
    stays: &Stays,
) -> Result<bool, ProcessError> {
    work.threads.stop_all(STOP)?;
    let in_the_way = checker.in_the_way(work.threads, &stays.busy());
    work.threads.resume_all();
    let in_the_way = in_the_way.map_err(|(tid, errno)| StopError::Wait { tid, errno })?;
    Ok(in_the_way.is_empty())
}

fn take_away(
    work: &mut Work<'_, '_>,
    control: &mut Control,
    gate: Gate,
    stays: &Stays,
) -> Result<(), ProcessError> {
    let (memory, patch) = (work.memory, &stays.patch);
    // Left half done it is finished, and no patch is meant by the name.
    let direction = Direction::Transition;
    let transaction = Transaction::begin(control, memory, work.steps, patch, direction)?;
    let mut stops = Stops::new(work.threads, gate, memory);
    Ok(transaction.reclaim(&mut stops, stays)?)
}

/// The unwind tables of what stays: threads may come back to it.
pub(super) fn add_tables(
    tables: &mut UnwindTables,
    stays: &[Stays],
    read: impl Fn(u64, u64) -> Option<Vec<u8>>,
) {
    for of in stays {
        for (address, size) in &of.unwind {
            if let Some(bytes) = read(*address, *size) {
                tables.add(&of.patch, *address, bytes);
            }
        }
    }
}

//! Each thread's cell, which says what it runs: the byte at its `gs` base.

use nix::errno::Errno;

use crate::process::kept::journal::Hands;
use crate::process::touch::ptrace;
use crate::process::touch::registers::Registers;
use crate::process::touch::syscall::InjectError;
use crate::process::touch::threads::Tid;
use lp_klp::transition::PatchState;

/// What is in memory: the cell of the old side, then that of the new one.
pub(super) const BYTES: [u8; 2] = [0, 1];

/// The address of a side's cell.
pub(super) fn cell(cells: u64, side: PatchState) -> u64 {
    match side {
        PatchState::Unpatched => cells,
        PatchState::Patched => cells + 1,
    }
}

/// The side that a stopped thread is on; none where it cannot be asked. One whose cell was taken away by the program has not
/// switched.
pub(super) fn side(cells: u64, tid: Tid) -> Option<PatchState> {
    let base = Registers::of(tid).ok()?.gs_base();
    Some(if base == cell(cells, PatchState::Patched) {
        PatchState::Patched
    } else {
        PatchState::Unpatched
    })
}

/// Puts a stopped thread on a side.
pub(super) fn put(cells: u64, tid: Tid, on: PatchState) -> Result<(), Errno> {
    match ptrace::set_gs_base(tid, cell(cells, on)) {
        // It was killed while it stood.
        Err(Errno::ESRCH) => Ok(()),
        other => other,
    }
}

impl Hands<'_> {
    /// Takes the cells away from all threads, all of which are stopped, and none of which may ask for them any more.
    pub(in crate::process) fn take_cells(&mut self, cells: u64) -> Result<(), InjectError> {
        let ours = [PatchState::Unpatched, PatchState::Patched].map(|side| cell(cells, side));
        for tid in self.threads.tids() {
            let base = Registers::of(tid).map_or(0, |it| it.gs_base());
            if !ours.contains(&base) {
                continue;
            }
            match ptrace::set_gs_base(tid, 0) {
                Ok(()) | Err(Errno::ESRCH) => {}
                Err(errno) => return Err(InjectError::Ptrace { tid, errno }),
            }
        }
        Ok(())
    }
}

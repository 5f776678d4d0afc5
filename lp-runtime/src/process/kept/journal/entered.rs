//! Who may be inside a patch whose jumps are not there.
//!
//! Nobody but a thread that was running a callback when the loader was killed, and callbacks have a stack of their own. So
//! where each thread is tells, also in a program whose stacks cannot be unwound: what could not be put in must not stay for
//! that.

use super::Journal;
use crate::process::kept::area::Area;
use crate::process::kept::control::{AreaRecord, Direction};
use crate::process::read::memory::ReadMemory;
use crate::process::touch::check::{BusyThread, InTheWay};
use crate::process::touch::registers::Registers;
use crate::process::touch::threads::{StopError, Threads};

impl Journal {
    /// Whether no text is changed for what was on its way in, or out: it may have been said that it will be. All threads stand.
    ///
    /// Where it was changed and changed back, that was done with nobody inside, and nobody has come since.
    pub fn is_untouched(&self, memory: &dyn ReadMemory) -> bool {
        let begun = match self.direction {
            Direction::Load | Direction::Coming => true,
            Direction::Unload => self.areas.is_empty() && self.mapping.is_empty(),
            Direction::Going | Direction::Transition => false,
        };
        begun && self.changes.iter().all(|it| it.is_still_to_be_made(memory))
    }

    /// The stopped threads that run a callback.
    ///
    /// # Errors
    /// Where a thread is not stopped.
    pub fn entered(&self, threads: &Threads) -> Result<Vec<BusyThread>, StopError> {
        let mut inside = Vec::new();
        for tid in threads.tids() {
            let registers = Registers::of(tid).map_err(|errno| StopError::Wait { tid, errno })?;
            let mut areas = self.areas.iter().chain(&self.mapping);
            if areas.any(|area| is_inside(area, &registers)) {
                let why = InTheWay::Inside {
                    function: format!("patch {}", self.patch),
                    frame: 0,
                    frames: Vec::new(),
                };
                inside.push(BusyThread { tid, why });
            }
        }
        Ok(inside)
    }
}

fn is_inside(area: &AreaRecord, registers: &Registers) -> bool {
    let at = match area.protection {
        Area::Text => registers.pc(),
        // An empty stack begins where its memory ends.
        Area::Data => registers.sp().wrapping_sub(1),
        Area::ReadOnly => return false,
    };
    at.wrapping_sub(area.address) < area.size
}

//! System calls that the process makes for us, one after the other, without standing still for all of them at once.
//!
//! A call takes about as long as a stop. So what is done in one stop takes no longer than stopping did, and the process runs
//! in between for as long as it stood. Nothing that is mapped or unmapped this way is reached by any of its threads, so it does
//! not matter what it does meanwhile. The tempting wrong way is one long stop: with one thread it is eight times as long as
//! the stop in which the jumps are written.

use std::time::{Duration, Instant};

use super::{Hands, TransactionError};
use crate::process::kept::area::Area;
use crate::process::kept::control::AreaRecord;
use crate::process::live::STOP;
use crate::process::touch::syscall::{Gate, InjectError};
use crate::process::touch::threads::{Threads, Tid};
use crate::process::touch::write::WriteMemory;

/// A process that runs, to be stopped for what must be done in it.
pub struct Stops<'a> {
    threads: &'a mut Threads,
    gate: Gate,
    memory: &'a WriteMemory,
    /// Who makes the calls, since when all stand, and how long stopping took.
    standing: Option<Standing>,
    /// Whether they were stopped by someone else, who lets them go.
    stays: bool,
    longest: Duration,
}

#[derive(Clone, Copy)]
struct Standing {
    tid: Tid,
    since: Instant,
    stopping: Duration,
}

impl<'a> Stops<'a> {
    /// Of a process that runs.
    pub fn new(threads: &'a mut Threads, gate: Gate, memory: &'a WriteMemory) -> Self {
        Self {
            threads,
            gate,
            memory,
            standing: None,
            stays: false,
            longest: Duration::ZERO,
        }
    }

    /// Of one whose threads stand already, and stay so.
    pub(super) fn standing(hands: &'a mut Hands<'_>) -> Self {
        let standing = Standing {
            tid: hands.tid,
            since: Instant::now(),
            stopping: Duration::ZERO,
        };
        Self {
            standing: Some(standing),
            stays: true,
            ..Self::new(hands.threads, hands.gate, hands.memory)
        }
    }

    /// The longest time that all threads stood.
    pub fn longest(&self) -> Duration {
        self.longest
    }

    pub(super) fn memory(&self) -> &'a WriteMemory {
        self.memory
    }

    /// Has the process do something for each of these, until that fails; then it runs again.
    pub(super) fn each<T>(
        &mut self,
        all: impl IntoIterator<Item = T>,
        mut call: impl FnMut(&mut Hands<'_>, T) -> Result<(), InjectError>,
    ) -> Result<(), TransactionError> {
        let done = all.into_iter().try_for_each(|one| {
            let standing = self.stand()?;
            let start = Instant::now();
            call(&mut self.hands(standing.tid), one)?;
            let next = standing.since.elapsed() + start.elapsed();
            if self.stays || next <= 2 * standing.stopping {
                return Ok(());
            }
            let stood = self.go_on();
            Ok(self.threads.run_for(stood).map_err(InjectError::from)?)
        });
        self.go_on();
        done
    }

    /// Writes an area that nobody looks at yet, or any more.
    pub(super) fn write(&mut self, area: AreaRecord, bytes: &[u8]) -> Result<(), TransactionError> {
        if area.protection == Area::Data {
            return Ok(self.memory.write_data(area.address, bytes)?);
        }
        // Where the kernel wants the threads traced for it, they must stand.
        if self.memory.write_over(area.address, bytes).is_ok() {
            return Ok(());
        }
        let standing = self.stand()?;
        let written = self.memory.write_text(standing.tid, area.address, bytes);
        self.go_on();
        Ok(written?)
    }

    fn stand(&mut self) -> Result<Standing, InjectError> {
        if let Some(standing) = self.standing {
            return Ok(standing);
        }
        self.threads.stop_all(STOP)?;
        let since = self.threads.stopped_since().unwrap_or_else(Instant::now);
        let stopping = since.elapsed();
        let tid = match self.threads.helper(self.memory) {
            Ok(tid) => tid,
            Err(error) => {
                self.threads.resume_all();
                return Err(error);
            }
        };
        let standing = Standing {
            tid,
            since,
            stopping,
        };
        self.standing = Some(standing);
        Ok(standing)
    }

    fn hands(&mut self, tid: Tid) -> Hands<'_> {
        Hands {
            threads: self.threads,
            tid,
            gate: self.gate,
            memory: self.memory,
        }
    }

    /// Lets them go on, if they were stopped here; how long they stood.
    fn go_on(&mut self) -> Duration {
        let Some(standing) = self.standing.take_if(|_| !self.stays) else {
            return Duration::ZERO;
        };
        self.threads.resume_all();
        let stood = standing.since.elapsed();
        self.longest = self.longest.max(stood);
        stood
    }
}

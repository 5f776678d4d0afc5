//! A resident watcher: objects that the program loads later are patched before their code runs.
//!
//! The dynamic linker calls an empty function when it has mapped new objects (`hook`). While somebody watches, a jump leads from
//! there to a stub (`stub`) that asks and waits; the watcher sees the question, patches what has come, and answers. An object that
//! is not relocated yet has slots that are not filled: what its references mean is then looked up, and where only the
//! linker knows (IFUNCs, variables of threads) the patch is refused, tried again a moment later, and reported as late.
//!
//! A watcher that is killed neither kills nor hangs the program: what it leaves is plain code. The next loader takes it away. A child
//! does not wait for its parent's watcher, and is not watched. After an exec there is another program, and
//! nothing to watch.

mod hook;
mod place;
pub(in crate::process) mod stub;

use std::collections::BTreeSet;
use std::io;
use std::time::{Duration, Instant};

use thiserror::Error;

use crate::process::error::ProcessError;
use crate::process::kept::control::{Control, Watching};
use crate::process::kept::journal::Steps;
use crate::process::kept::lock::Lock;
use crate::process::late::catch_up::Happened;
use crate::process::prepare::entry::EntryRefusal;
use crate::process::read::identity::Identity;
use crate::process::read::maps::Maps;
use crate::process::read::memory::{MemoryError, ReadMemory};
use crate::process::session::{Process, View};
use crate::process::touch::write::WriteMemory;

pub(in crate::process) use place::take_out;

/// How often the watcher looks.
const POLL: Duration = Duration::from_millis(1);
/// How long threads may stay inside an object that has just come.
const PATIENCE: Duration = Duration::from_secs(1);
/// When to try again what was refused before the object was relocated.
const AGAIN: Duration = Duration::from_millis(50);
/// How often it is looked whether the control area still has us.
const CHECK: Duration = Duration::from_secs(1);

/// Why a process cannot be watched.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum WatchError {
    /// It loads nothing.
    #[error(
        "the program has no dynamic linker that could load an object: it is static, or has not started yet"
    )]
    NoLinker,
    /// The function is not there, or is not what it should be.
    #[error(
        "the dynamic linker's hook for debuggers cannot be used ({0}): load patches after the objects that they are for"
    )]
    NoHook(&'static str),
    /// No jump can be written there.
    #[error("the dynamic linker's hook for debuggers cannot be used: {0}")]
    Entry(#[from] EntryRefusal),
    /// Somebody watches already.
    #[error("process {by} watches it already: end that one first")]
    Watched {
        /// The watcher.
        by: i32,
    },
    /// It cannot be read.
    #[error(transparent)]
    Memory(#[from] MemoryError),
}

/// What a watcher tells.
#[derive(Debug)]
#[non_exhaustive]
pub enum Watched {
    /// From now on what comes is patched before it runs.
    Began,
    /// An object has come or gone.
    Happened {
        /// Which one, and what was done.
        happened: Happened,
        /// Whether none of its code had run.
        in_time: bool,
    },
    /// Something did not work; it goes on.
    Failed(ProcessError),
    /// The program did not wait longer for an answer: what came meanwhile ran unpatched for a while.
    Late,
}

/// How watching ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// As it was told; nothing is left in the process.
    Told,
    /// The process has ended.
    Exited,
    /// The process runs another program (`exec`), which has no patches.
    Exec,
    /// Another loader took the watcher's stub away.
    TakenAway,
}

/// A watcher at work.
struct Watcher<'p, 't> {
    process: &'p Process,
    memory: WriteMemory,
    watching: Watching,
    tell: &'t mut dyn FnMut(Watched),
    /// What has been told and is still so.
    told: BTreeSet<String>,
    again: Option<Instant>,
}

impl Process {
    /// Watches the process until `until` says so, or there is nothing to watch any more. `steps` are those of putting the
    /// watcher's stub in and taking it out.
    ///
    /// # Errors
    /// Where it cannot be watched, or what was put in for it cannot be taken out.
    pub fn watch(
        &self,
        mut steps: Steps<'_>,
        tell: &mut dyn FnMut(Watched),
        until: &mut dyn FnMut() -> bool,
    ) -> Result<Ended, ProcessError> {
        let identity = self.about().identity;
        identity.check()?;
        let memory = WriteMemory::open(identity.pid)?;
        let watching = {
            let _lock = Lock::of(identity.pid)?;
            place::put_in(self, &memory, &mut steps)?
        };
        let mut watcher = Watcher {
            process: self,
            memory,
            watching,
            tell,
            told: BTreeSet::new(),
            again: None,
        };
        watcher.catch_up(false);
        (watcher.tell)(Watched::Began);
        if let Some(ended) = watcher.run(until)? {
            return Ok(ended);
        }
        let _lock = Lock::of(identity.pid)?;
        place::end(self, &watcher.memory, &mut steps)?;
        Ok(Ended::Told)
    }
}

impl Watcher<'_, '_> {
    /// Works until it is told to end; or how it ended otherwise.
    fn run(&mut self, until: &mut dyn FnMut() -> bool) -> Result<Option<Ended>, ProcessError> {
        let words = self.watching.words.address;
        let mut served = 0;
        let mut checked = Instant::now();
        loop {
            if until() {
                return Ok(None);
            }
            let mut now = [0; 12];
            if let Err(error) = self.memory.read(words, &mut now) {
                return Ok(Some(self.lost(&error)));
            }
            let word = |at: u64| {
                let at = at as usize;
                u32::from_le_bytes([now[at], now[at + 1], now[at + 2], now[at + 3]])
            };
            let asked = word(stub::ASKED);
            let late = word(stub::WATCHED) == 0;
            if late || checked.elapsed() >= CHECK {
                checked = Instant::now();
                if !self.is_ours() {
                    return Ok(Some(self.gone()));
                }
            }
            if late {
                (self.tell)(Watched::Late);
                place::arm(&self.memory, &self.watching)?;
            }
            if asked != served || late {
                self.catch_up(!late);
                served = asked;
                let answer = self
                    .memory
                    .write_data(words.wrapping_add(stub::SERVED), &served.to_le_bytes());
                if answer.is_err() {
                    continue;
                }
            } else if self.again.is_some_and(|at| Instant::now() >= at) {
                self.again = None;
                self.catch_up(false);
            }
            std::thread::sleep(POLL);
        }
    }

    /// Patches what has come, and lets go of what has gone.
    fn catch_up(&mut self, in_time: bool) {
        let start = Instant::now();
        let happened = loop {
            match self.try_catch_up() {
                // Another loader, or a debugger, is at it.
                Err(ProcessError::Seize(_) | ProcessError::Stop(_))
                    if start.elapsed() < PATIENCE
                        && self.process.about().identity.check().is_ok() =>
                {
                    std::thread::sleep(POLL);
                }
                other => break other,
            }
        };
        let mut current = BTreeSet::new();
        match happened {
            Ok(all) => {
                for happened in all {
                    self.happened(happened, in_time, &mut current);
                }
            }
            Err(error) => {
                current.insert(error.to_string());
                if !self.told.contains(&error.to_string()) {
                    (self.tell)(Watched::Failed(error));
                }
            }
        }
        self.told = current;
    }

    fn happened(&mut self, happened: Happened, in_time: bool, current: &mut BTreeSet<String>) {
        if let Happened::NotPatched { error, .. } = &happened {
            if in_time && matches!(error, ProcessError::Refused(_)) {
                self.again = Some(Instant::now() + AGAIN);
            }
            let text = happened.to_string();
            let new = !self.told.contains(&text);
            current.insert(text);
            if !new {
                return;
            }
        }
        (self.tell)(Watched::Happened { happened, in_time });
    }

    fn try_catch_up(&mut self) -> Result<Vec<Happened>, ProcessError> {
        let _lock = Lock::of(self.watching.of.pid)?;
        let control = Control::find(&Maps::read(self.watching.of.pid)?, &self.memory)?;
        let contents = control.map(|it| it.contents().clone()).unwrap_or_default();
        let concerned = contents.patches.iter().any(|patch| patch.file.is_some());
        if !concerned && contents.journal.is_none() {
            // No patch is for anything that comes and goes: the program need not wait until all objects are read.
            return Ok(Vec::new());
        }
        if contents.transition.is_some() {
            // Objects wait for its end.
            self.again = Some(Instant::now() + CHECK);
            return Ok(Vec::new());
        }
        let mut view = View::read(self.watching.of.pid, &self.memory)?;
        self.process
            .put_right(&mut view, &self.memory, &mut Steps::default(), PATIENCE)
    }

    fn is_ours(&self) -> bool {
        let control = Maps::read(self.watching.of.pid)
            .ok()
            .and_then(|maps| Control::find(&maps, &self.memory).ok().flatten());
        control.is_some_and(|it| it.contents().watch.as_ref() == Some(&self.watching))
    }

    /// The words cannot be read.
    fn lost(&self, error: &MemoryError) -> Ended {
        match error {
            // The memory itself is no more.
            MemoryError::Read { source, .. } if source.kind() == io::ErrorKind::UnexpectedEof => {
                self.gone()
            }
            _ => Ended::TakenAway,
        }
    }

    /// There is nothing of us in the process any more.
    fn gone(&self) -> Ended {
        let pid = self.watching.of.pid;
        let start = Instant::now();
        loop {
            if Identity::of(pid).ok() != Some(self.watching.of) {
                return Ended::Exited;
            }
            // What ends has no memory, before it is a zombie.
            let mapped = Maps::read(pid).is_ok_and(|maps| maps.iter().next().is_some());
            let ours = self.memory.read(self.watching.words.address, &mut [0]);
            match ours {
                Err(MemoryError::Read { source, .. })
                    if source.kind() == io::ErrorKind::UnexpectedEof =>
                {
                    if mapped {
                        return Ended::Exec;
                    }
                }
                _ => return Ended::TakenAway,
            }
            if start.elapsed() > PATIENCE {
                return Ended::Exited;
            }
            std::thread::sleep(POLL);
        }
    }
}

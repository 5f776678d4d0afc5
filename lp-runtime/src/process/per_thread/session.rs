//! Transitions that are under way, for users of the library: gone on with, turned back, forced, looked at.

use std::time::{Duration, Instant};

use super::drive::{Wish, disable, resume};
use super::status::{Underway, status};
use crate::process::error::ProcessError;
use crate::process::kept::control::Contents;
use crate::process::kept::journal::Steps;
use crate::process::kept::lock::Lock;
use crate::process::prepare::patch_file::PatchFile;
use crate::process::remove::{Removed, remove};
use crate::process::session::{Consistency, Done, Options, Process, View, Work};
use crate::process::touch::threads::with_threads;
use crate::process::touch::write::WriteMemory;

impl Process {
    /// Ends a transition in which threads switch one by one, so that all run the patch: goes on with one towards it, turns back one
    /// away from it.
    ///
    /// # Errors
    /// Where it is not in transition, and where threads are left when time is up.
    pub fn enable(&self, name: &str, options: Options<'_>) -> Result<Done, ProcessError> {
        self.resume(name, options, Wish::Patched)
    }

    /// Ends a transition at once, though threads may be inside the code that changes; last resort. The memory of what they leave
    /// stays for ever.
    ///
    /// # Errors
    /// Where it is not in transition.
    pub fn force(&self, name: &str, options: Options<'_>) -> Result<Done, ProcessError> {
        self.resume(name, options, Wish::Forced)
    }

    /// The transition that is under way, with those who hold it up: all threads are stopped for a moment. None where there is none.
    ///
    /// # Errors
    /// Where the process cannot be looked into.
    pub fn underway(&self) -> Result<Option<Underway>, ProcessError> {
        let pid = self.pid();
        self.about().identity.check()?;
        let _lock = Lock::of(pid)?;
        let memory = WriteMemory::open(pid)?;
        let mut view = View::read(pid, &memory)?;
        if view.contents().transition.is_none() {
            return Ok(None);
        }
        let Options {
            timeout, mut steps, ..
        } = Options::default();
        let status = with_threads(pid, |threads| {
            let work = Work {
                threads,
                memory: &memory,
                steps: &mut steps,
                timeout,
            };
            status(work, &mut view)
        })?;
        status.map(Some)
    }

    fn resume(&self, name: &str, options: Options<'_>, wish: Wish) -> Result<Done, ProcessError> {
        let start = Instant::now();
        let pid = self.pid();
        self.about().identity.check()?;
        let _lock = Lock::of(pid)?;
        let memory = WriteMemory::open(pid)?;
        let mut view = View::read(pid, &memory)?;
        let contents = view.contents();
        refuse_another_transition(&contents, name)?;
        if contents.transition.is_none() {
            let name = name.to_owned();
            return Err(match contents.patch(&name) {
                Some(_) => ProcessError::NoTransition { name },
                None => ProcessError::NotInstalled { name },
            });
        }
        let Options {
            timeout, mut steps, ..
        } = options;
        let done = with_threads(pid, |threads| {
            let work = Work {
                threads,
                memory: &memory,
                steps: &mut steps,
                timeout,
            };
            resume(work, &mut view, wish)
        })?;
        Ok(Done {
            warnings: Vec::new(),
            window: done?,
            took: start.elapsed(),
            happened: Vec::new(),
        })
    }

    /// Goes on with a load of the same patch that had not ended; the longest time that all threads stood. None where there was none, or
    /// where it had ended without the patch.
    pub(in crate::process) fn go_on_loading(
        &self,
        view: &mut View,
        memory: &WriteMemory,
        steps: &mut Steps<'_>,
        timeout: Duration,
        patch: &PatchFile,
    ) -> Result<Option<Duration>, ProcessError> {
        let transition = view.contents().transition;
        let name = &patch.manifest.name;
        let Some(transition) = transition.filter(|it| it.patch == *name) else {
            return Ok(None);
        };
        let window = with_threads(self.pid(), |threads| {
            let work = Work {
                threads,
                memory,
                steps,
                timeout,
            };
            resume(work, view, Wish::Patched)
        })??;
        *view = View::read(self.pid(), memory)?;
        Ok((!transition.ended || transition.patched).then_some(window))
    }
}

/// Has all threads leave a patch, and takes its memory away.
pub(in crate::process) fn leave(
    mut work: Work<'_, '_>,
    view: &mut View,
    name: &str,
    consistency: Consistency,
) -> Result<Removed, ProcessError> {
    let mut window = Duration::ZERO;
    if view.contents().transition.is_some() {
        window = resume(work.again(), view, Wish::Unpatched)?;
        *view = View::read(work.threads.pid(), work.memory)?;
    }
    let in_use = view.contents().patch(name).is_some_and(|it| it.enabled);
    if in_use && consistency == Consistency::PerThread {
        window = window.max(disable(work.again(), view, name)?);
        *view = View::read(work.threads.pid(), work.memory)?;
    }
    let mut removed = remove(work, view, name)?;
    removed.window = removed.window.max(window);
    Ok(removed)
}

/// Only one transition at a time.
pub(in crate::process) fn refuse_another_transition(
    contents: &Contents,
    name: &str,
) -> Result<(), ProcessError> {
    match &contents.transition {
        Some(transition) if transition.patch != name => Err(ProcessError::InTransition {
            name: transition.patch.clone(),
            patched: transition.patched,
        }),
        _ => Ok(()),
    }
}

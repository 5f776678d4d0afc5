//! All threads of a process, held by ptrace: stopped together, let go together.
//!
//! Every stopped thread stands at the border to user space (`PTRACE_EVENT_STOP`), where its registers are whole, a system call
//! that it was in will restart as if nothing had been, and no signal is in our hands: a thread that stops for
//! anything else goes on at once, with its signal, and is asked again. The tempting wrong ways are SIGSTOP, which the program
//! and its parent see, and to keep a thread where it happens to stop, half way through a signal or a `clone`.
//!
//! A thread that is traced and runs waits for us at each signal and each `clone`. So none is: letting a thread run means to trace it no
//! longer, and the next stop begins by seizing all anew. Only while one thread calls a function for us may the others run, looked
//! after.
//!
//! Whatever happens the threads are let go. A thread can be told to go only while it is stopped; one that will not stop
//! (it waits for a vfork child) is freed by the kernel when the thread that traces ends. So [`with_threads`] traces from a
//! thread of its own.

mod denied;
mod error;
mod pause;
mod sharing;
pub(crate) mod task;
mod uninterrupted;

use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;

pub use denied::Denial;
pub use error::{SeizeError, StopError};
pub(crate) use pause::Pause;

use crate::process::touch::ptrace::{self, Event};

/// A thread's number.
pub type Tid = i32;

/// How long until others that share the memory are looked at again.
const BETWEEN_TRIES: Duration = Duration::from_millis(2);

/// At how many looks, half a millisecond apart, a thread may wait in the kernel for something that no signal ends, with all others
/// standing. On a busy machine looks are further apart, and so are the turns of whoever it waits for.
const STUCK: u32 = 40;

/// How long the last threads may take until they are let go without being told.
const LETTING_GO: Duration = Duration::from_millis(200);

/// The threads of a process, traced by this one from when they are stopped until they are let go. Dropped, all go on as if
/// nothing had been.
#[derive(Debug)]
pub struct Threads {
    pid: i32,
    /// What the process runs.
    program: Option<task::Program>,
    /// All threads that there were are ours.
    seized: bool,
    /// Since when they are being stopped.
    since: Option<Instant>,
    threads: BTreeMap<Tid, State>,
    /// Processes that the target made while it was traced, until they are let go.
    strangers: Vec<Tid>,
    /// Those of them that had the target's memory when they were made.
    sharers: Vec<i32>,
    /// The target's main thread has ended and the others have not.
    dead_leader: bool,
    exec: bool,
    /// Only the thread that seized may make requests, so this value stays with it.
    stays: PhantomData<*const ()>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Running,
    Stopped,
    /// Stopped by a signal to its group, and left so.
    Listening,
}

/// Runs `work` for the threads of a process, on a thread of its own, and lets them go in any case.
///
/// # Errors
/// Where the process cannot be traced; what `work` returns is inside.
pub fn with_threads<R: Send>(
    pid: i32,
    work: impl FnOnce(&mut Threads) -> R + Send,
) -> Result<R, SeizeError> {
    let tracer = || {
        pause::be_exact();
        Threads::of(pid).map(|mut threads| work(&mut threads))
    };
    let result = thread::scope(|scope| scope.spawn(tracer).join());
    result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

impl Threads {
    /// Those of a process. Nothing is traced yet.
    ///
    /// # Errors
    /// Where it is plain that the process cannot be traced.
    fn of(pid: i32) -> Result<Self, SeizeError> {
        task::check(pid)?;
        Ok(Self {
            pid,
            program: task::Program::of(pid),
            seized: false,
            since: None,
            threads: BTreeMap::new(),
            strangers: Vec::new(),
            sharers: Vec::new(),
            dead_leader: false,
            exec: false,
            stays: PhantomData,
        })
    }

    /// Seizes every thread. They run on, and [`Threads::stop_all`] must follow at once: it does this itself where it was
    /// not done.
    ///
    /// # Errors
    /// Where the process cannot be traced, is another program by now, or others share its memory until time is up. Nothing
    /// is traced then.
    pub fn seize(&mut self, timeout: Duration) -> Result<(), StopError> {
        let deadline = Instant::now() + timeout;
        loop {
            let seized = self.try_seize();
            if seized.is_ok() {
                self.seized = true;
                return Ok(());
            }
            self.resume_all();
            match seized {
                // A vfork child has it for a moment.
                Err(StopError::Seize(SeizeError::SharedMemory { .. }))
                    if Instant::now() < deadline =>
                {
                    thread::sleep(BETWEEN_TRIES);
                }
                other => return other,
            }
        }
    }

    fn try_seize(&mut self) -> Result<(), StopError> {
        let pid = self.pid;
        task::check(pid).map_err(StopError::Seize)?;
        if task::Program::of(pid) != self.program {
            return Err(StopError::Exec { pid });
        }
        while self.seize_new().map_err(StopError::Seize)? > 0 {}
        match sharing::another_with_this_memory(pid) {
            Some(other) => Err(StopError::Seize(SeizeError::SharedMemory { pid, other })),
            None => Ok(()),
        }
    }

    /// The process.
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// Since when they stand, or are being stopped; none where they run.
    pub fn stopped_since(&self) -> Option<Instant> {
        self.since
    }

    /// The threads that are traced, by ascending number.
    pub fn tids(&self) -> impl Iterator<Item = Tid> + '_ {
        self.threads.keys().copied()
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.threads.len()
    }

    /// Whether this thread is stopped.
    pub fn is_stopped(&self, tid: Tid) -> bool {
        self.threads.get(&tid) == Some(&State::Stopped)
    }

    /// Stops all threads, those too that are made meanwhile.
    ///
    /// # Errors
    /// When a thread does not stop in time, and when the process ends or becomes another program: all go on then.
    pub fn stop_all(&mut self, timeout: Duration) -> Result<(), StopError> {
        let deadline = Instant::now() + timeout;
        if !self.seized {
            self.seize(timeout)?;
        }
        self.since.get_or_insert_with(Instant::now);
        let stopped = self.try_stop_all(deadline);
        if stopped.is_err() {
            self.resume_all();
        }
        stopped
    }

    fn try_stop_all(&mut self, deadline: Instant) -> Result<(), StopError> {
        self.interrupt_all();
        loop {
            self.wait_until_stopped(deadline)?;
            if self.threads.is_empty() {
                return Err(StopError::Ended { pid: self.pid });
            }
            if self.is_complete() {
                return self.check_sharers();
            }
            // A thread that was seized in the middle of a `clone` has made one that is not ours. That one may have made
            // another and ended while we read the list, which then has neither: only the count tells that all are ours.
            if self.seize_new().map_err(StopError::Seize)? > 0 {
                self.interrupt_all();
            } else if Instant::now() > deadline {
                return Err(StopError::Timeout(task::Sluggish::of(self.pid, self.pid)));
            } else {
                thread::yield_now();
            }
        }
    }

    /// A vfork child has its memory to itself as soon as it runs another program.
    fn check_sharers(&mut self) -> Result<(), StopError> {
        let pid = self.pid;
        self.sharers.retain(|other| sharing::shares(pid, *other));
        match self.sharers.first() {
            Some(&other) => Err(StopError::Seize(SeizeError::SharedMemory { pid, other })),
            None => Ok(()),
        }
    }

    fn interrupt_all(&mut self) {
        for (tid, state) in &mut self.threads {
            if *state != State::Stopped {
                // It may be about to end; then waiting for it tells.
                let _ = ptrace::interrupt(*tid);
                *state = State::Running;
            }
        }
    }

    /// Waits for one after the other; those that they have made meanwhile come last.
    fn wait_until_stopped(&mut self, deadline: Instant) -> Result<(), StopError> {
        let running = |(tid, state): (&Tid, &State)| (*state == State::Running).then_some(*tid);
        let mut late: Vec<Tid> = self.threads.iter().filter_map(running).collect();
        while let Some(tid) = late.pop() {
            self.wait_for(tid, deadline, &mut late)?;
        }
        Ok(())
    }

    fn wait_for(
        &mut self,
        tid: Tid,
        deadline: Instant,
        new: &mut Vec<Tid>,
    ) -> Result<(), StopError> {
        let mut pause = Pause::default();
        let mut stuck = 0;
        while self.threads.get(&tid) == Some(&State::Running) {
            match ptrace::poll(tid) {
                Ok(Some(event)) => new.extend(self.take(tid, event, true)),
                Ok(None) if Instant::now() > deadline => {
                    return Err(StopError::Timeout(task::Sluggish::of(self.pid, tid)));
                }
                Ok(None) => {
                    // A vfork child holds its parent, and we may hold the child.
                    self.let_strangers_go();
                    if pause.rest() {
                        self.forget_the_dead();
                        self.check_stuck(tid, &mut stuck)?;
                    }
                }
                // A thread whose number went to another by exec.
                Err(Errno::ECHILD) => drop(self.threads.remove(&tid)),
                Err(errno) => return Err(StopError::Wait { tid, errno }),
            }
            if self.exec {
                return Err(StopError::Exec { pid: self.pid });
            }
        }
        Ok(())
    }

    /// Lets only these threads go on; the others stay stopped.
    pub fn resume_only(&mut self, tids: &[Tid]) {
        for tid in tids {
            let Some(state) = self.threads.get_mut(tid) else {
                continue;
            };
            if *state == State::Stopped {
                uninterrupted::begin_again(*tid);
                if ptrace::resume(*tid, 0).is_ok() {
                    *state = State::Running;
                }
            }
        }
    }

    /// A thread that nothing wakes must not keep all others standing until time is up.
    fn check_stuck(&self, tid: Tid, looks: &mut u32) -> Result<(), StopError> {
        let thread = task::Sluggish::of(self.pid, tid);
        let is_stuck = self.threads.contains_key(&tid) && thread.state == 'D';
        *looks = if is_stuck { *looks + 1 } else { 0 };
        if *looks > STUCK {
            return Err(StopError::Timeout(thread));
        }
        Ok(())
    }

    /// Lets all threads go on but this one. They stay traced, and must be looked after.
    pub(crate) fn resume_all_but(&mut self, one: Tid) {
        for (tid, state) in &mut self.threads {
            if *state != State::Stopped || *tid == one {
                continue;
            }
            uninterrupted::begin_again(*tid);
            if ptrace::resume(*tid, 0).is_ok() {
                *state = State::Running;
            }
        }
    }

    /// Takes what every running thread has to tell. With `stopping`, a thread that stops for something else is asked again.
    pub(crate) fn take_events(&mut self, stopping: bool) -> Result<(), StopError> {
        let running = |(tid, state): (&Tid, &State)| (*state != State::Stopped).then_some(*tid);
        let mut waiting: Vec<Tid> = self.threads.iter().filter_map(running).collect();
        while let Some(tid) = waiting.pop() {
            match ptrace::poll(tid) {
                Ok(None) => {}
                Ok(Some(event)) => waiting.extend(self.take(tid, event, stopping)),
                // A thread whose number went to another by exec, or that was waited for before.
                Err(Errno::ECHILD) => drop(self.threads.remove(&tid)),
                Err(errno) => return Err(StopError::Wait { tid, errno }),
            }
        }
        self.let_strangers_go();
        if self.exec {
            return Err(StopError::Exec { pid: self.pid });
        }
        Ok(())
    }

    /// Answers one event; a new thread is returned.
    fn take(&mut self, tid: Tid, event: Event, stopping: bool) -> Option<Tid> {
        let mut new = None;
        match event {
            Event::Stop { .. } if stopping => {
                self.threads.insert(tid, State::Stopped);
                return None;
            }
            Event::Stop { signal } if signal != libc::SIGTRAP => {
                let _ = ptrace::listen(tid);
                self.threads.insert(tid, State::Listening);
                return None;
            }
            Event::Gone => {
                self.threads.remove(&tid);
                return None;
            }
            Event::Made(made) => new = self.adopt(made).then_some(made),
            Event::Exec => self.exec = true,
            Event::Stop { .. } | Event::Signal(_) | Event::Syscall | Event::Other => {}
        }
        if stopping {
            // This stop has used up our request.
            let _ = ptrace::interrupt(tid);
        }
        let signal = if let Event::Signal(signal) = event {
            signal
        } else {
            0
        };
        // A thread that was killed at its stop tells so when it is waited for.
        let _ = ptrace::resume(tid, signal);
        new
    }

    /// Takes in what a thread made, which is traced from its start; says whether it is a thread.
    pub(crate) fn adopt(&mut self, made: Tid) -> bool {
        let thread = task::is_thread_of(self.pid, made);
        if thread {
            self.threads.entry(made).or_insert(State::Running);
        } else {
            self.strangers.push(made);
            if sharing::shares(self.pid, made) {
                self.sharers.push(made);
            }
        }
        thread
    }

    /// Detaches from processes that the target made: they are not the target.
    fn let_strangers_go(&mut self) {
        self.strangers.retain(|tid| match ptrace::poll(*tid) {
            Ok(None) => true,
            Ok(Some(Event::Gone)) | Err(_) => false,
            Ok(Some(_)) => ptrace::detach(*tid).is_err(),
        });
    }

    /// Seizes the threads that are not ours yet, and counts them.
    fn seize_new(&mut self) -> Result<usize, SeizeError> {
        let mut new = 0;
        for tid in task::tids(self.pid)? {
            if self.threads.contains_key(&tid) {
                continue;
            }
            match ptrace::seize(tid) {
                Ok(()) => {
                    self.threads.insert(tid, State::Running);
                    new += 1;
                }
                Err(Errno::ESRCH) => {}
                // The kernel says EPERM of the dead, too, and of a thread that became ours with its parent's `clone`.
                Err(_) if task::is_dead(self.pid, tid) => self.dead_leader |= tid == self.pid,
                Err(Errno::EPERM) if task::is_ours(self.pid, tid) => {
                    self.threads.insert(tid, State::Running);
                    new += 1;
                }
                Err(errno) => return Err(denied::explain(self.pid, tid, errno)),
            }
        }
        Ok(new)
    }

    fn is_complete(&self) -> bool {
        let dead = usize::from(self.dead_leader);
        task::count(self.pid) == Some(self.threads.len() + dead) || self.rest_is_dead()
    }

    /// Whether all that are there and not ours are dead, and wait to be waited for. The list is whole if it is as long as the
    /// count says; one that has left it since may have made another.
    fn rest_is_dead(&self) -> bool {
        let Ok(listed) = task::tids(self.pid) else {
            return false;
        };
        let is_zombie = |tid: Tid| task::stat(self.pid, tid).is_some_and(|(_, state)| state == 'Z');
        let mut others = listed.iter().filter(|tid| !self.threads.contains_key(tid));
        others.all(|tid| is_zombie(*tid)) && task::count(self.pid) == Some(listed.len())
    }

    fn forget_the_dead(&mut self) {
        let pid = self.pid;
        // The main thread of a process whose other threads live on is dead without an event.
        let dead = |(tid, state): (&Tid, &State)| {
            (*state == State::Running && task::is_dead(pid, *tid)).then_some(*tid)
        };
        let dead: Vec<Tid> = self.threads.iter().filter_map(dead).collect();
        for tid in dead {
            self.threads.remove(&tid);
            self.dead_leader |= tid == pid;
        }
    }

    /// Lets all threads go on, and traces them no longer: the end of the time in which the process stands still.
    pub fn resume_all(&mut self) {
        self.let_go(Instant::now() + LETTING_GO);
    }

    /// Lets the threads run for a while.
    ///
    /// # Errors
    /// When the process is another program after it, or none.
    pub fn run_for(&mut self, time: Duration) -> Result<(), StopError> {
        let end = Instant::now() + time;
        // One that could not be told yet goes on as soon as it can be.
        self.let_go(end);
        thread::sleep(end.saturating_duration_since(Instant::now()));
        match task::Program::of(self.pid) {
            program if program == self.program => Ok(()),
            Some(_) => Err(StopError::Exec { pid: self.pid }),
            None => Err(StopError::Ended { pid: self.pid }),
        }
    }

    fn let_go(&mut self, deadline: Instant) {
        (self.seized, self.since) = (false, None);
        let mut pause = Pause::default();
        loop {
            self.detach_stopped();
            if (self.threads.is_empty() && self.strangers.is_empty()) || Instant::now() > deadline {
                return;
            }
            self.interrupt_all();
            pause.rest();
            // After an exec what is left is the new program's only thread.
            let _ = self.take_events(true);
            self.forget_the_dead();
        }
    }

    fn detach_stopped(&mut self) {
        self.threads.retain(|tid, state| {
            if *state != State::Stopped {
                return true;
            }
            uninterrupted::begin_again(*tid);
            // A thread that is gone needs no letting go.
            !matches!(ptrace::detach(*tid), Ok(()) | Err(Errno::ESRCH))
        });
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.resume_all();
    }
}

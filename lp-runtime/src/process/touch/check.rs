//! Which of the stopped threads is inside code that is about to change.
//!
//! A thread is free when its stack is known to its end and no frame of it is inside a busy range. One whose stack is not known is as
//! good as inside. All stacks are read by one call when the threads have stopped, and what the unwinder learns of one
//! thread's code serves all: threads of a pool wait at the same places.

use std::fmt;
use std::ops::Range;

use nix::errno::Errno;
use thiserror::Error;

use crate::process::read::maps::Maps;
use crate::process::read::memory::ReadMemory;
use crate::process::touch::registers::Registers;
use crate::process::touch::threads::{Threads, Tid};
use crate::process::touch::unwind::{Frame, Stack, Unreliable, UnwindTables, Unwinder, Why};
use crate::process::touch::write::read_many;

/// Bytes of a stack that are read at once: most waiting threads need no more.
const WINDOW: u64 = 4 << 10;

/// Stacks that are read by one call. More of them would only take more memory at once.
const BATCH: usize = 64;

const PAGE: u64 = 4096;

/// Code that no thread may be inside, and what it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BusyRange {
    /// Its addresses.
    pub range: Range<u64>,
    /// The function that it belongs to.
    pub function: String,
}

/// All code that no thread may be inside, by address.
#[derive(Debug, Clone, Default)]
pub struct Busy {
    ranges: Vec<BusyRange>,
    /// For each range the highest end of it and those before: ranges may lie inside others.
    ends: Vec<u64>,
}

impl Busy {
    /// Functions with all their fragments, and the bytes that will be written.
    pub fn new(ranges: impl IntoIterator<Item = BusyRange>) -> Self {
        let mut ranges: Vec<BusyRange> = ranges.into_iter().collect();
        ranges.sort_by_key(|it| (it.range.start, it.range.end));
        let highest = |highest: &mut u64, it: &BusyRange| {
            *highest = it.range.end.max(*highest);
            Some(*highest)
        };
        let ends = ranges.iter().scan(0, highest).collect();
        Self { ranges, ends }
    }

    /// The function that an address is inside.
    pub fn function_at(&self, address: u64) -> Option<&str> {
        let after = self.ranges.partition_point(|it| it.range.start <= address);
        let before = self.ranges.iter().zip(&self.ends).take(after).rev();
        let possible = before.take_while(|(_, end)| **end > address);
        let mut found = possible.filter(|(it, _)| it.range.contains(&address));
        found.next().map(|(it, _)| it.function.as_str())
    }
}

/// What keeps a thread from being free.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InTheWay {
    /// It is inside a function that changes.
    Inside {
        /// The function.
        function: String,
        /// How many frames are above, the thread's own code having none.
        frame: usize,
        /// All its frames.
        frames: Vec<Frame>,
    },
    /// Nobody knows.
    Unreliable {
        /// What is known of its stack, and what is wrong with it.
        stack: Unreliable,
        /// The object that the last known frame's code is in, where that is known.
        object: String,
    },
    /// It was there while another one began, which nobody has looked at yet.
    Began,
}

/// A thread that is in the way.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub struct BusyThread {
    /// Which one.
    pub tid: Tid,
    /// Why.
    pub why: InTheWay,
}

impl BusyThread {
    pub(in crate::process) fn began(tid: Tid) -> Self {
        let why = InTheWay::Began;
        Self { tid, why }
    }
}

impl fmt::Display for BusyThread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tid = self.tid;
        match &self.why {
            InTheWay::Began => write!(f, "thread {tid} waits for one that has just begun"),
            InTheWay::Inside {
                function, frame: 0, ..
            } => write!(f, "thread {tid} runs {function}"),
            InTheWay::Inside {
                function, frame, ..
            } => write!(f, "thread {tid} will return to {function} (frame {frame})"),
            InTheWay::Unreliable { stack, object } if object.is_empty() => {
                write!(f, "thread {tid}: {stack}")
            }
            InTheWay::Unreliable { stack, object } => {
                write!(f, "thread {tid}: {stack}, in {object}")
            }
        }
    }
}

/// A thread's stack when it was last looked at.
#[derive(Debug, Clone)]
pub struct ThreadStack {
    /// Whose.
    pub tid: Tid,
    /// Its stack pointer.
    pub sp: u64,
    /// Its `fs`: where the C library keeps what it knows of the thread.
    pub thread_pointer: u64,
    /// What is known of its frames.
    pub frames: Vec<Frame>,
}

/// Looks at stacks; made before the threads are stopped.
pub struct Checker<'a> {
    pid: i32,
    maps: &'a Maps,
    memory: &'a dyn ReadMemory,
    tables: &'a UnwindTables,
    unwinder: Unwinder<'a>,
    /// All of them, when all were last looked at and none was in the way.
    stacks: Vec<ThreadStack>,
}

impl<'a> Checker<'a> {
    /// For a process with these mappings; where they have changed since, a stack is read in pieces, or is not reliable.
    pub fn new(
        pid: i32,
        maps: &'a Maps,
        memory: &'a dyn ReadMemory,
        tables: &'a UnwindTables,
    ) -> Self {
        Self {
            pid,
            maps,
            memory,
            tables,
            unwinder: Unwinder::new(tables),
            stacks: Vec::new(),
        }
    }

    /// The stacks of all threads as they were when those were last looked at and none was in the way.
    pub fn stacks(&self) -> &[ThreadStack] {
        &self.stacks
    }

    /// The tables that it unwinds by.
    pub fn tables(&self) -> &'a UnwindTables {
        self.tables
    }

    /// All threads that are in the way, of those that are there. None: all may switch.
    ///
    /// # Errors
    /// When a thread's registers cannot be read: it is not stopped.
    pub fn in_the_way(
        &mut self,
        threads: &Threads,
        busy: &Busy,
    ) -> Result<Vec<BusyThread>, (Tid, Errno)> {
        let tids: Vec<Tid> = threads.tids().collect();
        self.in_the_way_of(&tids, |pc| pc, |frame| busy.function_at(frame.inside()))
    }

    /// Which of these threads are in the way: `same` says of which place the one that a thread is at is a copy, `inside` of a frame
    /// what it is inside of.
    ///
    /// # Errors
    /// As [`Self::in_the_way`].
    pub fn in_the_way_of<'b>(
        &mut self,
        tids: &[Tid],
        same: impl Fn(u64) -> u64,
        inside: impl Fn(&Frame) -> Option<&'b str>,
    ) -> Result<Vec<BusyThread>, (Tid, Errno)> {
        let tids = tids.iter().copied();
        let registers = tids.map(|tid| {
            let mut registers = Registers::of(tid).map_err(|errno| (tid, errno))?;
            registers.0.rip = same(registers.0.rip);
            Ok((tid, registers))
        });
        let registers: Vec<_> = registers.collect::<Result<_, _>>()?;
        let mut in_the_way = Vec::new();
        self.stacks.clear();
        for batch in registers.chunks(BATCH) {
            let windows: Vec<_> = batch.iter().map(|it| self.window(&it.1)).collect();
            let stacks = read_many(self.pid, &windows);
            for (((tid, registers), (start, _)), bytes) in batch.iter().zip(windows).zip(stacks) {
                let stack = Stack::new(self.memory, start, bytes);
                match self.look(registers, stack, &inside) {
                    Ok(frames) => self.stacks.push(ThreadStack {
                        tid: *tid,
                        sp: registers.sp(),
                        thread_pointer: registers.thread_pointer(),
                        frames,
                    }),
                    Err(why) => in_the_way.push(BusyThread { tid: *tid, why }),
                }
            }
        }
        Ok(in_the_way)
    }

    /// The stack of one stopped thread, from its innermost frame.
    ///
    /// # Errors
    /// Where it is not known to its end.
    pub fn frames(&mut self, registers: &Registers) -> Result<Vec<Frame>, Unreliable> {
        let mut stack = Stack::new(self.memory, registers.sp(), Vec::new());
        self.unwinder.unwind(registers, &mut stack)
    }

    /// What is read of a stack at first: nothing beyond its mapping, where all reading would end.
    fn window(&self, registers: &Registers) -> (u64, usize) {
        let start = registers.sp();
        let page_end = (start / PAGE + 1).saturating_mul(PAGE);
        let end = self.maps.at(start).map_or(page_end, |it| it.range.end);
        (start, end.saturating_sub(start).min(WINDOW) as usize)
    }

    fn look<'b>(
        &mut self,
        registers: &Registers,
        mut stack: Stack<'_>,
        inside: &impl Fn(&Frame) -> Option<&'b str>,
    ) -> Result<Vec<Frame>, InTheWay> {
        let (frames, unreliable) = match self.unwinder.unwind(registers, &mut stack) {
            Ok(frames) => (frames, None),
            Err(stack) => (stack.frames, Some(stack.why)),
        };
        let inside = |(at, frame): (usize, &Frame)| Some((at, inside(frame)?));
        if let Some((frame, function)) = frames.iter().enumerate().find_map(inside) {
            return Err(InTheWay::Inside {
                function: function.to_owned(),
                frame,
                frames,
            });
        }
        match unreliable {
            Some(why) => Err(self.unreliable(frames, why)),
            None => Ok(frames),
        }
    }

    fn unreliable(&self, frames: Vec<Frame>, why: Why) -> InTheWay {
        let last = frames.last().map_or(0, |it| it.pc);
        let object = self.tables.object_at(last).map(str::to_owned);
        let mapped = || Some(self.maps.at(last)?.path.to_string_lossy().into_owned());
        InTheWay::Unreliable {
            object: object.or_else(mapped).unwrap_or_default(),
            stack: Unreliable { frames, why },
        }
    }
}

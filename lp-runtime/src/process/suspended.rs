//! Code that a stack returns to which no thread is on: of a coroutine, a fiber, or a thread that runs on another stack for now.
//!
//! Nobody keeps a list of such stacks (`swapcontext`, `setjmp`, a library's own instructions), so all memory that is the program's own
//! is searched for words that lead into the code. It is done while the program runs, after a stop at which no thread was
//! inside the code and nothing led there any more: who is inside then is suspended, and the word by which it comes back stays where it is
//! for as long as it is inside, save that it runs on meanwhile and calls something else.
//!
//! A word is no proof. What a call has left behind on a thread's own stack is dead, and that is where most of them are: it is told
//! by the stack pointers of that stop (and nothing keeping a place below one), and where a thread has ended, by what glibc leaves of it.
//! For all others the doubt counts: the code stays. So does code that a pointer to a function leads to. The tempting wrong way is to
//! look for threads alone, as the kernel does: it has no coroutines.

mod words;

use std::collections::HashSet;
use std::ops::Range;

use iced_x86::{Decoder, DecoderOptions, FlowControl};

use super::read::maps::{Maps, MapsError};
use super::touch::check::ThreadStack;
use super::touch::unwind::{Frame, Stack, UnwindTables, Unwinder, Why};
use super::touch::write::WriteMemory;
use words::{Found, search, words_at};

/// More words than this are looked at by nobody: the code stays.
const MAX_WORDS: usize = 1 << 14;

/// A word that leads into the code, and no thread's stack explains it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Suspended {
    /// Where it is.
    pub(super) at: u64,
    /// Where it leads.
    pub(super) pc: u64,
}

/// What is searched.
pub(super) struct Search<'a> {
    pub(super) pid: i32,
    pub(super) memory: &'a WriteMemory,
    pub(super) tables: &'a UnwindTables,
    /// The threads, as they were when none was inside the code.
    pub(super) threads: &'a [ThreadStack],
    /// The code.
    pub(super) code: &'a [Range<u64>],
    /// Only words that lead there count; none: all do.
    pub(super) places: Option<&'a HashSet<u64>>,
    /// Memory that does not count: the patch's own, and what is said of it.
    pub(super) except: &'a [Range<u64>],
}

impl Search<'_> {
    /// The words that something suspended may come back by, no more than so many.
    ///
    /// # Errors
    /// Where the process's mappings cannot be read.
    pub(super) fn suspended(&self, most: usize) -> Result<Vec<Suspended>, MapsError> {
        let maps = Maps::read(self.pid)?;
        let Found { words, own } = search(self, &maps, MAX_WORDS);
        let stacks = self.own_stacks(&maps);
        let mut judge = Judge {
            search: self,
            left: self.left_in_use(&maps, &stacks, &words),
            stacks,
            ended: self.ended(&own, &maps),
            maps: &maps,
            unwinder: Unwinder::new(self.tables),
        };
        let judged = words.iter().take(MAX_WORDS).copied();
        let live = judged.filter(|it| judge.may_be_live(it));
        let unjudged = words.get(MAX_WORDS).copied();
        Ok(live.chain(unjudged).take(most).collect())
    }

    /// The stacks that threads were given: that of the first by its name, the others where what the C library keeps of a
    /// thread is, above its stack. One that begins with the mapping that it is in has a guard below; of others it is not known where
    /// they begin.
    fn own_stacks<'t>(&'t self, maps: &Maps) -> Vec<OwnStack<'t>> {
        let named = maps
            .iter()
            .find(|it| it.path.as_os_str() == "[stack]")
            .map(|it| it.range.clone());
        let own = |thread: &'t ThreadStack| {
            let tops = thread.frames.iter().map(|frame| frame.cfa);
            let known: Vec<u64> = std::iter::once(thread.sp).chain(tops).collect();
            let is_on = |range: &Range<u64>| known.iter().any(|at| range.contains(at));
            // The child of a thread's fork is the first of its process, and on that thread's stack.
            let first = named.clone();
            let first = first.filter(|it| thread.tid == self.pid && is_on(it));
            let range = match &first {
                Some(named) => named.clone(),
                None => {
                    let mapping = maps.at(thread.thread_pointer)?;
                    mapping.range.start..thread.thread_pointer
                }
            };
            let low = *known.iter().filter(|at| range.contains(at)).min()?;
            let begins = first.is_some() || is_guarded(maps, range.start);
            let start = if begins { range.start } else { low };
            Some(OwnStack {
                range: start..range.end,
                low,
                thread,
            })
        };
        self.threads.iter().filter_map(own).collect()
    }

    /// Where something still leads to below the stack pointer of a thread: a program may keep stacks of its own there. Only asked where
    /// words are there that lead into the code.
    fn left_in_use(
        &self,
        maps: &Maps,
        stacks: &[OwnStack<'_>],
        words: &[Suspended],
    ) -> Vec<Suspended> {
        let has_words = |below: &Range<u64>| words.iter().any(|it| below.contains(&it.at));
        let below = stacks.iter().map(|it| it.range.start..it.low);
        let below: Vec<Range<u64>> = below.filter(has_words).collect();
        if below.is_empty() {
            return Vec::new();
        }
        let leads = Search {
            code: &below,
            places: None,
            except: &below,
            ..*self
        };
        let mut found = search(&leads, maps, MAX_WORDS).words;
        // A context may be kept on its own stack, and another one lead there.
        let mut known: HashSet<u64> = found.iter().map(|it| it.pc).collect();
        let mut next = 0;
        while let Some(lead) = found
            .get(next)
            .copied()
            .filter(|_| found.len() <= MAX_WORDS)
        {
            let further = words_at(&leads, lead.pc).into_iter();
            found.extend(further.filter(|it| known.insert(it.pc)));
            next += 1;
        }
        found
    }

    /// What glibc keeps of threads that have ended, at the upper end of a stack that waits for the next one. Who began after the
    /// stop was never inside.
    fn ended(&self, own: &[u64], maps: &Maps) -> Vec<u64> {
        let alive = |at: &u64| self.threads.iter().any(|it| it.thread_pointer == *at);
        let is_guarded = |at: &u64| {
            maps.at(*at)
                .is_some_and(|it| is_guarded(maps, it.range.start))
        };
        let mut ended: Vec<u64> = own
            .iter()
            .copied()
            .filter(|at| !alive(at) && is_guarded(at))
            .collect();
        ended.sort_unstable();
        ended
    }
}

/// A stack that a thread was given, and was on.
struct OwnStack<'t> {
    range: Range<u64>,
    /// Below, nothing was in use.
    low: u64,
    thread: &'t ThreadStack,
}

struct Judge<'a> {
    search: &'a Search<'a>,
    stacks: Vec<OwnStack<'a>>,
    /// Words that lead to below a stack pointer.
    left: Vec<Suspended>,
    ended: Vec<u64>,
    maps: &'a Maps,
    unwinder: Unwinder<'a>,
}

impl Judge<'_> {
    fn may_be_live(&mut self, word: &Suspended) -> bool {
        let own = self.stacks.iter().find(|it| it.range.contains(&word.at));
        if let Some(own) = own.filter(|own| word.at < own.low) {
            // What a call has left behind, unless somebody has kept a stack pointer from there.
            let kept = own.range.start..=word.at;
            let overflow = self.left.len() > MAX_WORDS;
            return overflow || self.left.iter().any(|it| kept.contains(&it.pc));
        }
        if let Some(own) = own {
            // The thread's frames are known, and none is in the code. Who is there nevertheless is on a stack that the program
            // has put into one of them, and ends elsewhere, or where nobody can tell.
            let frames = &own.thread.frames;
            return self
                .frames_from(word)
                .is_none_or(|found| !joins(&found, frames));
        }
        if self.is_of_ended_thread(word.at) {
            return false;
        }
        let Some(found) = self.frames_from(word) else {
            return true;
        };
        // A copy of a stack says where the frames of the stack itself were, which are now another's.
        let mapping = self.maps.at(word.at);
        let inside = |frame: &&Frame| mapping.is_some_and(|it| it.range.contains(&frame.cfa));
        let found: Vec<Frame> = found.iter().take_while(inside).copied().collect();
        let threads = &self.search.threads;
        !threads.iter().any(|it| joins(&found, &it.frames))
    }

    /// The frames from a word on that a call returns by, where they are known to their end. Contexts (`makecontext`) end with a return
    /// to where a function begins, before which there is none.
    fn frames_from(&mut self, word: &Suspended) -> Option<Vec<Frame>> {
        let sp = word.at.checked_add(8)?;
        let mut stack = Stack::new(self.search.memory, word.at, Vec::new());
        match self.unwinder.unwind_from(word.pc, sp, &mut stack) {
            Ok(frames) => Some(frames),
            Err(stack) if stack.why == Why::NoInformation => {
                let last = stack.frames.last()?.pc;
                let begins = self.search.tables.begins_at(last);
                begins.then_some(stack.frames)
            }
            Err(_) => None,
        }
    }

    /// Whether it is on a stack whose thread has ended: what is kept of that is the first above it, in the same mapping.
    fn is_of_ended_thread(&self, at: u64) -> bool {
        let above = self.ended.partition_point(|ended| *ended <= at);
        let same = |ended: &&u64| self.maps.at(at).is_some_and(|it| it.range.contains(*ended));
        let Some(ended) = self.ended.get(above).filter(same) else {
            return false;
        };
        let mut threads = self.search.threads.iter().map(|it| it.thread_pointer);
        !threads.any(|other| (at..*ended).contains(&other))
    }
}

/// The places behind the calls in a piece of code, which begins at an address.
pub(super) fn behind_calls(address: u64, code: &[u8]) -> Vec<u64> {
    let decoder = Decoder::with_ip(64, code, address, DecoderOptions::NONE);
    let calls = decoder.into_iter().filter(|it| {
        let control = it.flow_control();
        matches!(control, FlowControl::Call | FlowControl::IndirectCall)
    });
    calls.map(|it| it.next_ip()).collect()
}

/// Whether nothing may be touched before the start of a mapping: it is the lower end of a stack.
fn is_guarded(maps: &Maps, start: u64) -> bool {
    let below = start.checked_sub(1).and_then(|at| maps.at(at));
    below.is_some_and(|it| !it.perms.read && !it.perms.write && !it.perms.exec)
}

/// Whether the callers of a frame are those of a thread: then what was called by them has returned.
fn joins(found: &[Frame], thread: &[Frame]) -> bool {
    let same = |it: &Frame| thread.iter().any(|of| of.cfa == it.cfa && of.cfa != 0);
    found.iter().any(same)
}

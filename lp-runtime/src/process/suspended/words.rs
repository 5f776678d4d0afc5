//! The search of a process's memory for words that lead into code.
//!
//! Only pages that are there are read (`/proc/PID/pagemap`, `Documentation/admin-guide/mm/pagemap.rst`): a program may have reserved far
//! more than it uses. What vanishes meanwhile held nothing.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use super::{Search, Suspended};
use crate::process::read::maps::{Mapping, Maps};
use crate::process::read::memory::{ReadMemory, read_u64};

const PAGE: u64 = 4096;
/// Bytes that are read at once.
const CHUNK: u64 = 1 << 20;
const WORD: usize = 8;
/// Bytes of what a pointer may lead to: `ucontext_t` has 968.
const KEPT: usize = 1024;
/// Bytes that are looked at together.
const BLOCK: usize = 32 * WORD;

/// Of an entry of pagemap: the page is in memory, or swapped out.
const PRESENT: u64 = 1 << 63 | 1 << 62;

/// Where glibc keeps what it mangles pointers with, what guards stacks, and a second pointer to itself, from the thread pointer
/// (`tcbhead_t`, `sysdeps/x86_64/nptl/tls.h`).
const POINTER_GUARD: u64 = 0x30;
const STACK_GUARD: u64 = 0x28;
const SELF: u64 = 0x10;
/// How far it turns them to the left afterwards (`PTR_MANGLE`).
const MANGLED_BY: u32 = 17;

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// The words, mangled ones as they were before.
    pub(super) words: Vec<Suspended>,
    /// What glibc keeps of threads: it begins with its own address.
    pub(super) own: Vec<u64>,
}

/// Searches all that the process can write, until more than `most` words have been found.
pub(super) fn search(search: &Search<'_>, maps: &Maps, most: usize) -> Found {
    let mut found = Found::default();
    let Some(matcher) = Matcher::new(search) else {
        return found;
    };
    let pages = File::open(format!("/proc/{}/pagemap", search.pid)).ok();
    let mut buffer = vec![0; CHUNK as usize];
    for mapping in maps.iter().filter(|it| may_hold(it)) {
        for range in there(mapping, pages.as_ref()) {
            for start in (range.start..range.end).step_by(CHUNK as usize) {
                let end = range.end.min(start + CHUNK);
                let Some(bytes) = buffer.get_mut(..(end - start) as usize) else {
                    continue;
                };
                if search.memory.read(start, bytes).is_ok() {
                    matcher.look(start, bytes, &mut found);
                } else {
                    page_by_page(search, &matcher, start..end, &mut found);
                }
                if found.words.len() > most {
                    return found;
                }
            }
        }
    }
    let record = |at| Record::read(search, at);
    let alive = search.threads.iter().map(|it| it.thread_pointer);
    let alive = alive.filter_map(record).next();
    // Two random numbers that all threads of a process share: nothing else has them.
    found.own.retain(|at| {
        let same = |one: Record| one.own == *at && alive.is_some_and(|it| it.guards == one.guards);
        record(*at).is_some_and(same)
    });
    found
}

/// Those in what may be kept at an address: a context with what is before it.
pub(super) fn words_at(search: &Search<'_>, at: u64) -> Vec<Suspended> {
    let everywhere = Search {
        except: &[],
        ..*search
    };
    let mut found = Found::default();
    let mut bytes = [0; KEPT];
    let at = at & !(WORD as u64 - 1);
    let is_read = search.memory.read(at, &mut bytes).is_ok();
    if let Some(matcher) = Matcher::new(&everywhere).filter(|_| is_read) {
        matcher.look(at, &bytes, &mut found);
    }
    found.words
}

/// The head of what glibc keeps of a thread.
#[derive(Clone, Copy)]
struct Record {
    own: u64,
    guards: [u64; 2],
}

impl Record {
    fn read(search: &Search<'_>, at: u64) -> Option<Self> {
        let word = |offset| read_u64(search.memory, at.checked_add(offset)?).ok();
        let guards = [word(STACK_GUARD)?, word(POINTER_GUARD)?];
        let own = word(SELF)?;
        (guards[1] != 0).then_some(Self { own, guards })
    }
}

/// What may be a stack, or hold what leads to one. A stack may be protected while nobody is on it.
fn may_hold(mapping: &Mapping) -> bool {
    let is_private = mapping.file.is_none() && !mapping.perms.shared;
    mapping.perms.write || (is_private && !mapping.perms.exec)
}

/// Some of it cannot be read.
fn page_by_page(search: &Search<'_>, matcher: &Matcher<'_>, range: Range<u64>, found: &mut Found) {
    let mut page = [0; PAGE as usize];
    for start in range.step_by(PAGE as usize) {
        if search.memory.read(start, &mut page).is_ok() {
            matcher.look(start, &page, found);
        }
    }
}

/// What of a mapping is there; all of it, where the kernel does not say.
fn there(mapping: &Mapping, pages: Option<&File>) -> Vec<Range<u64>> {
    let whole = mapping.range.clone();
    let Some(pages) = pages else {
        return vec![whole];
    };
    let mut there: Vec<Range<u64>> = Vec::new();
    let mut entries = vec![0; CHUNK as usize];
    let mut next = whole.start;
    while next < whole.end {
        let count = ((whole.end - next) / PAGE).min(CHUNK / WORD as u64) as usize;
        let entries = &mut entries[..count * WORD];
        if count == 0
            || pages
                .read_exact_at(entries, next / PAGE * WORD as u64)
                .is_err()
        {
            there.push(next..whole.end);
            break;
        }
        let (entries, _) = entries.as_chunks::<WORD>();
        for entry in entries {
            let page = next..next + PAGE;
            next = page.end;
            if u64::from_le_bytes(*entry) & PRESENT == 0 {
                continue;
            }
            match there.last_mut() {
                Some(last) if last.end == page.start => last.end = page.end,
                _ => there.push(page),
            }
        }
    }
    there
}

/// Says of words whether they lead into the code.
struct Matcher<'a> {
    search: &'a Search<'a>,
    /// From the first of the code to the last.
    start: u64,
    size: u64,
    guard: u64,
}

impl<'a> Matcher<'a> {
    fn new(search: &'a Search<'a>) -> Option<Self> {
        let start = search.code.iter().map(|it| it.start).min()?;
        let end = search.code.iter().map(|it| it.end).max()?;
        let guard = search.threads.iter().find_map(|thread| {
            let at = thread.thread_pointer.checked_add(POINTER_GUARD)?;
            read_u64(search.memory, at).ok()
        });
        Some(Self {
            search,
            start,
            size: end.saturating_sub(start),
            guard: guard.unwrap_or_default(),
        })
    }

    fn look(&self, base: u64, bytes: &[u8], found: &mut Found) {
        // Hardly any block has one, and without branches the processor looks at several words at once.
        let blocks = (base..).step_by(BLOCK).zip(bytes.chunks(BLOCK));
        for (base, block) in blocks {
            let (words, _) = block.as_chunks::<WORD>();
            let words = words.iter().map(|word| u64::from_le_bytes(*word));
            let places = (base..).step_by(WORD);
            let of_interest = |(at, word): (u64, u64)| {
                self.is_near(word) | self.is_near(self.demangled(word)) | (word == at)
            };
            let all = places.zip(words);
            if all.clone().fold(false, |any, one| any | of_interest(one)) {
                all.for_each(|(at, word)| self.look_at(at, word, found));
            }
        }
    }

    fn look_at(&self, at: u64, word: u64, found: &mut Found) {
        let plain = self.demangled(word);
        if self.is_near(word) {
            self.keep(at, word, found);
        } else if self.is_near(plain) {
            self.keep(at, plain, found);
        } else if word == at {
            found.own.push(at);
        }
    }

    fn demangled(&self, word: u64) -> u64 {
        word.rotate_right(MANGLED_BY) ^ self.guard
    }

    fn is_near(&self, word: u64) -> bool {
        word.wrapping_sub(self.start) < self.size
    }

    fn keep(&self, at: u64, pc: u64, found: &mut Found) {
        let within = |ranges: &[Range<u64>], it| ranges.iter().any(|range| range.contains(&it));
        let leads = match self.search.places {
            Some(places) => places.contains(&pc),
            None => within(self.search.code, pc),
        };
        if leads && !within(self.search.except, at) {
            found.words.push(Suspended { at, pc });
        }
    }
}

//! Which files say one of some names, or can put one together.
//!
//! A name is also said where a macro pastes it (`##`) from pieces: those in the macro, and those where it is used. So a file
//! counts where the name can be made of at most four words that macros of headers bring ([`super::pasting`]), or its own macros, or
//! that it hands to a macro which pastes them, and one of them is its own. That errs on the side of too many: any macro of any
//! header counts. The tempting wrong way is to search for the name alone.
//!
//! A name that only one of the two trees has, and that no other file says, cannot be one that others paste: what is pasted
//! is declared somewhere, and if that is pasted, too, it would clash with the header's.

use super::comments::without_comments;
use super::pasting::{ANY, Given, Pasting, Slot, pasters};
use rayon::prelude::*;
use rustc_hash::{FxHashMap, FxHashSet};
use std::collections::BTreeSet;
use std::path::PathBuf;

/// A macro that pastes more words than this into one name is not known.
const PIECES: usize = 4;
const BUILTIN: &str = "__builtin_";

/// The files among `paths` that say or can make one of `names`; those in `fresh` are in only one of the two trees. A file
/// that cannot be read counts.
pub fn mention(
    paths: &[(String, PathBuf)],
    names: &BTreeSet<String>,
    fresh: &BTreeSet<String>,
) -> BTreeSet<String> {
    let wanted = Wanted::new(names);
    let said: Vec<(&String, Option<Said<'_>>)> = paths
        .par_iter()
        .map(|(path, file)| {
            let text = std::fs::read(file).ok();
            (path, text.map(|text| wanted.said(&without_comments(&text))))
        })
        .collect();
    let all = || {
        said.iter()
            .filter_map(|(path, said)| Some((path, said.as_ref()?)))
    };
    let known: FxHashSet<&str> = all().flat_map(|(_, said)| &said.whole).copied().collect();
    let pasted: Vec<&String> = names
        .iter()
        .filter(|name| known.contains(name.as_str()) || !fresh.contains(*name))
        .collect();
    let included: FxHashSet<&str> = all()
        .flat_map(|(_, said)| said.sources.iter().map(String::as_str))
        .collect();
    // What a source defines, no other file can use; its own words count for it in any case.
    let is_shared = |path: &str| {
        let name = path.rsplit('/').next().unwrap_or(path);
        !name.ends_with(".c") || included.contains(name)
    };
    let shared = || all().filter(|(path, _)| is_shared(path));
    let shared = || shared().map(|(_, said)| said);
    // A source may define what nobody else uses, and use it.
    let direct = all().flat_map(|(_, said)| &said.pasters).copied();
    let pasters = pasters(
        direct.chain([ANY]),
        all().flat_map(|(_, said)| &said.passes_on).copied(),
    );
    let handed = shared().flat_map(|said| &said.handed);
    let handed = handed.filter(|(callee, _)| pasters.contains(callee));
    let pasting: FxHashSet<&[u8]> = shared()
        .flat_map(|said| &said.beside)
        .chain(handed.map(|(_, word)| word))
        .map(|word| wanted.piece(*word))
        .collect();
    let mentions = |said: &Said<'_>| {
        let given = said.given.iter().chain(&said.handed);
        let given = given.filter(|(callee, _)| pasters.contains(callee));
        let own = said.beside.iter().chain(&said.stands_for);
        let own = own.chain(given.map(|(_, word)| word));
        let own: FxHashSet<&[u8]> = own.map(|word| wanted.piece(*word)).collect();
        !said.whole.is_empty()
            || !own.is_empty()
                && pasted
                    .iter()
                    .any(|name| is_made_of(name.as_bytes(), &own, &pasting, PIECES, false))
    };
    said.into_par_iter()
        .filter(|(_, said)| said.as_ref().is_none_or(mentions))
        .map(|(path, _)| path.clone())
        .collect()
}

/// The words that matter: the names, and every part of one.
struct Wanted<'n> {
    ids: FxHashMap<Vec<u8>, Word<'n>>,
    pieces: Vec<Vec<u8>>,
    longest: usize,
    /// Whether one begins with two bytes: nearly no word of a kernel does, and looking all of them up would take most of the time.
    begins: Vec<bool>,
}

#[derive(Clone, Copy)]
enum Word<'n> {
    Whole(&'n str),
    Piece(u32),
}

/// What one file says.
#[derive(Default)]
struct Said<'n> {
    whole: FxHashSet<&'n str>,
    /// The pieces that its macros stand for.
    stands_for: FxHashSet<u32>,
    /// The pieces that its code says, with who is given them.
    given: FxHashSet<(Slot, u32)>,
    /// The parameters that are pasted, and those that are handed on, with who gets them.
    pasters: Vec<Slot>,
    passes_on: Vec<(Slot, Slot)>,
    /// The pieces beside a `##` of a macro, and those that a macro hands to another.
    beside: FxHashSet<u32>,
    handed: FxHashSet<(Slot, u32)>,
    /// The names of sources that it includes.
    sources: Vec<String>,
}

impl<'n> Wanted<'n> {
    fn new(names: &'n BTreeSet<String>) -> Self {
        let mut wanted = Self {
            ids: FxHashMap::default(),
            pieces: Vec::new(),
            longest: 0,
            begins: vec![false; 1 << 16],
        };
        for name in names {
            let bytes = name.as_bytes();
            for start in 0..bytes.len() {
                for end in start + 1..=bytes.len() {
                    wanted.add(&bytes[start..end]);
                }
            }
        }
        for name in names {
            let builtin = format!("{BUILTIN}{name}").into_bytes();
            wanted.longest = wanted.longest.max(builtin.len());
            wanted.ids.insert(builtin, Word::Whole(name));
            wanted
                .ids
                .insert(name.clone().into_bytes(), Word::Whole(name));
        }
        for word in wanted.ids.keys() {
            if let Some(begins) = wanted.begins.get_mut(beginning(word)) {
                *begins = true;
            }
        }
        wanted
    }

    fn get(&self, word: &[u8]) -> Option<Word<'n>> {
        let can_be = word.len() <= self.longest
            && self.begins.get(beginning(word)).copied().unwrap_or(false);
        can_be.then(|| self.ids.get(word).copied()).flatten()
    }

    fn add(&mut self, piece: &[u8]) {
        if !self.ids.contains_key(piece) {
            let id = u32::try_from(self.pieces.len()).unwrap_or(u32::MAX);
            self.ids.insert(piece.to_vec(), Word::Piece(id));
            self.pieces.push(piece.to_vec());
        }
    }

    fn piece(&self, id: u32) -> &[u8] {
        self.pieces.get(id as usize).map_or(&[], Vec::as_slice)
    }

    fn said(&self, text: &[u8]) -> Said<'n> {
        let mut said = Said::default();
        let mut given = Given::default();
        for line in logical_lines(text) {
            said.sources.extend(included_source(line));
            if let Some(pasting) = Pasting::of(line) {
                self.add_pasting(&mut said, pasting);
            }
            for word in words(line) {
                if let Some(Word::Whole(name)) = self.get(word) {
                    said.whole.insert(name);
                }
            }
            given.read(line, |callee, word| {
                if let Some(Word::Piece(id)) = self.get(word) {
                    said.given.insert((callee, id));
                }
            });
        }
        said
    }

    fn add_pasting(&self, said: &mut Said<'n>, pasting: Pasting<'_>) {
        let id = |word: &[u8]| match self.get(word) {
            Some(Word::Piece(id)) => Some(id),
            _ => None,
        };
        said.pasters.extend(pasting.pasted);
        said.passes_on.extend(pasting.passes_on);
        said.stands_for.extend(pasting.stands_for.and_then(id));
        said.beside
            .extend(pasting.beside.into_iter().filter_map(id));
        let handed = pasting.handed.into_iter();
        said.handed
            .extend(handed.filter_map(|(callee, word)| Some((callee, id(word)?))));
    }
}

/// Whether a name is made of so many words, one of them the file's `own`.
fn is_made_of(
    name: &[u8],
    own: &FxHashSet<&[u8]>,
    pasting: &FxHashSet<&[u8]>,
    most: usize,
    has_own: bool,
) -> bool {
    if name.is_empty() {
        return has_own;
    }
    if most == 0 {
        return false;
    }
    (1..=name.len()).any(|end| {
        let (piece, rest) = name.split_at(end);
        let is_own = own.contains(piece);
        (is_own || pasting.contains(piece))
            && is_made_of(rest, own, pasting, most - 1, has_own || is_own)
    })
}

/// Lines, those that a backslash ends together with the next.
fn logical_lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let mut end = 0;
        loop {
            match memchr::memchr(b'\n', rest.get(end..)?) {
                None => end = rest.len(),
                Some(at) => {
                    end += at + 1;
                    let before = end.checked_sub(2).and_then(|at| rest.get(at));
                    if before == Some(&b'\\') && end < rest.len() {
                        continue;
                    }
                }
            }
            let (line, after) = rest.split_at(end);
            rest = after;
            return Some(line);
        }
    })
}

/// `b.c` of `#include "a/b.c"`, and of a macro that stands for it.
fn included_source(line: &[u8]) -> Option<String> {
    let rest = line.trim_ascii_start().strip_prefix(b"#")?;
    let end = [&b".c\""[..], b".c>"]
        .into_iter()
        .find_map(|end| memchr::memmem::find(rest, end))?
        + 2;
    let path = String::from_utf8_lossy(rest.get(..end)?).into_owned();
    let name = path.rsplit(['/', '"', '<']).next()?;
    Some(name.to_owned())
}

/// The first two bytes as a number; of one byte, that one.
fn beginning(word: &[u8]) -> usize {
    let byte = |at: usize| usize::from(word.get(at).copied().unwrap_or(0));
    byte(0) << 8 | byte(1)
}

/// The names and numbers of a text, those of strings too.
pub(super) fn words(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let start = rest.iter().position(|byte| is_word(*byte))?;
        let from = rest.get(start..)?;
        let end = from.iter().position(|byte| !is_word(*byte));
        let (word, after) = from.split_at(end.unwrap_or(from.len()));
        rest = after;
        Some(word)
    })
}

/// Whether a name or a number can have this byte.
pub(super) fn is_word(byte: u8) -> bool {
    WORD[usize::from(byte)]
}

const WORD: [bool; 256] = {
    let mut word = [false; 256];
    let mut byte = 0_u8;
    while byte < u8::MAX {
        word[byte as usize] = byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'$';
        byte += 1;
    }
    word
};

//! What a macro puts into the names that it pastes (`##`) together: the words beside a `##`, and those that it hands to another
//! macro, if that one pastes what it is given.
//!
//! The tempting wrong way is to take all words of a macro that pastes: most are the code around the name, and its parameters,
//! single letters mostly, of which every name can be made. What a macro's name stands for (`#define A b`)
//! counts in its own file alone.

use super::comments::literal;
use super::mentions::{is_word, words};
use rustc_hash::{FxHashMap, FxHashSet, FxHasher};
use std::hash::Hasher;

/// A parameter of a macro, by the hash of the macro's name and its number: where two share one, what either does counts.
pub(super) type Slot = u64;

/// Whoever is called.
pub(super) const ANY: Slot = 0;

/// Parameters behind this one count as this one.
const LAST: usize = 15;
const VARIADIC: &[u8] = b"__VA_ARGS__";

/// What one `#define` does.
#[derive(Default)]
pub(super) struct Pasting<'t> {
    /// The parameters that stand beside a `##`.
    pub(super) pasted: FxHashSet<Slot>,
    /// The words beside a `##` that are no parameters.
    pub(super) beside: Vec<&'t [u8]>,
    /// The word that is all of a body.
    pub(super) stands_for: Option<&'t [u8]>,
    /// Words that are no parameters, each with who is given it.
    pub(super) handed: Vec<(Slot, &'t [u8])>,
    /// Parameters, each with who is given it.
    pub(super) passes_on: FxHashSet<(Slot, Slot)>,
}

impl<'t> Pasting<'t> {
    /// Of a logical line without comments, unless that defines no macro.
    pub(super) fn of(line: &'t [u8]) -> Option<Self> {
        let line = line.trim_ascii_start().strip_prefix(b"#")?;
        let line = line.trim_ascii_start().strip_prefix(b"define")?;
        let line = line.trim_ascii_start();
        let end = line.iter().position(|byte| !is_word(*byte))?;
        let (name, rest) = line.split_at(end);
        // Parameters begin at once: what stands behind a blank is the body.
        let close = memchr::memchr(b')', rest).filter(|_| rest.starts_with(b"("));
        let (parameters, body) = rest.split_at(close.unwrap_or(0));
        let mut pasting = Self::default();
        let parameters = Parameters::of(name, parameters);
        pasting.read(body.strip_prefix(b")").unwrap_or(body), &parameters);
        let body = body.trim_ascii();
        if close.is_none() && !body.is_empty() && body.iter().all(|it| is_word(*it)) {
            pasting.stands_for = Some(body);
            // What stands behind its use is given to that.
            let slots = (0..=LAST).map(|at| (slot(by_name(name), at), slot(by_name(body), at)));
            pasting.passes_on.extend(slots);
        }
        Some(pasting)
    }

    fn read(&mut self, body: &'t [u8], parameters: &Parameters<'_>) {
        let mut calls = Calls::default();
        let (mut last, mut is_pasted) = (Token::Other, false);
        for token in Tokens(body) {
            match (&last, &token) {
                // Whoever is given as a macro may paste.
                (Token::Word(word), Token::Open) if !is_pasted && parameters.has(word) => {
                    calls.open(Some(Callee::Any));
                }
                (Token::Word(word), Token::Open) => calls.open(Some(Callee::Named(by_name(word)))),
                (_, Token::Open) => calls.open(None),
                (_, Token::Close) => calls.close(),
                (_, Token::Comma) => calls.next(),
                (Token::Word(word), Token::Paste) | (Token::Paste, Token::Word(word)) => {
                    match parameters.has(word) {
                        true => self.pasted.extend(parameters.slots(word)),
                        false => self.beside.push(word),
                    }
                }
                _ => {}
            }
            is_pasted = matches!(last, Token::Paste);
            if let Token::Word(word) = token {
                for callee in calls.slots() {
                    match parameters.has(word) {
                        true => self
                            .passes_on
                            .extend(parameters.slots(word).map(|own| (own, callee))),
                        false => self.handed.push((callee, word)),
                    }
                }
            }
            last = token;
        }
    }
}

/// The parameters of a macro.
struct Parameters<'t> {
    of: u64,
    names: Vec<&'t [u8]>,
    /// Whether the last one stands for all that follow.
    is_variadic: bool,
}

impl<'t> Parameters<'t> {
    fn of(name: &[u8], parameters: &'t [u8]) -> Self {
        let mut names: Vec<&[u8]> = words(parameters).collect();
        let is_variadic = memchr::memmem::find(parameters, b"...").is_some();
        let last = parameters.rsplit(|byte| *byte == b',').next();
        if is_variadic && last.is_some_and(|last| words(last).next().is_none()) {
            names.push(VARIADIC);
        }
        Self {
            of: by_name(name),
            names,
            is_variadic,
        }
    }

    fn has(&self, word: &[u8]) -> bool {
        self.names.contains(&word)
    }

    fn slots(&self, word: &[u8]) -> impl Iterator<Item = Slot> + use<'_, 't> {
        let at = self.names.iter().position(|name| *name == word);
        let at = at.unwrap_or(LAST).min(LAST);
        let stands_for_all = self.is_variadic && at + 1 == self.names.len();
        let last = if stands_for_all { LAST } else { at };
        (at..=last).map(|at| slot(self.of, at))
    }
}

#[derive(Debug, Clone, Copy)]
enum Callee {
    Any,
    Named(u64),
}

/// The calls that a place in a text is inside of, each with the number of the argument.
#[derive(Debug, Default, Clone)]
struct Calls(Vec<(Option<Callee>, usize)>);

impl Calls {
    fn open(&mut self, callee: Option<Callee>) {
        self.0.push((callee, 0));
    }

    fn next(&mut self) {
        if let Some((_, at)) = self.0.last_mut() {
            *at += 1;
        }
    }

    fn close(&mut self) {
        self.0.pop();
    }

    /// Who is given what stands here.
    fn slots(&self) -> impl Iterator<Item = Slot> {
        let slots = self.0.iter().map(|(callee, at)| match callee {
            None => None,
            Some(Callee::Any) => Some(ANY),
            Some(Callee::Named(name)) => Some(slot(*name, *at)),
        });
        slots.flatten()
    }
}

/// Who is given what in the code of a file, line by line: a call may be longer than a line.
#[derive(Debug, Default)]
pub(super) struct Given {
    calls: Calls,
    /// How it was at each `#if` that is open: what stands behind an `#else` begins there as well.
    conditions: Vec<Calls>,
    /// The last word, where a line ends with it.
    last: Option<Callee>,
}

impl Given {
    /// Tells of each word of a logical line without comments who is given it.
    pub(super) fn read<'t>(&mut self, line: &'t [u8], mut tell: impl FnMut(Slot, &'t [u8])) {
        if let Some(directive) = line.trim_ascii_start().strip_prefix(b"#") {
            self.condition(directive.trim_ascii_start());
            return;
        }
        for token in Tokens(line) {
            let last = self.last.take();
            match token {
                Token::Open => self.calls.open(last),
                Token::Close => self.calls.close(),
                Token::Comma => self.calls.next(),
                Token::Word(word) => {
                    for slot in self.calls.slots() {
                        tell(slot, word);
                    }
                    self.last = Some(Callee::Named(by_name(word)));
                }
                Token::Paste | Token::Other => {}
            }
        }
    }

    fn condition(&mut self, directive: &[u8]) {
        if directive.starts_with(b"if") {
            self.conditions.push(self.calls.clone());
        } else if directive.starts_with(b"el") {
            if let Some(before) = self.conditions.last() {
                self.calls.clone_from(before);
            }
        } else if directive.starts_with(b"endif") {
            self.conditions.pop();
        }
    }
}

/// The parameters that are pasted, by their macros or by others: from those that stand beside a `##`, and from each that is
/// handed on, with who gets it.
pub(super) fn pasters(
    direct: impl Iterator<Item = Slot>,
    passes_on: impl Iterator<Item = (Slot, Slot)>,
) -> FxHashSet<Slot> {
    let mut givers: FxHashMap<Slot, Vec<Slot>> = FxHashMap::default();
    for (giver, callee) in passes_on {
        givers.entry(callee).or_default().push(giver);
    }
    let mut pending: Vec<Slot> = direct.collect();
    let mut found = FxHashSet::default();
    while let Some(paster) = pending.pop() {
        if found.insert(paster) {
            pending.extend(givers.remove(&paster).into_iter().flatten());
        }
    }
    found
}

fn slot(name: u64, at: usize) -> Slot {
    let mut hasher = FxHasher::default();
    hasher.write_u64(name);
    hasher.write_usize(at.min(LAST));
    hasher.finish()
}

fn by_name(name: &[u8]) -> u64 {
    let mut hasher = FxHasher::default();
    hasher.write(name);
    hasher.finish()
}

enum Token<'t> {
    Word(&'t [u8]),
    Paste,
    Open,
    Close,
    Comma,
    Other,
}

/// The tokens of a body that has no comments, without blanks and what is in strings.
struct Tokens<'t>(&'t [u8]);

impl<'t> Iterator for Tokens<'t> {
    type Item = Token<'t>;

    fn next(&mut self) -> Option<Token<'t>> {
        loop {
            self.0 = self.0.trim_ascii_start();
            let text = self.0;
            let first = *text.first()?;
            let (token, length) = match first {
                _ if is_word(first) => {
                    let end = text.iter().position(|byte| !is_word(*byte));
                    let end = end.unwrap_or(text.len());
                    (Some(Token::Word(text.get(..end)?)), end)
                }
                b'#' if text.starts_with(b"##") => (Some(Token::Paste), 2),
                b'(' => (Some(Token::Open), 1),
                b')' => (Some(Token::Close), 1),
                b',' => (Some(Token::Comma), 1),
                // Between the words of two lines.
                b'\\' => (None, 1),
                b'"' | b'\'' => (Some(Token::Other), literal(text)),
                _ => (Some(Token::Other), 1),
            };
            self.0 = text.get(length..)?;
            if token.is_some() {
                return token;
            }
        }
    }
}

//! What a macro puts into the names that it pastes (`##`) together: the words beside a `##`, and those that it hands to another
//! macro, if that one pastes what it is given.
//!
//! The tempting wrong way is to take all words of a macro that pastes: most are the code around the name, and its parameters,
//! single letters mostly, of which every name can be made. What a macro's name stands for (`#define A b`) is not followed.

use super::comments::literal;
use super::mentions::{is_word, words};
use rustc_hash::{FxHashMap, FxHashSet, FxHasher};
use std::hash::Hasher;

/// A macro by the hash of its name: two that share one count as pasting if either does.
pub(super) type Macro = u64;

const VARIADIC: &[u8] = b"__VA_ARGS__";

/// What one `#define` does.
pub(super) struct Pasting<'t> {
    pub(super) name: Macro,
    /// Whether a `##` stands in it.
    pub(super) is_direct: bool,
    /// The words beside a `##` that are no parameters.
    pub(super) beside: Vec<&'t [u8]>,
    /// Words that are no parameters, each with who is given it.
    pub(super) handed: Vec<(Macro, &'t [u8])>,
    /// Who is given a parameter.
    pub(super) passes_on: FxHashSet<Macro>,
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
        let mut pasting = Self {
            name: by_name(name),
            is_direct: false,
            beside: Vec::new(),
            handed: Vec::new(),
            passes_on: FxHashSet::default(),
        };
        let parameters: Vec<&[u8]> = words(parameters).collect();
        pasting.read(body, |word| parameters.contains(&word) || word == VARIADIC);
        Some(pasting)
    }

    fn read(&mut self, body: &'t [u8], is_parameter: impl Fn(&[u8]) -> bool) {
        let mut callees: Vec<Option<Macro>> = Vec::new();
        let mut last = Token::Other;
        for token in Tokens(body) {
            match (&last, &token) {
                (Token::Word(word), Token::Open) => callees.push(Some(by_name(word))),
                (_, Token::Open) => callees.push(None),
                (_, Token::Close) => drop(callees.pop()),
                (Token::Word(word), Token::Paste) | (Token::Paste, Token::Word(word)) => {
                    self.is_direct = true;
                    self.beside.extend((!is_parameter(word)).then_some(*word));
                }
                _ => {}
            }
            if let Token::Word(word) = token {
                let callees = callees.iter().copied().flatten();
                if is_parameter(word) {
                    self.passes_on.extend(callees);
                } else {
                    self.handed.extend(callees.map(|callee| (callee, word)));
                }
            }
            last = token;
        }
    }
}

/// The macros that paste what they are given, themselves or by others: from those that paste, and from each macro that hands
/// on what it is given, with who gets it.
pub(super) fn pasters(
    direct: impl Iterator<Item = Macro>,
    passes_on: impl Iterator<Item = (Macro, Macro)>,
) -> FxHashSet<Macro> {
    let mut givers: FxHashMap<Macro, Vec<Macro>> = FxHashMap::default();
    for (giver, callee) in passes_on {
        givers.entry(callee).or_default().push(giver);
    }
    let mut pending: Vec<Macro> = direct.collect();
    let mut found = FxHashSet::default();
    while let Some(paster) = pending.pop() {
        if found.insert(paster) {
            pending.extend(givers.remove(&paster).into_iter().flatten());
        }
    }
    found
}

fn by_name(name: &[u8]) -> Macro {
    let mut hasher = FxHasher::default();
    hasher.write(name);
    hasher.finish()
}

enum Token<'t> {
    Word(&'t [u8]),
    Paste,
    Open,
    Close,
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

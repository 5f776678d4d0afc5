//! Both versions of each changed function side by side, for who reviews a patch.
//!
//! [`listing`] makes rows of a function's instructions, with [`names`] in place of relocations and what special
//! sections say ([`entries`]) as comments; [`align`] pairs the rows of the two versions; [`text`] and [`html`] render
//! the same model. The tempting wrong way is to diff the output of a disassembler: everything behind an inserted
//! instruction has another address, and what a relocation refers to is not in it.

mod align;
mod entries;
mod fold;
mod gather;
pub mod html;
mod line;
mod listing;
mod names;
mod source;
pub mod text;

pub use crate::arch::text::Syntax;
pub(crate) use gather::{Gathering, align_each, gather};

use crate::object::SectionId;
use std::fmt;
use std::sync::Arc;

/// What to show.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// The function of this name alone, changed or not; all changed and new ones otherwise.
    pub function: Option<String>,
    /// How instructions are spelt.
    pub syntax: Syntax,
}

/// The functions that were asked for.
#[derive(Debug, Clone, Default)]
pub struct SideBySide {
    /// In the order of the report; those that cannot be patched after them.
    pub functions: Vec<FunctionPair>,
    /// Functions that the patched object no longer has, when all were asked for.
    pub gone: Vec<String>,
}

/// What became of a function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It differs.
    Changed,
    /// Only the patched object has it, or the patch needs a copy of its own.
    New,
    /// It does not differ.
    Same,
    /// Only the original has it.
    Gone,
}

/// The two versions of a function.
#[derive(Debug, Clone)]
pub struct FunctionPair {
    /// Its name in the target; of a new one, in the patched object.
    pub name: String,
    /// What became of it.
    pub fate: Fate,
    /// Why it is in the patch, or why it cannot be.
    pub why: String,
    /// For a changed one: its position among the target's symbols of that name, 0 when unique.
    pub sympos: Option<u32>,
    /// The version of the original.
    pub orig: Option<Version>,
    /// The version of the patched object.
    pub patched: Option<Version>,
    /// The instructions of both; empty for a function that is the same.
    pub rows: Vec<Aligned>,
    /// What the new version refers to and the old one does not.
    pub gained: Vec<String>,
    /// What the old version refers to and the new one does not.
    pub lost: Vec<String>,
}

/// Where one version of a function is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// Its symbol.
    pub symbol: String,
    /// Its section.
    pub section: String,
    /// Its size in bytes, cold parts included.
    pub size: u64,
    /// The folder that it was compiled in, from which names of source files count.
    pub folder: Option<String>,
}

/// A row of each version that belong together, or a row that only one has.
#[derive(Debug, Clone)]
pub struct Aligned {
    /// How they differ.
    pub change: Change,
    /// The original's.
    pub orig: Option<Row>,
    /// The patched object's.
    pub patched: Option<Row>,
}

/// How the rows of a pair differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Not at all.
    Same,
    /// Both have it, with other operands or another meaning.
    Changed,
    /// Only the original has it.
    Removed,
    /// Only the patched object has it.
    Added,
}

/// One instruction, or the heading of what follows.
#[derive(Debug, Clone, Default)]
pub struct Row {
    /// Whether it begins a part of its own: a cold part, a switch table.
    pub heading: bool,
    /// Bytes from the entry of the function or from the start of its part; before the entry less than zero.
    pub offset: i64,
    /// Where it is in its object; `None` for a heading.
    pub place: Option<(SectionId, u64)>,
    /// The bytes, as the object has them.
    pub bytes: Vec<u8>,
    /// The name that branches know it by.
    pub label: Option<String>,
    /// Its text.
    pub pieces: Vec<Piece>,
    /// What else is known about it.
    pub comment: Vec<Piece>,
    /// Where it comes from.
    pub source: Option<SourceLine>,
}

/// A line of a source file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceLine {
    /// The file, as the debug information names it.
    pub file: Arc<str>,
    /// The same without the folders that all files of its object share.
    pub name: Arc<str>,
    /// The line, from 1.
    pub line: u32,
}

impl fmt::Display for SourceLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.name, self.line)
    }
}

/// A piece of text of one kind, free of control characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// What it is.
    pub ink: Ink,
    /// The text.
    pub text: String,
    /// Whether the other version has something else in its place.
    pub differs: bool,
}

/// What a piece of text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ink {
    /// Blanks, brackets, words.
    Plain,
    /// A mnemonic.
    Mnemonic,
    /// A register.
    Register,
    /// A number.
    Number,
    /// The name of a function or datum.
    Symbol,
    /// The content of a string.
    String,
    /// A place in the same function.
    Label,
}

impl Piece {
    /// A piece whose text may come from a file: what a terminal or browser would obey is escaped.
    pub fn new(ink: Ink, text: &str) -> Self {
        Self {
            ink,
            text: printable(text),
            differs: false,
        }
    }
}

/// The text with control characters, those that turn the direction of writing among them, as escapes.
pub fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '"' | '\'' | '\\' => out.push(c),
            _ => out.extend(c.escape_debug()),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::printable;

    #[test]
    fn what_a_terminal_would_obey_is_escaped() {
        assert_eq!(
            printable("a\x1b[2J\"\\\u{202e}b"),
            "a\\u{1b}[2J\"\\\\u{202e}b"
        );
    }
}

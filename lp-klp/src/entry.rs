//! May a jump be written over the first bytes of a function of a process?
//!
//! The jump (`e9` and 32 bits) comes behind `endbr64`, so that indirect calls still find it. It must have room: in the function,
//! or in the padding behind it, as far as that decodes as padding. No other code may branch into it, and no other symbol may
//! lie in it. Branches of the function's own body do not count, since nobody is in it when the jump is written. Who makes a
//! patch asks this of the binary, and who loads one of what the process runs: the rule is one. The tempting wrong way is to
//! believe that a function has room: the bytes behind a small one are another function's.

mod branches;

pub use branches::{Branch, Branches, target};

use iced_x86::{Decoder, DecoderOptions, Instruction, Mnemonic};
use std::ops::Range;
use thiserror::Error;

/// Bytes of the jump.
pub const JUMP: u64 = 5;
/// Padding ends at the next boundary of so many bytes.
const PADDED_TO: u64 = 16;
const ENDBR64: [u8; 4] = [0xf3, 0x0f, 0x1e, 0xfa];

/// A symbol of the object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Symbol<'a> {
    /// Its name.
    pub name: &'a [u8],
    /// Its address, in the file's terms as all here.
    pub value: u64,
    /// Bytes; 0 where that is not said.
    pub size: u64,
    /// Whether it is a function's.
    pub function: bool,
}

/// An object whose functions are redirected.
pub trait Object {
    /// Its code, as its file has it; none where it has no such bytes.
    fn code(&self, range: Range<u64>) -> Option<Vec<u8>>;
    /// All its symbols that have an address, thread-local ones left out.
    fn symbols(&self) -> impl Iterator<Item = Symbol<'_>>;
}

/// Where a function's jump goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    /// The jump's address: behind `endbr64`.
    pub jump: u64,
    /// Other names of the same code. They are redirected, too: whether that is meant is the caller's question.
    pub aliases: Vec<String>,
}

/// Why there is no place for a jump.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NoSite {
    /// There is no room.
    #[error(
        "it has {size} bytes, with padding {room}, and the jump takes {needed}: patch its callers instead"
    )]
    TooSmall {
        /// Bytes of the function.
        size: u64,
        /// Bytes with the padding behind it.
        room: u64,
        /// Bytes up to the jump's end.
        needed: u64,
    },
    /// Other code goes into the middle of the jump.
    #[error(
        "code at {from:#x} branches to {to:#x}, into the bytes where the jump must go: patch its callers instead"
    )]
    BranchInto {
        /// Where the branch is.
        from: u64,
        /// Where it leads.
        to: u64,
    },
    /// Another symbol is in the bytes of the jump.
    #[error("the symbol '{0}' lies in the bytes where the jump must go: patch its callers instead")]
    SymbolInside(String),
    /// Two functions of different sizes begin there.
    #[error(
        "'{0}' begins at the same address and has another size: which code is whose is not known"
    )]
    OtherSize(String),
    /// The file does not have the bytes.
    #[error("the code at {0:#x} is not in the file")]
    NoCode(u64),
}

/// Finds the place for the jump of the function that has these bytes.
///
/// # Errors
/// Where a jump may not be written there.
pub fn site(
    object: &impl Object,
    branches: &Branches,
    function: &Range<u64>,
    name: &str,
) -> Result<Site, NoSite> {
    let (value, size) = (function.start, function.end.saturating_sub(function.start));
    let code = read(object, value..function.end)?;
    let before = if code.starts_with(&ENDBR64) {
        ENDBR64.len() as u64
    } else {
        0
    };
    let needed = before + JUMP;
    let room = room(object, function, needed)?;
    if room < needed {
        return Err(NoSite::TooSmall { size, room, needed });
    }
    let jump = value + before;
    let aliases = aliases(object, value, size, name)?;
    refuse_symbols(object, value + 1..jump + JUMP)?;
    refuse_branches(branches, function, jump)?;
    Ok(Site { jump, aliases })
}

fn read(object: &impl Object, range: Range<u64>) -> Result<Vec<u8>, NoSite> {
    let start = range.start;
    object.code(range).ok_or(NoSite::NoCode(start))
}

/// Bytes from the function's start that are its own or padding behind it.
fn room(object: &impl Object, function: &Range<u64>, needed: u64) -> Result<u64, NoSite> {
    let size = function.end.saturating_sub(function.start);
    if size >= needed {
        return Ok(size);
    }
    let values = object.symbols().map(|it| it.value);
    let next = values.filter(|it| *it >= function.end).min();
    let boundary = function.end.next_multiple_of(PADDED_TO);
    let end = next.map_or(boundary, |next| next.min(boundary));
    let code = read(object, function.end..end)?;
    let mut decoder = Decoder::with_ip(64, &code, function.end, DecoderOptions::NONE);
    let mut padding = 0;
    while decoder.can_decode() {
        let instruction = decoder.decode();
        if !is_padding(&instruction) {
            break;
        }
        padding += instruction.len() as u64;
    }
    Ok(size + padding)
}

fn is_padding(instruction: &Instruction) -> bool {
    matches!(instruction.mnemonic(), Mnemonic::Nop | Mnemonic::Int3)
}

fn aliases(object: &impl Object, value: u64, size: u64, name: &str) -> Result<Vec<String>, NoSite> {
    let mut aliases = Vec::new();
    for symbol in object
        .symbols()
        .filter(|it| it.function && it.value == value)
    {
        let other = text(symbol.name);
        if symbol.size != size && symbol.size != 0 {
            return Err(NoSite::OtherSize(other));
        }
        if other != name && !aliases.contains(&other) {
            aliases.push(other);
        }
    }
    Ok(aliases)
}

fn refuse_symbols(object: &impl Object, range: Range<u64>) -> Result<(), NoSite> {
    match object.symbols().find(|it| range.contains(&it.value)) {
        Some(symbol) => Err(NoSite::SymbolInside(text(symbol.name))),
        None => Ok(()),
    }
}

fn refuse_branches(branches: &Branches, function: &Range<u64>, jump: u64) -> Result<(), NoSite> {
    // To the function's start, and to the jump itself, anyone may go.
    let into = branches
        .leading_into(function.start + 1..jump + JUMP)
        .iter();
    let mut foreign = into.filter(|it| it.to != jump && !function.contains(&it.from));
    match foreign.next() {
        Some(branch) => Err(NoSite::BranchInto {
            from: branch.from,
            to: branch.to,
        }),
        None => Ok(()),
    }
}

fn text(name: &[u8]) -> String {
    String::from_utf8_lossy(name).into_owned()
}

//! May a jump be written over the first bytes of a function, and which bytes are they?
//!
//! Whether there is a place for it is [`lp_klp::entry`]'s rule. Here the code must be what the patch was made against, in the file
//! and in memory.

use crate::process::read::elf::ElfError;
use crate::process::read::image::{Image, Origin};
use crate::process::read::memory::{MemoryError, ReadMemory};
use crate::process::read::symbols::{Found, SymbolTable};
use iced_x86::{Decoder, DecoderOptions};
use lp_klp::entry::{self, Branches, NoSite};
use object::elf;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::ops::Range;
use thiserror::Error;

/// No function is larger.
const LARGEST: u64 = 1 << 26;

pub use lp_klp::entry::JUMP;

/// The first bytes of functions that have our jumps in them now, by the address of the jump.
pub type Sites = BTreeMap<u64, [u8; JUMP as usize]>;

/// Where a function's jump goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The function's address.
    pub address: u64,
    /// The jump's address: behind `endbr64`.
    pub jump_at: u64,
    /// What the jump replaces.
    pub original: [u8; JUMP as usize],
    /// Bytes of the function.
    pub size: u64,
    /// Other names of the same code. They are redirected, too: whether that is meant is the caller's question.
    pub aliases: Vec<String>,
}

/// Why a function cannot be redirected.
#[derive(Debug, Error)]
pub enum EntryRefusal {
    /// Its size is not known.
    #[error(
        "its symbol has no size, so it cannot be compared with the code that the patch was made against"
    )]
    NoSize,
    /// It is not code.
    #[error("its symbol is not a function's")]
    NotCode,
    /// It only chooses a function.
    #[error(
        "it is chosen when the program starts (IFUNC): patch the functions that are chosen from"
    )]
    Ifunc,
    /// The patch was made against other code.
    #[error(
        "the code in the object's file is not the one that the patch was made against: build the patch against the file that \
         runs"
    )]
    OtherCode,
    /// The patch does not say what it was made against.
    #[error(
        "the patch has no hash of the code that it replaces, so it cannot be told whether this is it: build it again"
    )]
    NoHash,
    /// Memory and file differ.
    #[error(
        "the code in memory at {address:#x} is not that of the file: a debugger, a tracer or the program itself has changed it"
    )]
    Changed {
        /// The first byte that differs.
        address: u64,
    },
    /// There is no place for a jump.
    #[error(transparent)]
    NoSite(#[from] NoSite),
    /// The file cannot be read.
    #[error(transparent)]
    File(#[from] ElfError),
    /// The memory cannot be read.
    #[error(transparent)]
    Memory(#[from] MemoryError),
}

/// What a patch says of a function that it replaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expected<'a> {
    /// The function's name.
    pub name: &'a str,
    /// Bytes of its code.
    pub size: u64,
    /// SHA-256 of it in the file, hexadecimal.
    pub hash: &'a str,
}

/// Checks a function's entry.
///
/// # Errors
/// Where a jump may not be written there.
pub fn check(
    image: &Image,
    branches: &Branches,
    memory: &(impl ReadMemory + ?Sized),
    sites: &Sites,
    found: Found,
    expected: Expected<'_>,
) -> Result<Entry, EntryRefusal> {
    // The rule looks at the symbols, and cannot say why they are not there.
    image.symbols()?;
    let size = size_of(found, expected)?;
    let (value, address) = (found.value, image.address(found.value));
    let function = value..value.checked_add(size).ok_or(EntryRefusal::NoSize)?;
    let code = file_code(image, function.clone(), sites)?;
    if hex(&Sha256::digest(&code)) != expected.hash.to_ascii_lowercase() {
        return Err(EntryRefusal::OtherCode);
    }
    let object = File { image, sites };
    let site = entry::site(&object, branches, &function, expected.name);
    let site = site.map_err(|reason| in_process(reason, image))?;
    let end = site.jump.saturating_add(JUMP);
    compare(image, memory, value..function.end.max(end), sites)?;
    let original = file_code(image, site.jump..end, sites)?;
    let original = original.try_into().map_err(|_| EntryRefusal::NoSize)?;
    Ok(Entry {
        address,
        jump_at: image.address(site.jump),
        original,
        size,
        aliases: site.aliases,
    })
}

/// An object's file as the rule sees it.
struct File<'a> {
    image: &'a Image,
    sites: &'a Sites,
}

impl entry::Object for File<'_> {
    fn code(&self, range: Range<u64>) -> Option<Vec<u8>> {
        file_code(self.image, range, self.sites).ok()
    }

    fn symbols(&self) -> impl Iterator<Item = entry::Symbol<'_>> {
        let table = self.image.symbols().ok();
        let all = table.into_iter().flat_map(SymbolTable::iter);
        all.map(|(name, symbol)| entry::Symbol {
            name,
            value: symbol.value,
            size: symbol.size,
            function: symbol.is_function(),
        })
    }
}

/// With the addresses that the process has.
fn in_process(reason: NoSite, image: &Image) -> EntryRefusal {
    match reason {
        NoSite::BranchInto { from, to } => NoSite::BranchInto {
            from: image.address(from),
            to: image.address(to),
        },
        reason => reason,
    }
    .into()
}

fn size_of(found: Found, expected: Expected<'_>) -> Result<u64, EntryRefusal> {
    if found.kind == elf::STT_GNU_IFUNC.0 {
        return Err(EntryRefusal::Ifunc);
    }
    if found.kind != elf::STT_FUNC.0 && found.kind != elf::STT_NOTYPE.0 {
        return Err(EntryRefusal::NotCode);
    }
    match (found.size, expected.size) {
        _ if expected.hash.is_empty() => Err(EntryRefusal::NoHash),
        (0, 0) => Err(EntryRefusal::NoSize),
        (0, size) if size <= LARGEST => Ok(size),
        (size, other) if size == other && size <= LARGEST => Ok(size),
        _ => Err(EntryRefusal::OtherCode),
    }
}

/// Code as the file has it. What was put together from memory may have our jumps in it.
fn file_code(image: &Image, range: Range<u64>, sites: &Sites) -> Result<Vec<u8>, EntryRefusal> {
    let mut code = image.elf.at(range.start, range.end - range.start)?;
    if image.origin == Origin::Memory {
        take_jumps_out(&mut code, image.address(range.start), sites);
    }
    Ok(code)
}

/// Puts the original bytes back where our jumps are.
fn take_jumps_out(code: &mut [u8], address: u64, sites: &Sites) {
    let end = address.saturating_add(code.len() as u64);
    for (at, original) in sites.range(address.saturating_sub(JUMP)..end) {
        for (index, byte) in (*at..).zip(original) {
            let place = index
                .checked_sub(address)
                .and_then(|it| usize::try_from(it).ok());
            if let Some(place) = place.and_then(|it| code.get_mut(it)) {
                *place = *byte;
            }
        }
    }
}

fn compare(
    image: &Image,
    memory: &(impl ReadMemory + ?Sized),
    range: Range<u64>,
    sites: &Sites,
) -> Result<(), EntryRefusal> {
    let address = image.address(range.start);
    let file = file_code(image, range.clone(), sites)?;
    let mut now = vec![0; file.len()];
    memory.read(address, &mut now)?;
    take_jumps_out(&mut now, address, sites);
    match file.iter().zip(&now).position(|(file, now)| file != now) {
        Some(index) => Err(EntryRefusal::Changed {
            address: address + index as u64,
        }),
        None => Ok(()),
    }
}

/// The addresses of a function's code in the process: its own, and the fragments that the compiler moved away
/// (`NAME.cold`, `NAME.part.0`). Where the name is not unique, those that the function itself branches to.
///
/// # Errors
/// Where the symbols or the code cannot be read.
pub fn ranges(
    image: &Image,
    found: Found,
    size: u64,
    name: &str,
) -> Result<Vec<Range<u64>>, ElfError> {
    let symbols = image.symbols()?;
    let own = found.value..found.value.saturating_add(size);
    let unique = symbols
        .find(&image.name, name, lp_klp::name::Sympos::UNIQUE)
        .is_ok();
    let targets = if unique {
        Vec::new()
    } else {
        targets(image, &own)?
    };
    let mut ranges = vec![own];
    for suffix in [".cold", ".part."] {
        let prefix = format!("{name}{suffix}");
        let fragments = symbols.starting_with(prefix.as_bytes()).iter();
        for symbol in fragments.filter(|it| it.size > 0 && !it.absolute) {
            let fragment = symbol.value..symbol.value.saturating_add(symbol.size);
            if unique || targets.iter().any(|it| fragment.contains(it)) {
                ranges.push(fragment);
            }
        }
    }
    let address = |it: Range<u64>| image.address(it.start)..image.address(it.end);
    Ok(ranges.into_iter().map(address).collect())
}

fn targets(image: &Image, function: &Range<u64>) -> Result<Vec<u64>, ElfError> {
    let code = image
        .elf
        .at(function.start, function.end - function.start)?;
    let mut decoder = Decoder::with_ip(64, &code, function.start, DecoderOptions::NONE);
    let mut targets = Vec::new();
    while decoder.can_decode() {
        targets.extend(entry::target(&decoder.decode()));
    }
    Ok(targets)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

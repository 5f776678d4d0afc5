//! The dynamic linker's hook for debuggers: an empty function that it calls when objects have been added or removed (`r_brk` of
//! `struct r_debug`, `<link.h>`; `_dl_debug_state` of glibc and musl).
//!
//! In glibc 2.17 to 2.40 `dlopen` calls it when the new objects are mapped, before they are relocated and before their
//! constructors run; from 2.41 on, and in musl, after the relocation and before the constructors. `dlclose` calls it once the objects
//! are unmapped. All hold the linker's lock meanwhile, so one thread at a time is there. Objects of other
//! namespaces (`dlmopen`) come by here, too; a static program has no linker.

use iced_x86::{Decoder, DecoderOptions, Instruction, Mnemonic, Register};

use super::WatchError;
use crate::process::prepare::branches;
use crate::process::prepare::entry::{self, Expected, Sites};
use crate::process::read::images::Images;
use crate::process::read::memory::{ReadMemory, read_u64};
use crate::process::read::symbols::Found;
use crate::process::touch::jump::JUMP_SIZE;
use std::ops::Range;

/// Offsets in `struct r_debug`.
const R_BRK: u64 = 16;
const R_STATE: u64 = 24;
/// The function is empty, and this is what an empty one may take.
const LARGEST: u64 = 32;

/// The hook of a process.
#[derive(Debug)]
pub(super) struct Hook {
    /// Where a jump may be written.
    pub(super) jump_at: u64,
    /// What is there.
    pub(super) original: [u8; JUMP_SIZE],
    /// Where `r_state` is.
    pub(super) state: u64,
    /// The dynamic linker.
    pub(super) near: Range<u64>,
}

/// Finds it.
pub(super) fn find(images: &Images, memory: &dyn ReadMemory) -> Result<Hook, WatchError> {
    let debug = images.executable().and_then(|executable| {
        let slot = executable.address(executable.dynamic.debug?);
        read_u64(memory, slot).ok().filter(|it| *it != 0)
    });
    let debug = debug.ok_or(WatchError::NoLinker)?;
    let address = read_u64(memory, debug.wrapping_add(R_BRK))?;
    let image = images
        .at(address)
        .ok_or(WatchError::NoHook("it is in no object"))?;
    let value = address.wrapping_sub(image.bias);
    let symbols = image
        .symbols()
        .map_err(|_| WatchError::NoHook("its object has no symbols"))?;
    let mut named = symbols.functions_in(value..value + 1);
    let symbol = named.find(|it| (1..=LARGEST).contains(&it.size));
    let symbol = symbol.ok_or(WatchError::NoHook("it has no symbol"))?;
    let name = String::from_utf8_lossy(symbols.name(symbol)).into_owned();
    let code = image.elf.at(value, symbol.size);
    let code = code.map_err(|_| WatchError::NoHook("its code cannot be read"))?;
    if !is_empty(&code) {
        return Err(WatchError::NoHook("it does something"));
    }
    let hash = crate::process::kept::mapped::hash(&code);
    let expected = Expected {
        name: &name,
        size: symbol.size,
        hash: &hash,
    };
    let found = Found {
        value,
        size: symbol.size,
        kind: symbol.kind,
    };
    let branches =
        branches::of(image).map_err(|_| WatchError::NoHook("its code cannot be read"))?;
    let entry = entry::check(image, &branches, memory, &Sites::new(), found, expected)?;
    Ok(Hook {
        jump_at: entry.jump_at,
        original: entry.original,
        state: debug.wrapping_add(R_STATE),
        near: image.range.clone(),
    })
}

/// Whether a function does nothing that its caller could see.
fn is_empty(code: &[u8]) -> bool {
    let mut decoder = Decoder::new(64, code, DecoderOptions::NONE);
    while decoder.can_decode() {
        let instruction = decoder.decode();
        if instruction.mnemonic() == Mnemonic::Ret {
            return instruction.op_count() == 0;
        }
        if !is_nothing(&instruction) {
            return false;
        }
    }
    false
}

/// Padding, and the frame that some compilers make for an empty function.
fn is_nothing(instruction: &Instruction) -> bool {
    let frame = |register| instruction.op0_register() == register;
    match instruction.mnemonic() {
        Mnemonic::Nop | Mnemonic::Endbr64 => true,
        Mnemonic::Push | Mnemonic::Pop => frame(Register::RBP),
        Mnemonic::Mov => frame(Register::RBP) && instruction.op1_register() == Register::RSP,
        _ => false,
    }
}

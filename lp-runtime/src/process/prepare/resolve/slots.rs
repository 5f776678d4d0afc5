//! What the slots of an object say: to what a name was bound when the process started, or when it was first called.
//!
//! A slot for a function may still lead to the object's own PLT, which asks the dynamic linker at the first call; the file
//! has the same value then, and it says nothing.

use super::global;
use crate::process::read::dynamic::{DynamicSymbol, Slot};
use crate::process::read::image::{Image, Origin};
use crate::process::read::images::Images;
use crate::process::read::memory::ReadMemory;
use object::elf;

/// Whether the dynamic linker has been at an object's slots. It fills all but those for calls at once, and to those it adds
/// the bias.
pub(super) fn are_filled(image: &Image, memory: &(impl ReadMemory + ?Sized)) -> bool {
    let kinds = [elf::R_X86_64_GLOB_DAT, elf::R_X86_64_JUMP_SLOT];
    let mut slots = image
        .dynamic
        .slots
        .iter()
        .filter(|slot| kinds.iter().any(|kind| kind.0 == slot.kind))
        .peekable();
    slots.peek().is_none()
        || slots.any(|slot| {
            let file = image.elf.at(slot.address, 8).ok();
            let file = file.and_then(|bytes| bytes.try_into().ok().map(u64::from_le_bytes));
            let now = word(memory, image.address(slot.address));
            image.origin == Origin::Memory || now != file
        })
}

/// Whether an object has a slot for the address of a variable by this name.
pub(super) fn has(image: &Image, name: &str) -> bool {
    let kinds = [elf::R_X86_64_GLOB_DAT, elf::R_X86_64_64];
    let of_name = |slot: &Slot| {
        let symbol = image.dynamic.symbol_of(slot);
        symbol.is_some_and(|it| image.dynamic.name(it) == name.as_bytes())
    };
    let mut slots = image.dynamic.slots.iter();
    slots.any(|slot| kinds.iter().any(|kind| kind.0 == slot.kind) && of_name(slot))
}

/// The address to which an object's own references by a name are bound; none where it has none, or they do not agree.
pub(super) fn bound(image: &Image, name: &str, memory: &(impl ReadMemory + ?Sized)) -> Option<u64> {
    let kinds = [
        elf::R_X86_64_GLOB_DAT,
        elf::R_X86_64_JUMP_SLOT,
        elf::R_X86_64_64,
    ];
    let of_name = |slot: &&Slot| {
        let symbol = image.dynamic.symbol_of(slot);
        let named = symbol.is_some_and(|it| {
            image.dynamic.name(it) == name.as_bytes() && it.kind != elf::STT_TLS.0
        });
        named && slot.addend == 0 && kinds.iter().any(|kind| kind.0 == slot.kind)
    };
    let slots = image.dynamic.slots.iter().filter(of_name);
    one(slots.filter_map(|slot| filled(image, slot, memory)))
}

/// Where the executable keeps a copy of a library's variable.
pub(super) fn copy(executable: &Image, name: &str) -> Option<u64> {
    let is_it = |symbol: &DynamicSymbol| executable.dynamic.name(symbol) == name.as_bytes();
    let is_copy = |slot: &&Slot| {
        let symbol = executable.dynamic.symbol_of(slot);
        slot.kind == elf::R_X86_64_COPY.0 && symbol.is_some_and(is_it)
    };
    let slot = executable.dynamic.slots.iter().find(is_copy)?;
    Some(executable.address(slot.address))
}

/// The function that an IFUNC's resolver has chosen, from any slot that is filled with it.
pub(super) fn chosen(
    images: &Images,
    definer: &Image,
    name: &str,
    value: u64,
    memory: &(impl ReadMemory + ?Sized),
) -> Option<u64> {
    // The object's own references to it have no name.
    let is_own =
        |slot: &&Slot| slot.kind == elf::R_X86_64_IRELATIVE.0 && slot.addend as u64 == value;
    let own = definer.dynamic.slots.iter().filter(is_own);
    let own = own.filter_map(|slot| filled(definer, slot, memory));
    // Those of others have; they count where they mean this very version of it, and lead into the definer's own code.
    let code = definer.text();
    let means_it = |image: &&Image| {
        let found = global::find(images, image, name);
        found.is_ok_and(|it| std::ptr::eq(it.image, definer) && it.value == value)
    };
    let others = images.iter().filter(means_it);
    let others = others.filter_map(|image| bound(image, name, memory));
    let others = others.filter(|address| code.iter().any(|range| range.contains(address)));
    let resolver = definer.address(value);
    one(own.chain(others).filter(|address| *address != resolver))
}

/// What a slot holds; none where it has not been filled in, or that cannot be told.
pub(super) fn filled(
    image: &Image,
    slot: &Slot,
    memory: &(impl ReadMemory + ?Sized),
) -> Option<u64> {
    let mut bytes = [0; 8];
    memory.read(image.address(slot.address), &mut bytes).ok()?;
    let now = u64::from_le_bytes(bytes);
    let lazy = slot.kind == elf::R_X86_64_JUMP_SLOT.0 || slot.kind == elf::R_X86_64_IRELATIVE.0;
    if now == 0 || !lazy {
        return (now != 0).then_some(now);
    }
    let unknown = match image.origin {
        Origin::Memory => image.range.contains(&now),
        Origin::File => {
            let file = image.elf.at(slot.address, 8).ok()?;
            let file = u64::from_le_bytes(file.try_into().ok()?);
            now == image.address(file) || now == file
        }
    };
    (!unknown).then_some(now)
}

/// What all of them say.
pub(super) fn one<T: PartialEq>(mut values: impl Iterator<Item = T>) -> Option<T> {
    let first = values.next()?;
    values.all(|other| other == first).then_some(first)
}

/// A word of the process.
pub(super) fn word(memory: &(impl ReadMemory + ?Sized), address: u64) -> Option<u64> {
    let mut bytes = [0; 8];
    memory.read(address, &mut bytes).ok()?;
    Some(u64::from_le_bytes(bytes))
}

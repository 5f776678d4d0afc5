//! Where an object's variables of threads are.
//!
//! A thread has a block of them for each object; the number of the object (`DTPMOD64`) and, where the block is at a fixed
//! distance from the thread pointer, that distance (`TPOFF64`) are in slots that the dynamic linker filled in. For the
//! executable both follow from its program header (psABI, variant II). The tempting wrong way is to read them from the
//! linker's own structures, which differ from one version to the next.

use super::global;
use super::slots::{one, word};
use crate::process::read::dynamic::Slot;
use crate::process::read::image::Image;
use crate::process::read::images::Images;
use crate::process::read::memory::ReadMemory;
use object::elf;

/// A variable that each thread has its own of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsVariable {
    /// The object whose it is.
    pub object: String,
    /// The object's number for `__tls_get_addr`, where it is known.
    pub module: Option<u64>,
    /// What is added to the thread pointer for the start of the object's block, where that is fixed and known.
    pub block: Option<i64>,
    /// Bytes from the start of the block.
    pub offset: u64,
}

/// What is known of a variable.
pub(super) fn variable(
    images: &Images,
    image: &Image,
    offset: u64,
    memory: &(impl ReadMemory + ?Sized),
) -> TlsVariable {
    let (module, block) = if image.executable {
        (Some(1), executables_block(image))
    } else {
        let module = of_slots(images, image, elf::R_X86_64_DTPMOD64, |slot, own, _| {
            let address = own.address(slot.address);
            word(memory, address).filter(|it| *it != 0)
        });
        let block = of_slots(images, image, elf::R_X86_64_TPOFF64, |slot, own, value| {
            let filled = word(memory, own.address(slot.address)).filter(|it| *it != 0)?;
            let inside = value.wrapping_add(slot.addend as u64);
            Some(filled.wrapping_sub(inside) as i64)
        });
        (module, block)
    };
    TlsVariable {
        object: image.name.clone(),
        module,
        block,
        offset,
    }
}

/// What all slots of a kind that are about an object's block say. The last argument of `read` is the offset in the block of
/// the symbol that the slot is for.
fn of_slots<T: PartialEq>(
    images: &Images,
    image: &Image,
    kind: elf::RelocationType,
    read: impl Fn(&Slot, &Image, u64) -> Option<T>,
) -> Option<T> {
    let said = images.iter().flat_map(|own| {
        let slots = own.dynamic.slots.iter().filter(|slot| slot.kind == kind.0);
        let about = slots.filter_map(|slot| Some((slot, about(images, own, image, slot)?)));
        about
            .filter_map(|(slot, value)| read(slot, own, value))
            .collect::<Vec<_>>()
    });
    one(said)
}

/// The offset in an image's block of the symbol of a slot; none where the slot is about another object.
fn about(images: &Images, own: &Image, image: &Image, slot: &Slot) -> Option<u64> {
    let is_it = |found: &Image| std::ptr::eq(found, image);
    let Some(symbol) = own.dynamic.symbol_of(slot) else {
        return is_it(own).then_some(0);
    };
    let name = std::str::from_utf8(own.dynamic.name(symbol)).ok()?;
    // Most such slots are about other names than those of the image.
    image.dynamic.named(name.as_bytes()).next()?;
    let found = global::find(images, own, name).ok()?;
    is_it(found.image).then_some(found.value)
}

/// The executable's block ends at the thread pointer, rounded up as its alignment says.
fn executables_block(image: &Image) -> Option<i64> {
    let segment = image.elf.segment(elf::PT_TLS)?;
    let align = segment.align.max(1);
    // Where the block itself does not begin at its alignment, linkers have differed.
    let known = align.is_power_of_two() && segment.address.is_multiple_of(align);
    let size = segment
        .memory_size
        .checked_next_multiple_of(align)
        .filter(|_| known)?;
    i64::try_from(size).ok().map(|size| -size)
}

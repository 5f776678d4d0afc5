//! The direct branches of an object's code: see [`lp_klp::entry`], which says what they are for.

use crate::process::read::elf::ElfError;
use crate::process::read::image::Image;
use lp_klp::entry::Branches;
use object::elf;
use std::ops::Range;

/// Decodes an object's code.
///
/// # Errors
/// Where the code cannot be read.
pub fn of(image: &Image) -> Result<Branches, ElfError> {
    let functions = image.symbols()?.functions();
    let starts: Vec<u64> = functions.map(|it| it.value).collect();
    let read = |range: Range<u64>| {
        let bytes = image.elf.at(range.start, range.end - range.start)?;
        Ok((range.start, bytes))
    };
    let pieces: Result<Vec<_>, ElfError> = code(image).into_iter().map(read).collect();
    Ok(Branches::of(&pieces?, &starts))
}

/// The sections with code; where there are no sections, the segments.
fn code(image: &Image) -> Vec<Range<u64>> {
    let range = |start: u64, size: u64| start..start.saturating_add(size);
    let sections = image.elf.sections().iter();
    let sections = sections
        .filter(|it| it.flags & elf::SHF_EXECINSTR.0 != 0 && it.kind == elf::SHT_PROGBITS.0);
    let found: Vec<_> = sections.map(|it| range(it.address, it.size)).collect();
    if !found.is_empty() {
        return found;
    }
    let segments = image.elf.loads().filter(|segment| segment.is_code());
    segments.map(|it| range(it.address, it.file_size)).collect()
}

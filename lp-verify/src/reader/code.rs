//! What a function of a module is made of, so that two modules' versions of it can be told to be the same.
//!
//! Bytes, and what each relocation refers to, spelt without the place where it happens to lie: a string by its text, a
//! function or variable by its name, anything else by its section. The tempting wrong way is to hash the section: a
//! longer string elsewhere would change it.

use super::image::{Image, Place};
use goblin::elf::{Elf, header, reloc, section_header, sym};
use sha2::{Digest, Sha256};

/// A digest of the function at a place, hexadecimal; empty where its extent cannot be told.
pub(super) fn digest(image: &Image<'_>, at: Place) -> String {
    let Some(bytes) = image.size_of(at).and_then(|size| image.bytes(at, size)) else {
        return String::new();
    };
    let mut hash = Sha256::new();
    hash.update(bytes);
    for (offset, kind, symbol, addend) in relocations(image.elf, at, bytes.len() as u64) {
        hash.update(format!(
            "\n{offset} {kind} {}",
            meaning(image, kind, symbol, addend)
        ));
    }
    hash.finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// Offset in the function, type, symbol and addend of its relocations, by offset.
fn relocations(elf: &Elf<'_>, at: Place, len: u64) -> Vec<(u64, u32, usize, i64)> {
    let of_section = |(index, _): &&(usize, _)| {
        let header = elf.section_headers.get(*index);
        header.is_some_and(|header| header.sh_info as usize == at.section)
    };
    let all = elf
        .shdr_relocs
        .iter()
        .filter(of_section)
        .flat_map(|(_, relocations)| relocations.iter());
    let inside = all.filter(|relocation| {
        (at.offset..at.offset.saturating_add(len)).contains(&relocation.r_offset)
    });
    let mut found: Vec<_> = inside
        .map(|relocation| {
            let addend = relocation.r_addend.unwrap_or(0);
            (
                relocation.r_offset - at.offset,
                relocation.r_type,
                relocation.r_sym,
                addend,
            )
        })
        .collect();
    found.sort_unstable();
    found
}

fn meaning(image: &Image<'_>, kind: u32, symbol: usize, addend: i64) -> String {
    let Some(symbol) = image.elf.syms.get(symbol) else {
        return String::new();
    };
    let name = image.elf.strtab.get_at(symbol.st_name).unwrap_or_default();
    let Some(header) = image.elf.section_headers.get(symbol.st_shndx) else {
        return format!("{name}{addend:+}");
    };
    let section = image
        .elf
        .shdr_strtab
        .get_at(header.sh_name)
        .unwrap_or_default();
    // A PC-relative field counts from its end, 4 bytes on.
    let is_relative = image.elf.header.e_machine == header::EM_X86_64
        && matches!(kind, reloc::R_X86_64_PC32 | reloc::R_X86_64_PLT32);
    let place = Place {
        section: symbol.st_shndx,
        offset: symbol
            .st_value
            .wrapping_add_signed(addend)
            .wrapping_add(if is_relative { 4 } else { 0 }),
    };
    let is_strings = header.sh_flags & u64::from(section_header::SHF_STRINGS) != 0;
    if let Some(text) = is_strings.then(|| image.text(place)).flatten() {
        return format!("{text:?}");
    }
    if symbol.st_type() != sym::STT_SECTION {
        return format!("{name}{addend:+}");
    }
    match image.name_at(place) {
        Some((name, offset)) => format!("{name}+{offset}"),
        None => section.to_owned(),
    }
}

//! Which of its own names a library lets others define: references to these go through the dynamic linker.
//!
//! Where an executable or a preloaded library defines the name too, or has a copy of the datum (`R_X86_64_COPY`), that
//! one is used by everybody, the library itself included. So must the patch. The tempting wrong way is to refer to the
//! library's own: its counter would be another one than everybody else's.

use object::Endianness;
use object::elf;
use object::read::elf::{Dyn, FileHeader, ProgramHeader, Sym};
use std::collections::BTreeSet;

/// The names in a linked ELF file; none of an executable, and of a file that cannot be read.
pub fn names(data: &[u8]) -> BTreeSet<String> {
    read(data).unwrap_or_default()
}

fn read(data: &[u8]) -> object::Result<BTreeSet<String>> {
    let header = elf::FileHeader64::<Endianness>::parse(data)?;
    let endian = header.endian()?;
    if header.e_type(endian) != elf::ET_DYN {
        return Ok(BTreeSet::new());
    }
    for segment in header.program_headers(endian, data)? {
        for entry in segment.dynamic(endian, data)?.unwrap_or_default() {
            if binds_to_itself(entry.d_tag(endian).0, entry.d_val(endian)) {
                return Ok(BTreeSet::new());
            }
        }
    }
    let sections = header.sections(endian, data)?;
    let symbols = sections.symbols(endian, data, elf::SHT_DYNSYM)?;
    let mut names = BTreeSet::new();
    for symbol in symbols.iter() {
        let is_open = symbol.st_bind() != elf::STB_LOCAL
            && !symbol.is_undefined(endian)
            && symbol.st_visibility() == elf::STV_DEFAULT;
        if is_open {
            let name = symbols.symbol_name(endian, symbol)?;
            names.insert(String::from_utf8_lossy(name).into_owned());
        }
    }
    Ok(names)
}

/// Whether an entry of the dynamic section says that the object finds its own definitions first: it is an executable, or
/// linked with `-Bsymbolic`.
fn binds_to_itself(tag: i64, value: u64) -> bool {
    const DT_SYMBOLIC: i64 = 16;
    const DT_FLAGS: i64 = 30;
    const DT_FLAGS_1: i64 = 0x6fff_fffb;
    const DF_SYMBOLIC: u64 = 2;
    const DF_1_PIE: u64 = 0x0800_0000;
    match tag {
        DT_SYMBOLIC => true,
        DT_FLAGS => value & DF_SYMBOLIC != 0,
        DT_FLAGS_1 => value & DF_1_PIE != 0,
        _ => false,
    }
}

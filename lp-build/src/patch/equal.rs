//! Whether two objects are the same apart from what debuggers read: then nothing of a unit changed and no diff is needed.
//!
//! Everything else counts, byte for byte, also relocations and the order of symbols. That errs on the side of "not
//! equal", which costs a diff and nothing more.

use object::read::elf::{FileHeader, SectionHeader};
use object::{Endianness, elf};

type Header = elf::FileHeader64<Endianness>;

/// Whether the objects differ in debug information at most; two that cannot be read differ.
pub fn equal_but_debug(a: &[u8], b: &[u8]) -> bool {
    a == b || compare(a, b).unwrap_or(false)
}

fn compare(a: &[u8], b: &[u8]) -> object::Result<bool> {
    let (ours, theirs) = (sections(a)?, sections(b)?);
    Ok(ours == theirs)
}

/// What a section is without its place in the file.
#[derive(PartialEq)]
struct Section<'a> {
    name: &'a [u8],
    kind: elf::SectionType,
    flags: elf::SectionFlags,
    link: u32,
    info: u32,
    align: u64,
    size: u64,
    data: &'a [u8],
}

fn sections(bytes: &[u8]) -> object::Result<Vec<Section<'_>>> {
    let header = Header::parse(bytes)?;
    let endian = header.endian()?;
    let table = header.sections(endian, bytes)?;
    let mut found = Vec::new();
    for section in table.iter() {
        let name = table.section_name(endian, section)?;
        // Contents of debug sections differ with a line's number; that one exists at all moves symbols, which shows there.
        let debug = name.starts_with(b".debug") || name.starts_with(b".rela.debug");
        found.push(Section {
            name,
            kind: section.sh_type(endian),
            flags: section.sh_flags(endian),
            link: section.sh_link(endian),
            info: section.sh_info(endian),
            align: section.sh_addralign(endian),
            size: if debug { 0 } else { section.sh_size(endian) },
            data: if debug {
                &[]
            } else {
                section.data(endian, bytes)?
            },
        });
    }
    Ok(found)
}

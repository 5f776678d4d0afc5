//! Sizes of the structs that special sections are made of, in the kernel that the patch is for.
//!
//! They differ by version and configuration (`struct alt_instr` had 13, 12 and 14 bytes), so they are looked up in the
//! target's own type information: BTF, which is a few megabytes, or else DWARF. The tempting wrong way is a table by
//! kernel version: distributions backport.

use crate::dwarf::DebugInfo;
use crate::packed::is_plausible;
use object::read::elf::{ElfFile64, FileHeader};
use object::read::{CompressionFormat, ReadRef};
use object::{Endianness, Object, ObjectSection};
use std::collections::{BTreeMap, BTreeSet};

/// The names of the structs that matter.
pub fn wanted() -> BTreeSet<&'static str> {
    use crate::special::table::{EntrySize, TABLE};
    let sizes = TABLE
        .iter()
        .flat_map(|special| [Some(special.entry), special.parallel.map(|(_, size)| size)]);
    sizes
        .flatten()
        .filter_map(|size| match size {
            EntrySize::Struct(name) => Some(name),
            EntrySize::Bytes(_) | EntrySize::Even => None,
        })
        .collect()
}

/// Sizes in bytes by struct name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EntrySizes(BTreeMap<String, u64>);

impl EntrySizes {
    /// Looks the structs up in the BTF of an ELF file, and what that lacks in its DWARF.
    pub fn from_elf<'d, R: ReadRef<'d>>(data: R) -> Self {
        let mut sizes = Self::default();
        let Ok(file) = ElfFile64::<Endianness, R>::parse(data) else {
            return sizes;
        };
        if let Some(btf) = file
            .section_by_name(".BTF")
            .and_then(|section| section.data().ok())
        {
            btf_sizes(btf, file.endian(), &mut sizes.0);
        } else if file.elf_header().e_type(file.endian()) != object::elf::ET_REL {
            // In an object that is not linked, names are still relocations: see `from_debug_info`.
            dwarf_sizes(&file, &mut sizes.0);
        }
        sizes
    }

    /// Looks the structs up in the debug information of an object.
    pub fn from_debug_info(info: &DebugInfo<'_>) -> Self {
        let mut sizes = Self::default();
        struct_sizes(info.dwarf(), &mut sizes.0);
        sizes
    }

    /// The size of a struct, if known.
    pub fn get(&self, name: &str) -> Option<u64> {
        self.0.get(name).copied()
    }

    /// Says the size of a struct, whatever the target says.
    pub fn set(&mut self, name: &str, bytes: u64) {
        self.0.insert(name.to_owned(), bytes);
    }
}

/// `include/uapi/linux/btf.h`: a header, then types of 12 bytes and more, then strings.
fn btf_sizes(btf: &[u8], endian: Endianness, sizes: &mut BTreeMap<String, u64>) {
    const MAGIC: u16 = 0xeb9f;
    const STRUCT: u32 = 4;
    let word = |at: usize| -> Option<u32> {
        let bytes: [u8; 4] = btf.get(at..at.checked_add(4)?)?.try_into().ok()?;
        Some(if endian == Endianness::Little {
            u32::from_le_bytes(bytes)
        } else {
            u32::from_be_bytes(bytes)
        })
    };
    let header = || {
        Some((
            word(0)?,
            word(4)? as usize,
            word(8)? as usize,
            word(12)? as usize,
            word(16)? as usize,
        ))
    };
    let Some((magic, header_len, type_at, type_len, string_at)) = header() else {
        return;
    };
    if magic & 0xffff != u32::from(MAGIC) && magic >> 16 != u32::from(MAGIC) {
        return;
    }
    let strings = header_len.saturating_add(string_at);
    if btf.get(strings) != Some(&0) {
        // That of a module: its strings go on where those of the kernel end, which are not here.
        return;
    }
    let wanted = wanted();
    let mut at = header_len.saturating_add(type_at);
    let end = at.saturating_add(type_len).min(btf.len());
    while at < end {
        let (Some(name), Some(info), Some(size)) = (word(at), word(at + 4), word(at + 8)) else {
            return;
        };
        let kind = info >> 24 & 0x1f;
        if kind == STRUCT {
            let string = strings.saturating_add(name as usize);
            let text = btf
                .get(string..)
                .and_then(|rest| rest.split(|byte| *byte == 0).next())
                .unwrap_or_default();
            if let Some(known) = std::str::from_utf8(text)
                .ok()
                .and_then(|text| wanted.get(text))
            {
                sizes.insert((*known).to_owned(), u64::from(size));
            }
        }
        let Some(extra) = btf_extra(kind, (info & 0xffff) as usize) else {
            return;
        };
        at += 12 + extra;
    }
}

/// Bytes that follow a type's first 12; `None` for a kind that is not known.
fn btf_extra(kind: u32, count: usize) -> Option<usize> {
    Some(match kind {
        1 | 14 | 17 => 4,
        2 | 7 | 8..=12 | 16 | 18 => 0,
        3 => 12,
        4 | 5 | 15 | 19 => 12 * count,
        6 | 13 => 8 * count,
        _ => return None,
    })
}

fn dwarf_sizes<'d, R: ReadRef<'d>>(
    file: &ElfFile64<'d, Endianness, R>,
    sizes: &mut BTreeMap<String, u64>,
) {
    let load = |id: gimli::SectionId| -> Result<std::borrow::Cow<'d, [u8]>, gimli::Error> {
        let packed = file
            .section_by_name(id.name())
            .and_then(|section| section.compressed_data().ok())
            .filter(|data| data.format == CompressionFormat::None || is_plausible(data));
        Ok(packed
            .and_then(|data| data.decompress().ok())
            .unwrap_or_default())
    };
    let Ok(sections) = gimli::DwarfSections::load(load) else {
        return;
    };
    let endian = if file.endian() == Endianness::Little {
        gimli::RunTimeEndian::Little
    } else {
        gimli::RunTimeEndian::Big
    };
    let dwarf = sections.borrow(|section| gimli::EndianSlice::new(section, endian));
    struct_sizes(&dwarf, sizes);
}

fn struct_sizes<R: gimli::Reader>(dwarf: &gimli::Dwarf<R>, sizes: &mut BTreeMap<String, u64>) {
    let wanted = wanted();
    let mut units = dwarf.units();
    while let Ok(Some(header)) = units.next() {
        if sizes.len() == wanted.len() {
            return;
        }
        let Ok(unit) = dwarf.unit(header) else {
            continue;
        };
        let mut entries = unit.entries();
        while let Ok(Some(entry)) = entries.next_dfs() {
            if entry.tag() != gimli::DW_TAG_structure_type {
                continue;
            }
            let size = entry
                .attr_value(gimli::DW_AT_byte_size)
                .and_then(|value| value.udata_value());
            let name = entry
                .attr_value(gimli::DW_AT_name)
                .and_then(|value| dwarf.attr_string(&unit, value).ok());
            let name = name.as_ref().and_then(|name| name.to_slice().ok());
            let known = name.and_then(|name| wanted.get(std::str::from_utf8(&name).ok()?));
            if let (Some(size), Some(known)) = (size, known) {
                sizes.insert((*known).to_owned(), size);
            }
        }
    }
}

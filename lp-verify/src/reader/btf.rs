//! Sizes and member offsets of structs, from BTF (`Documentation/bpf/btf.rst`, `include/uapi/linux/btf.h`, 6.1).
//!
//! Only what the layout of the livepatch tables needs: structs by name and their members that are no bit-fields.
//! Every read is bounds-checked; a damaged table ends the search.

use std::collections::BTreeMap;

const MAGIC: u16 = 0xeb9f;
const KIND_STRUCT: u32 = 4;

/// Where the members of a struct are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct StructLayout {
    /// Bytes.
    pub(super) size: u64,
    /// Bytes from the start, by name.
    pub(super) members: BTreeMap<String, u64>,
}

/// The struct of this name, of little-endian BTF.
pub(super) fn find_struct(btf: &[u8], name: &str) -> Option<StructLayout> {
    if u16::from_le_bytes(btf.get(..2)?.try_into().ok()?) != MAGIC {
        return None;
    }
    let header = |at| word(btf, at);
    let start = header(4)?;
    let types = start.checked_add(header(8)?)?;
    let end = types.checked_add(header(12)?)?;
    let strings = btf.get(usize::try_from(start.checked_add(header(16)?)?).ok()?..)?;
    let mut at = types;
    while at < end {
        let (name_offset, info, size) = (word(btf, at)?, word(btf, at + 4)?, word(btf, at + 8)?);
        let (kind, count) = ((info >> 24) & 0x1f, info & 0xffff);
        at += 12;
        if kind == KIND_STRUCT && text(strings, name_offset) == Some(name.as_bytes()) {
            return members(btf, strings, at, count, info >> 31 == 1, size);
        }
        at = at.checked_add(extra(kind, count)?)?;
    }
    None
}

fn members(
    btf: &[u8],
    strings: &[u8],
    at: u32,
    count: u32,
    bitfields: bool,
    size: u32,
) -> Option<StructLayout> {
    let mut members = BTreeMap::new();
    for index in 0..count {
        let at = at.checked_add(index * 12)?;
        let (name, offset) = (word(btf, at)?, word(btf, at + 8)?);
        // With kind_flag set, the upper 8 bits are the size of a bit-field.
        let (bits, width) = if bitfields {
            (offset & 0xff_ffff, offset >> 24)
        } else {
            (offset, 0)
        };
        if width == 0 && bits.is_multiple_of(8) {
            let name = String::from_utf8_lossy(text(strings, name)?).into_owned();
            members.insert(name, u64::from(bits / 8));
        }
    }
    Some(StructLayout {
        size: u64::from(size),
        members,
    })
}

/// Bytes that follow a type's first 12.
fn extra(kind: u32, count: u32) -> Option<u32> {
    Some(match kind {
        1 | 14 | 17 => 4,          // INT, VAR, DECL_TAG
        3 => 12,                   // ARRAY
        4 | 5 | 19 => count * 12,  // STRUCT, UNION, ENUM64
        6 | 13 => count * 8,       // ENUM, FUNC_PROTO
        15 => count * 12,          // DATASEC
        2 | 7..=12 | 16 | 18 => 0, // PTR, FWD, TYPEDEF, qualifiers, FUNC, FLOAT, TYPE_TAG
        _ => return None,
    })
}

fn word(bytes: &[u8], at: u32) -> Option<u32> {
    let at = usize::try_from(at).ok()?;
    Some(u32::from_le_bytes(
        bytes.get(at..at.checked_add(4)?)?.try_into().ok()?,
    ))
}

fn text(strings: &[u8], at: u32) -> Option<&[u8]> {
    let rest = strings.get(usize::try_from(at).ok()?..)?;
    rest.split(|byte| *byte == 0).next()
}

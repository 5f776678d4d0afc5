//! Damages ELF objects where it hurts: in the fields of headers, symbols and relocations, not only in any byte.
//!
//! The tempting wrong way is to flip random bytes alone: most of an object is code and text, and a damaged string is
//! just another string.

use super::numbers::Numbers;

/// Sizes of the records of a 64-bit ELF file, and their fields as (offset, bytes).
const FILE_HEADER: (usize, &[(usize, usize)]) = (
    64,
    &[
        (16, 2),
        (18, 2),
        (40, 8),
        (48, 4),
        (58, 2),
        (60, 2),
        (62, 2),
    ],
);
const SECTION: (usize, &[(usize, usize)]) = (
    64,
    &[
        (0, 4),
        (4, 4),
        (8, 8),
        (24, 8),
        (32, 8),
        (40, 4),
        (44, 4),
        (48, 8),
        (56, 8),
    ],
);
const SYMBOL: (usize, &[(usize, usize)]) = (24, &[(0, 4), (4, 1), (5, 1), (6, 2), (8, 8), (16, 8)]);
const RELA: (usize, &[(usize, usize)]) = (24, &[(0, 8), (8, 4), (12, 4), (16, 8)]);

const SHT_SYMTAB: u64 = 2;
const SHT_STRTAB: u64 = 3;
const SHT_RELA: u64 = 4;

/// Damages an object in place, `times` times; returns its new length.
pub(crate) fn mutate(object: &mut [u8], times: usize, numbers: &mut Numbers) -> usize {
    for _ in 0..times {
        damage(object, numbers);
    }
    if numbers.next(40) == 0 {
        return numbers.next(object.len() + 1);
    }
    object.len()
}

fn damage(object: &mut [u8], numbers: &mut Numbers) {
    let sections = sections(object);
    let section = |kind: u64, numbers: &mut Numbers| {
        let of_kind: Vec<&Found> = sections.iter().filter(|found| found.kind == kind).collect();
        of_kind
            .get(numbers.next(of_kind.len()))
            .map(|found| (found.start, found.len))
    };
    match numbers.next(12) {
        0 => change_field(object, (0, 64), FILE_HEADER, numbers),
        1..=3 => {
            let table = table(object);
            change_record(object, table, SECTION, numbers);
        }
        4..=5 => {
            let range = section(SHT_SYMTAB, numbers);
            change_record(object, range, SYMBOL, numbers);
        }
        6..=8 => {
            let range = section(SHT_RELA, numbers);
            change_record(object, range, RELA, numbers);
        }
        9 => {
            let range = section(SHT_STRTAB, numbers);
            change_byte(object, range, numbers);
        }
        10 => {
            let any = sections.get(numbers.next(sections.len()));
            let range = any.map(|found| (found.start, found.len));
            change_byte(object, range, numbers);
        }
        _ => change_byte(object, Some((0, object.len())), numbers),
    }
}

/// Changes a field of one record of a table, or makes the record a copy of another one.
fn change_record(
    object: &mut [u8],
    range: Option<(usize, usize)>,
    record: (usize, &[(usize, usize)]),
    numbers: &mut Numbers,
) {
    let Some((start, len)) = range else { return };
    let count = len / record.0;
    let at = |index: usize| start.saturating_add(index * record.0);
    let (one, other) = (at(numbers.next(count)), at(numbers.next(count)));
    if numbers.next(6) == 0 && one.max(other).saturating_add(record.0) <= object.len() {
        object.copy_within(other..other + record.0, one);
    } else {
        change_field(object, (one, record.0), record, numbers);
    }
}

fn change_field(
    object: &mut [u8],
    (start, _): (usize, usize),
    (_, fields): (usize, &[(usize, usize)]),
    numbers: &mut Numbers,
) {
    let (offset, width) = fields[numbers.next(fields.len())];
    let Some(field) = object.get_mut(start.saturating_add(offset)..) else {
        return;
    };
    let Some(field) = field.get_mut(..width) else {
        return;
    };
    let mut bytes = [0; 8];
    bytes[..width].copy_from_slice(field);
    let value = interesting(u64::from_le_bytes(bytes), numbers);
    field.copy_from_slice(&value.to_le_bytes()[..width]);
}

/// Another value for a field: near the old one, at an edge, or anything small.
fn interesting(old: u64, numbers: &mut Numbers) -> u64 {
    match numbers.next(10) {
        0 => 0,
        1 => old.wrapping_add(1),
        2 => old.wrapping_sub(1),
        3 => u64::MAX,
        4 => 1 << numbers.next(64),
        5 => (1u64 << numbers.next(64)).wrapping_sub(1),
        6 => old ^ (1 << numbers.next(64)),
        7 => old.wrapping_mul(2),
        8 => old / 2,
        _ => numbers.next(4096) as u64,
    }
}

fn change_byte(object: &mut [u8], range: Option<(usize, usize)>, numbers: &mut Numbers) {
    let Some((start, len)) = range else { return };
    let value = [0, 1, 0x7f, 0x80, 0xff, numbers.next(256) as u8][numbers.next(6)];
    if let Some(byte) = object.get_mut(start.saturating_add(numbers.next(len))) {
        *byte = value;
    }
}

struct Found {
    kind: u64,
    start: usize,
    len: usize,
}

/// Where the section headers are.
fn table(object: &[u8]) -> Option<(usize, usize)> {
    let start = usize::try_from(read(object, 40, 8)?).ok()?;
    Some((start, read(object, 60, 2)? as usize * SECTION.0))
}

fn sections(object: &[u8]) -> Vec<Found> {
    let (start, len) = table(object).unwrap_or_default();
    let headers = (0..len / SECTION.0).map_while(|index| {
        let at = start.checked_add(index * SECTION.0)?;
        Some(Found {
            kind: read(object, at.checked_add(4)?, 4)?,
            start: usize::try_from(read(object, at.checked_add(24)?, 8)?).ok()?,
            len: usize::try_from(read(object, at.checked_add(32)?, 8)?).ok()?,
        })
    });
    headers.collect()
}

fn read(object: &[u8], at: usize, width: usize) -> Option<u64> {
    let field = object.get(at..at.checked_add(width)?)?;
    let mut bytes = [0; 8];
    bytes[..width].copy_from_slice(field);
    Some(u64::from_le_bytes(bytes))
}

//! The unwind table of a patch, taken apart by the objects that its code goes near.
//!
//! An entry reaches its function by 32 bits, so it must be near it, and a table must not speak of code that is not there. Each
//! part gets its entries (FDE), what they share (CIE), and the zero word at the end for which unwinders look (LSB 5.0,
//! 10.6.1; `__register_frame` of libgcc).

use crate::process::kept::area::Area;
use crate::process::prepare::patch_file::{Meaning, PatchFile, Relocation, Section, SectionId};
use std::collections::BTreeMap;
use thiserror::Error;

/// The section's name.
pub const SECTION: &str = ".eh_frame";

/// Why the table cannot be taken apart.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("the patch's .eh_frame is damaged at {offset:#x}: {reason}")]
pub struct UnwindError {
    /// Bytes from its start.
    pub offset: usize,
    /// What is wrong.
    pub reason: &'static str,
}

/// A part of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The object that it goes near: an index into the manifest's objects.
    pub group: usize,
    /// Its bytes.
    pub section: Section,
    /// What is to be written into it; their section is to be set.
    pub relocations: Vec<Relocation>,
}

/// Takes all tables of a patch apart; `groups` says where each section of the patch goes.
///
/// # Errors
/// Where a table is damaged.
pub fn split(patch: &PatchFile, groups: &[usize]) -> Result<Vec<Part>, UnwindError> {
    let mut parts = BTreeMap::new();
    for (index, section) in patch.sections.iter().enumerate() {
        if section.name == SECTION {
            split_table(patch, SectionId(index), groups, &mut parts)?;
        }
    }
    let mut parts: Vec<Part> = parts.into_values().collect();
    for part in &mut parts {
        part.section.bytes.extend([0; 4]);
        part.section.size = part.section.bytes.len() as u64;
    }
    Ok(parts)
}

struct Record {
    start: usize,
    end: usize,
    /// Where its CIE is; none where it is one.
    cie: Option<usize>,
}

fn split_table(
    patch: &PatchFile,
    id: SectionId,
    groups: &[usize],
    parts: &mut BTreeMap<usize, Part>,
) -> Result<(), UnwindError> {
    let bytes = &patch.section(id).bytes;
    let first = patch.relocations.partition_point(|it| it.section < id);
    let last = patch.relocations.partition_point(|it| it.section <= id);
    let relocations = &patch.relocations[first..last];
    let records = records(bytes)?;
    let cies: BTreeMap<usize, &Record> = records
        .iter()
        .filter(|it| it.cie.is_none())
        .map(|it| (it.start, it))
        .collect();
    // For each part and CIE, where the CIE is in the part.
    let mut copied: BTreeMap<(usize, usize), usize> = BTreeMap::new();
    for record in &records {
        let Some(cie_at) = record.cie else {
            continue;
        };
        let wrong = |reason| UnwindError {
            offset: record.start,
            reason,
        };
        let cie = cies
            .get(&cie_at)
            .ok_or_else(|| wrong("an entry has no CIE"))?;
        let at = record.start as u64 + 8;
        let begin = relocations.get(relocations.partition_point(|it| it.offset < at));
        let begin = begin.filter(|it| it.offset == at);
        let begin = begin.ok_or_else(|| wrong("an entry is about no function"))?;
        let Meaning::Inside { section, .. } = patch.symbol(begin.symbol).meaning else {
            return Err(wrong("an entry is about code that is not in the patch"));
        };
        let group = groups[section.0];
        let part = parts.entry(group).or_insert_with(|| empty(group));
        let cie_in_part = *copied
            .entry((group, cie_at))
            .or_insert_with(|| copy(part, cie, bytes, relocations));
        let at = copy(part, record, bytes, relocations);
        // The distance from this very word back to the CIE.
        let distance =
            u32::try_from(at + 4 - cie_in_part).map_err(|_| wrong("the table is too large"))?;
        part.section.bytes[at + 4..at + 8].copy_from_slice(&distance.to_le_bytes());
    }
    Ok(())
}

fn empty(group: usize) -> Part {
    let section = Section {
        name: SECTION.into(),
        area: Area::ReadOnly,
        align: 8,
        size: 0,
        bytes: Vec::new(),
    };
    Part {
        group,
        section,
        relocations: Vec::new(),
    }
}

/// Copies a record with its relocations; where it is now.
fn copy(part: &mut Part, record: &Record, bytes: &[u8], relocations: &[Relocation]) -> usize {
    let at = part.section.bytes.len();
    part.section
        .bytes
        .extend_from_slice(&bytes[record.start..record.end]);
    let (start, end) = (record.start as u64, record.end as u64);
    let first = relocations.partition_point(|it| it.offset < start);
    let inside = relocations[first..].iter().take_while(|it| it.offset < end);
    part.relocations.extend(inside.map(|it| Relocation {
        offset: it.offset - start + at as u64,
        ..*it
    }));
    at
}

fn records(bytes: &[u8]) -> Result<Vec<Record>, UnwindError> {
    let mut records = Vec::new();
    let mut start = 0;
    while let Some(length) = word(bytes, start) {
        let wrong = |reason| UnwindError {
            offset: start,
            reason,
        };
        if length == 0 {
            start += 4;
            continue;
        }
        let end = start
            .checked_add(4)
            .and_then(|it| it.checked_add(length as usize));
        let end = end.filter(|end| *end <= bytes.len() && length >= 12);
        let end = end.ok_or_else(|| wrong("an entry has an impossible size"))?;
        let back = word(bytes, start + 4).ok_or_else(|| wrong("an entry is cut off"))? as usize;
        let cie = match back {
            0 => None,
            back => Some(
                (start + 4)
                    .checked_sub(back)
                    .ok_or_else(|| wrong("an entry has no CIE"))?,
            ),
        };
        records.push(Record { start, end, cie });
        start = end;
    }
    Ok(records)
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_le_bytes(bytes.try_into().ok()?))
}

//! The sections of both builds, pair by pair, and where a part of one may be.

use super::texts::{Contents, Piece};
use super::{File, Inside, Section, is_code, is_loaded};
use object::read::elf::{ElfSection64, SectionHeader};
use object::{Endianness, Object, ObjectSection, SectionKind, elf};
use std::collections::BTreeMap;

/// No variable of a library is aligned to more: data move by less.
const MOST_OF_COPIES: u64 = 64;
/// Texts say no more of where a program was built.
const MOST_OF_TEXTS: u64 = 1 << 16;

/// The sections of ours that are in memory, with what is known of them before any code is read.
pub(super) fn pair(
    ours: &File<'_>,
    theirs: &File<'_>,
    copies: &BTreeMap<Vec<u8>, (u64, u64)>,
) -> Result<BTreeMap<usize, Section>, String> {
    let code = moved_code(ours, theirs)?;
    let mut found = BTreeMap::new();
    for section in ours.sections().filter(is_loaded) {
        let name = section.name().unwrap_or_default().to_owned();
        let range = section.address()..section.address().saturating_add(section.size());
        let other = theirs.section_by_name(&name);
        let other = other.ok_or_else(|| format!("there is no section {name}"))?;
        let by = other.address().wrapping_sub(range.start).cast_signed();
        let grown = other.size().wrapping_sub(section.size()).cast_signed();
        let (inside, most) = if copies.values().any(|(at, _)| range.contains(at)) {
            (Inside::Copies, MOST_OF_COPIES)
        } else if is_constant(section.kind()) {
            let bytes = |section: &ElfSection64<'_, '_, Endianness>| {
                (
                    section.address(),
                    section.data().unwrap_or_default().to_vec(),
                )
            };
            let (ours, theirs) = (bytes(&section), bytes(&other));
            (
                Inside::Texts(Contents { ours, theirs, code }),
                MOST_OF_TEXTS,
            )
        } else if tells_the_loader(section.elf_section_header().sh_type(ours.endian())) {
            (Inside::Rigid, u64::MAX)
        } else {
            (Inside::Rigid, 1)
        };
        if grown.unsigned_abs() >= most {
            return Err(other_size(&name, other.size(), section.size()));
        }
        let section_of_ours = Section {
            name,
            range,
            by,
            end_by: by.wrapping_add(grown),
            inside,
            told: BTreeMap::new(),
            sure: BTreeMap::new(),
        };
        found.insert(section.index().0, section_of_ours);
    }
    Ok(found)
}

/// From our code to theirs: all of it moved together, or calls were not the same.
fn moved_code(ours: &File<'_>, theirs: &File<'_>) -> Result<i64, String> {
    let mut all = None;
    for section in theirs.sections().filter(is_code) {
        let name = section.name().unwrap_or_default();
        let own = ours.section_by_name(name);
        let own = own.ok_or_else(|| format!("the build has no {name}"))?;
        if own.size() != section.size() {
            return Err(other_size(name, section.size(), own.size()));
        }
        let by = section.address().wrapping_sub(own.address()).cast_signed();
        if *all.get_or_insert(by) != by {
            return Err(format!("{name} is elsewhere"));
        }
    }
    all.ok_or_else(|| "there is no code".to_owned())
}

fn other_size(name: &str, theirs: u64, ours: u64) -> String {
    format!("{name} has {theirs:#x} bytes, and in the build {ours:#x}")
}

fn is_constant(kind: SectionKind) -> bool {
    matches!(
        kind,
        SectionKind::ReadOnlyData | SectionKind::ReadOnlyString
    )
}

/// Whether it is the program's own word to the loader and to tools, which no code refers to. (Which symbols there are, and
/// what is filled in, must be the same.)
fn tells_the_loader(kind: elf::SectionType) -> bool {
    [elf::SHT_DYNAMIC, elf::SHT_STRTAB, elf::SHT_NOTE].contains(&kind)
}

impl Section {
    /// The texts that are at these addresses, which may be anywhere among the others.
    pub(super) fn texts(&self, ours: u64, theirs: u64) -> Option<(&str, &str)> {
        match &self.inside {
            Inside::Texts(contents) => contents.texts(ours, theirs),
            Inside::Rigid | Inside::Copies => None,
        }
    }

    /// Whether a part can have moved by this.
    pub(super) fn may_move(&self, ours: u64, by: i64) -> bool {
        let other = by.wrapping_sub(self.by).unsigned_abs();
        match &self.inside {
            Inside::Rigid => other == 0 || ours == self.range.end && by == self.end_by,
            Inside::Copies => other < MOST_OF_COPIES,
            Inside::Texts(_) => other < MOST_OF_TEXTS,
        }
    }

    /// Takes all that was told together: what is between two data that moved by something else must be text.
    pub(super) fn settle(&mut self) -> Result<(), String> {
        let contents = match &self.inside {
            Inside::Rigid => return Ok(()),
            Inside::Copies => None,
            Inside::Texts(contents) => Some(contents),
        };
        let ends = [(self.range.start, self.by), (self.range.end, self.end_by)];
        let [start, end] = ends.map(|end| contents.map(|_| end));
        let told = self.told.iter().map(|(at, by)| (*at, *by));
        let told: Vec<_> = start.into_iter().chain(told).chain(end).collect();
        for pair in told.windows(2) {
            let &[(first, by), (last, last_by)] = pair else {
                continue;
            };
            let piece = match contents {
                Some(contents) => contents.piece(first..last, (by, last_by)),
                None => Piece::Same,
            };
            match piece {
                Piece::Same if by == last_by => {
                    self.sure.insert(first, (last, by));
                }
                Piece::Other if by != last_by => {
                    let name = &self.name;
                    return Err(format!("{name} has other data at {first:#x} of the build"));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Where what is at an address of ours is in the other build; none where nothing tells.
    pub(super) fn place(&self, address: u64) -> Option<u64> {
        let by = match (&self.inside, self.told.get(&address)) {
            (Inside::Rigid, _) => self.by,
            (_, Some(by)) => *by,
            _ => {
                let (_, (end, by)) = self.sure.range(..=address).next_back()?;
                (address < *end).then_some(*by)?
            }
        };
        Some(address.wrapping_add_signed(by))
    }
}

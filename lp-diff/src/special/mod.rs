//! Reads special sections entry by entry and says which bundle each entry is about.
//!
//! An entry is about the code that its first relocation refers to: the instruction that may fault, that is
//! replaced, that traps. It goes where that code goes. The tempting wrong way is to keep an entry because any of its
//! relocations refers to something kept: a bug entry also refers to a file name.

pub mod boot;
pub mod keep;
pub mod size;
pub mod table;

use crate::bundle::{BundleId, Kind};
use crate::object::{Object, SectionId};
use crate::reference::{Ref, Target, View};
use crate::refusal::{Refusal, RefusalCode};
use size::{Sizes, entry_len};
use std::collections::BTreeMap;
use table::{Class, EntrySize, SpecialSection, TABLE, classify};

/// One entry.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    /// Its row in the table of special sections.
    pub special: &'static SpecialSection,
    /// Its section.
    pub section: SectionId,
    /// Offset of its first byte.
    pub start: u64,
    /// Size in bytes.
    pub len: u64,
    /// Section, offset and size of its other half.
    pub parallel: Option<(SectionId, u64, u64)>,
    /// For a copy of an entry that holds already: the function and the offset in it where the copy begins to hold.
    pub begins: Option<(BundleId, i64)>,
}

/// The entries of an object.
///
/// A table can have one for each function, so only where an entry is and what it is about are remembered.
#[derive(Debug, Default)]
pub struct Entries {
    /// The special sections that could be read, in the order in which their entries are looked at.
    tables: Vec<Table>,
    by_section: BTreeMap<SectionId, u32>,
    /// In order.
    places: Vec<Place>,
}

/// A special section.
#[derive(Debug)]
struct Table {
    special: &'static SpecialSection,
    section: SectionId,
    /// Bytes of an entry.
    len: u64,
    /// The section of the other halves, and their size.
    parallel: Option<(SectionId, u64)>,
}

/// Where an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    /// The bundle it is about.
    about: BundleId,
    /// Its table, by number.
    table: u32,
    /// Whether it is the table's own, not a copy for code that it still holds for.
    own: bool,
    /// Its number in the table.
    index: u32,
}

impl Entries {
    /// Reads all special sections of an object. What cannot be read is refused, unless nothing else is wrong with it
    /// than that it is empty.
    pub fn read(view: &View<'_>, sizes: &Sizes<'_>, refusals: &mut Vec<Refusal>) -> Self {
        let mut tables = Vec::new();
        let halves = Halves::find(&view.object);
        // Then objtool has been there already.
        let mut sections = view.object.sections();
        let has_unwinding =
            sections.any(|(_, section)| section.name() == ".orc_unwind_ip" && section.size > 0);
        for (id, section) in view.object.sections() {
            let Class::Special(special) = classify(section) else {
                continue;
            };
            if section.size == 0 || (special.for_objtool && has_unwinding) {
                continue;
            }
            match Table::read(view, sizes, special, (id, &halves)) {
                Ok(table) => tables.push(table),
                Err(message) => refusals.push(Refusal::new(
                    RefusalCode::SpecialSection,
                    section.name(),
                    message,
                )),
            }
        }
        // Sections stand in the order in which the compiler first needed them, which is another in the other build.
        tables.sort_by_key(|table| {
            let name = view.object.section_name(table.section);
            (table::position(table.special), name, table.section)
        });
        let mut places: Vec<Place> = (0..)
            .zip(&tables)
            .flat_map(|(number, table)| table.places(view, number))
            .collect();
        places.sort_unstable();
        let numbers = tables.iter().map(|table| table.section).zip(0..);
        let mut entries = Self {
            by_section: numbers.collect(),
            tables,
            places,
        };
        let begun: Vec<Place> = TABLE
            .iter()
            .filter(|special| special.parallel.is_some())
            .flat_map(|special| entries.begin_anew(view, special))
            .collect();
        entries.places.extend(begun);
        entries.places.sort_unstable();
        entries.places.shrink_to_fit();
        entries
    }

    /// The entries about a bundle, in the order of the table and their offsets.
    pub fn of(&self, bundle: BundleId) -> impl ExactSizeIterator<Item = Entry> + Clone {
        self.places_of(bundle).iter().map(|place| self.entry(place))
    }

    fn places_of(&self, bundle: BundleId) -> &[Place] {
        let first = self.places.partition_point(|place| place.about < bundle);
        let rest = &self.places[first..];
        &rest[..rest.partition_point(|place| place.about == bundle)]
    }

    fn entry(&self, place: &Place) -> Entry {
        let table = &self.tables[place.table as usize];
        let index = u64::from(place.index);
        let parallel = table.parallel;
        Entry {
            special: table.special,
            section: table.section,
            start: index * table.len,
            len: table.len,
            parallel: parallel.map(|(section, size)| (section, index * size, size)),
            begins: (!place.own).then_some((place.about, 0)),
        }
    }

    /// The entry at an offset of a special section.
    pub fn at(&self, view: &View<'_>, section: SectionId, offset: i64) -> Option<Entry> {
        let table = &self.tables[*self.by_section.get(&section)? as usize];
        let offset = u64::try_from(offset).ok()?;
        (offset < view.object.section(section).size).then_some(Entry {
            special: table.special,
            section,
            start: offset - offset % table.len,
            len: table.len,
            parallel: None,
            begins: None,
        })
    }

    /// The entry of the unwind table that holds at an offset of a bundle: the last one up to there.
    pub fn in_force(&self, view: &View<'_>, bundle: BundleId, offset: u64) -> Option<Entry> {
        let place = |entry: &Entry| match refs_of(view, entry).first()?.target {
            Target::Bundle { offset, .. } => Some(offset),
            _ => None,
        };
        let unwinding = self.of(bundle);
        let unwinding = unwinding.filter(|entry| entry.special.parallel.is_some());
        let placed = unwinding.filter_map(|entry| Some((place(&entry)?, entry)));
        let before = placed.filter(|(place, _)| *place <= offset as i64);
        before
            .max_by_key(|(place, _)| *place)
            .map(|(_, entry)| entry)
    }

    /// The unwind table has no entry where the state does not change, also from one function to the next that shares
    /// its section. What is taken out needs one at its start: a copy of the one that holds there.
    fn begin_anew(&self, view: &View<'_>, special: &SpecialSection) -> Vec<Place> {
        let is_of = |place: &&Place| {
            let table = &self.tables[place.table as usize];
            table.special.name == special.name
        };
        let starts = |place: &Place| match first_target(view, &self.entry(place)) {
            Some(Target::Bundle { offset, .. }) => offset <= 0,
            _ => true,
        };
        let mut begun = Vec::new();
        let sections = view.object.sections();
        for (section, _) in sections.filter(|(_, section)| section.is_exec()) {
            let mut last: Option<Place> = None;
            for (id, bundle) in view.bundles.of_section(section) {
                let mut own = self.places_of(id).iter().filter(is_of);
                let is_code = matches!(bundle.kind, Kind::Function | Kind::Fragment);
                if let (true, Some(before)) = (is_code, last)
                    && !own.clone().any(starts)
                {
                    begun.push(Place {
                        about: id,
                        own: false,
                        ..before
                    });
                }
                last = own.next_back().copied().or(last);
            }
        }
        begun
    }
}

impl Table {
    fn read(
        view: &View<'_>,
        sizes: &Sizes<'_>,
        special: &'static SpecialSection,
        (id, halves): (SectionId, &Halves<'_>),
    ) -> Result<Self, String> {
        let section = view.object.section(id);
        if section.size > section.data.len() as u64 {
            return Err("it has no bytes".to_owned());
        }
        let len = entry_len(&view.object, section, special, sizes)?;
        let count = section.size.div_ceil(len);
        let parallel = special
            .parallel
            .map(|(name, size)| halves.of(view, sizes, (name, size), count))
            .transpose()?;
        Ok(Self {
            special,
            section: id,
            len,
            parallel,
        })
    }

    /// Where its entries about bundles are; `number` is its own.
    fn places(&self, view: &View<'_>, number: u32) -> impl Iterator<Item = Place> {
        // The assembler aligns each entry, so the last one may lack its padding.
        let count = view.object.section(self.section).size.div_ceil(self.len);
        (0..count).filter_map(move |index| {
            let start = index * self.len;
            let mut refs = view.refs_in(self.section, start, start + self.len);
            match refs.next()?.target {
                Target::Bundle { id, .. } => Some(Place {
                    about: id,
                    table: number,
                    own: true,
                    index: index as u32,
                }),
                _ => None,
            }
        })
    }
}

/// What an entry is about.
fn first_target(view: &View<'_>, entry: &Entry) -> Option<Target> {
    let mut refs = view.refs_in(entry.section, entry.start, entry.start + entry.len);
    Some(refs.next()?.target)
}

/// The references of an entry, by offset, of which the first says what it is about.
pub fn refs_of(view: &View<'_>, entry: &Entry) -> Vec<Ref> {
    let refs = view.refs_in(entry.section, entry.start, entry.start + entry.len);
    let mut refs: Vec<Ref> = refs.collect();
    let about = refs.first().map(|reference| reference.target);
    if let (Some(first), Some((id, offset))) = (refs.first_mut(), entry.begins) {
        first.target = Target::Bundle { id, offset };
    }
    if let (Some(replacement), Some(about), true) =
        (refs.get_mut(1), about, replaces_by_nothing(view, entry))
    {
        replacement.target = about;
    }
    refs
}

/// Whether an alternative puts nothing in the original's place, so that the place of the replacement, where the next
/// one may begin, means nothing. `u8 replacementlen` is the last byte but padding (`asm/alternative.h`).
fn replaces_by_nothing(view: &View<'_>, entry: &Entry) -> bool {
    if entry.special.name != ".altinstructions" {
        return false;
    }
    let field = if entry.len >= 14 { 13 } else { 11 };
    view.object
        .section(entry.section)
        .bytes(entry.start + field, entry.start + field + 1)
        == [0]
}

/// The first section of each name that holds other halves.
struct Halves<'o>(BTreeMap<&'o str, SectionId>);

impl<'o> Halves<'o> {
    fn find(object: &'o Object<'_>) -> Self {
        let mut first = BTreeMap::new();
        for (id, section) in object.sections() {
            if matches!(classify(section), Class::Parallel) {
                first.entry(section.name()).or_insert(id);
            }
        }
        Self(first)
    }

    /// The section with the other halves of so many entries, and the size of one.
    fn of(
        &self,
        view: &View<'_>,
        sizes: &Sizes<'_>,
        (name, size): (&str, EntrySize),
        count: u64,
    ) -> Result<(SectionId, u64), String> {
        let found = self.0.get(name).copied();
        let id = found.ok_or_else(|| format!("it goes with section {name}, which is missing"))?;
        let section = view.object.section(id);
        let declared = match size {
            EntrySize::Bytes(bytes) => Some(bytes),
            EntrySize::Struct(name) => sizes.target.get(name),
            EntrySize::Even => None,
        };
        // Without relocations to go by it still has as many entries as its other half.
        let len = declared
            .filter(|len| len.checked_mul(count) == Some(section.size))
            .or(section
                .size
                .is_multiple_of(count)
                .then(|| section.size / count));
        match len {
            Some(len) if len > 0 && section.size <= section.data.len() as u64 => Ok((id, len)),
            _ => Err(format!(
                "{name} has {} bytes, which are no {count} entries",
                section.size
            )),
        }
    }
}

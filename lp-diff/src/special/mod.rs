//! Reads special sections entry by entry and says which bundle each entry is about.
//!
//! An entry is about the code that its first relocation refers to: the instruction that may fault, that is
//! replaced, that traps. It goes where that code goes. The tempting wrong way is to keep an entry because any of its
//! relocations refers to something kept: a bug entry also refers to a file name.

pub mod keep;
pub mod size;
pub mod table;

use crate::bundle::{BundleId, Kind};
use crate::object::SectionId;
use crate::reference::{Ref, Target, View};
use crate::refusal::{Refusal, RefusalCode};
use size::{Sizes, entry_len};
use std::collections::BTreeMap;
use table::{Class, EntrySize, SpecialSection, classify};

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
#[derive(Debug, Default)]
pub struct Entries {
    /// By the bundle they are about.
    about: BTreeMap<BundleId, Vec<Entry>>,
    /// The size of the entries of each section that could be read.
    lens: BTreeMap<SectionId, u64>,
}

impl Entries {
    /// Reads all special sections of an object. What cannot be read is refused, unless nothing else is wrong with it
    /// than that it is empty.
    pub fn read(view: &View<'_>, sizes: &Sizes<'_>, refusals: &mut Vec<Refusal>) -> Self {
        let mut entries = Self::default();
        for (id, section) in view.object.sections() {
            let Class::Special(special) = classify(section) else {
                continue;
            };
            if section.size == 0 {
                continue;
            }
            match entries.read_section(view, sizes, special, id) {
                Ok(()) => {}
                Err(message) => refusals.push(Refusal::new(
                    RefusalCode::SpecialSection,
                    section.name,
                    message,
                )),
            }
        }
        // Sections stand in the order in which the compiler first needed them, which is another in the other build.
        for list in entries.about.values_mut() {
            list.sort_by_key(|entry| {
                let name = view.object.section(entry.section).name;
                (table::position(entry.special), name, entry.section)
            });
        }
        entries
    }

    /// The entries about a bundle, in the order of the table and their offsets.
    pub fn of(&self, bundle: BundleId) -> &[Entry] {
        self.about.get(&bundle).map_or(&[], Vec::as_slice)
    }

    /// The entry at an offset of a special section.
    pub fn at(&self, view: &View<'_>, section: SectionId, offset: i64) -> Option<Entry> {
        let len = *self.lens.get(&section)?;
        let Class::Special(special) = classify(view.object.section(section)) else {
            return None;
        };
        let offset = u64::try_from(offset).ok()?;
        (offset < view.object.section(section).size).then_some(Entry {
            special,
            section,
            start: offset - offset % len,
            len,
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
        let unwinding = self.of(bundle).iter();
        let unwinding = unwinding.filter(|entry| entry.special.parallel.is_some());
        let placed = unwinding.filter_map(|entry| Some((place(entry)?, *entry)));
        let before = placed.filter(|(place, _)| *place <= offset as i64);
        before
            .max_by_key(|(place, _)| *place)
            .map(|(_, entry)| entry)
    }

    /// The unwind table has no entry where the state does not change, also from one function to the next that shares
    /// its section. What is taken out needs one at its start.
    fn begin_anew(&mut self, view: &View<'_>, special: &'static SpecialSection) {
        for (section, _) in view
            .object
            .sections()
            .filter(|(_, section)| section.is_exec())
        {
            let mut last: Option<Entry> = None;
            for (id, bundle) in view.bundles.of_section(section) {
                let offset = |entry: &Entry| match refs_of(view, entry)
                    .first()
                    .map(|reference| reference.target)
                {
                    Some(Target::Bundle { offset, .. }) => offset,
                    _ => 0,
                };
                let own: Vec<Entry> = self
                    .of(id)
                    .iter()
                    .copied()
                    .filter(|entry| entry.special.name == special.name)
                    .collect();
                let starts = own.iter().any(|entry| offset(entry) <= 0);
                let is_code = matches!(bundle.kind, Kind::Function | Kind::Fragment);
                if let (true, false, Some(before)) = (is_code, starts, last) {
                    let all = self.about.entry(id).or_default();
                    let at = all
                        .iter()
                        .position(|entry| entry.special.name == special.name)
                        .unwrap_or(all.len());
                    all.insert(
                        at,
                        Entry {
                            begins: Some((id, 0)),
                            ..before
                        },
                    );
                }
                last = own.last().copied().or(last);
            }
        }
    }

    fn read_section(
        &mut self,
        view: &View<'_>,
        sizes: &Sizes<'_>,
        special: &'static SpecialSection,
        id: SectionId,
    ) -> Result<(), String> {
        let section = view.object.section(id);
        if section.size > section.data.len() as u64 {
            return Err("it has no bytes".to_owned());
        }
        let len = entry_len(&view.object, section, special, sizes)?;
        self.lens.insert(id, len);
        // The assembler aligns each entry, so the last one may lack its padding.
        let count = section.size.div_ceil(len);
        let parallel = special
            .parallel
            .map(|(name, size)| find_parallel(view, sizes, name, size, count))
            .transpose()?;
        for index in 0..count {
            let start = index * len;
            let entry = Entry {
                special,
                section: id,
                start,
                len,
                parallel: parallel.map(|(section, size)| (section, index * size, size)),
                begins: None,
            };
            if let Some(Target::Bundle { id, .. }) = refs_of(view, &entry)
                .first()
                .map(|reference| reference.target)
            {
                self.about.entry(id).or_default().push(entry);
            }
        }
        if special.parallel.is_some() {
            self.begin_anew(view, special);
        }
        Ok(())
    }
}

/// The references of an entry, by offset, of which the first says what it is about.
pub fn refs_of(view: &View<'_>, entry: &Entry) -> Vec<Ref> {
    let mut refs = view
        .refs
        .of(entry.section, entry.start, entry.start + entry.len)
        .to_vec();
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

fn find_parallel(
    view: &View<'_>,
    sizes: &Sizes<'_>,
    name: &str,
    size: EntrySize,
    count: u64,
) -> Result<(SectionId, u64), String> {
    let found = view
        .object
        .sections()
        .find(|(_, section)| section.name == name);
    let (id, section) =
        found.ok_or_else(|| format!("it goes with section {name}, which is missing"))?;
    let declared = match size {
        EntrySize::Bytes(bytes) => Some(bytes),
        EntrySize::Struct(name) => sizes.target.get(name),
    };
    // Without relocations to go by it still has as many entries as its other half.
    let len = declared
        .filter(|len| len.checked_mul(count) == Some(section.size))
        .or((section.size % count == 0).then_some(section.size / count));
    match len {
        Some(len) if len > 0 && section.size <= section.data.len() as u64 => Ok((id, len)),
        _ => Err(format!(
            "{name} has {} bytes, which are no {count} entries",
            section.size
        )),
    }
}

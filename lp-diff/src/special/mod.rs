//! Reads special sections entry by entry and says which bundle each entry is about.
//!
//! An entry is about the code that its first relocation refers to: the instruction that may fault, that is
//! replaced, that traps. It goes where that code goes. The tempting wrong way is to keep an entry because any of its
//! relocations refers to something kept: a bug entry also refers to a file name.

pub mod table;

use crate::bundle::{BundleId, Kind};
use crate::entry_size::EntrySizes;
use crate::object::{Section, SectionId};
use crate::reference::{Ref, Target, View};
use crate::refusal::{Refusal, RefusalCode};
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
    /// For an entry that holds from before a function on: the function, at whose start the copy begins to hold.
    pub begins: Option<BundleId>,
}

/// The entries of an object by the bundle they are about.
#[derive(Debug, Default)]
pub struct Entries(BTreeMap<BundleId, Vec<Entry>>);

impl Entries {
    /// Reads all special sections of an object. What cannot be read is refused, unless nothing else is wrong with it
    /// than that it is empty.
    pub fn read(view: &View<'_>, sizes: &EntrySizes, refusals: &mut Vec<Refusal>) -> Self {
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
        entries
    }

    /// The entries about a bundle, in the order of the table and their offsets.
    pub fn of(&self, bundle: BundleId) -> &[Entry] {
        self.0.get(&bundle).map_or(&[], Vec::as_slice)
    }

    /// The unwind table has no entry where the state does not change, also from one function to the next that shares
    /// its section. A function that is taken out needs one at its start.
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
                if let (Kind::Function, false, Some(before)) = (bundle.kind, starts, last) {
                    let all = self.0.entry(id).or_default();
                    let at = all
                        .iter()
                        .position(|entry| entry.special.name == special.name)
                        .unwrap_or(all.len());
                    all.insert(
                        at,
                        Entry {
                            begins: Some(id),
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
        sizes: &EntrySizes,
        special: &'static SpecialSection,
        id: SectionId,
    ) -> Result<(), String> {
        let section = view.object.section(id);
        if section.size > section.data.len() as u64 {
            return Err("it has no bytes".to_owned());
        }
        let len = entry_len(section, special, sizes)?;
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
                self.0.entry(id).or_default().push(entry);
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
    if let (Some(first), Some(id)) = (refs.first_mut(), entry.begins) {
        first.target = Target::Bundle { id, offset: 0 };
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
    sizes: &EntrySizes,
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
        EntrySize::Struct(name) => sizes.get(name),
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

/// The size of an entry: what the target's types say if that fits the relocations, else what these say themselves.
fn entry_len(
    section: &Section<'_>,
    special: &SpecialSection,
    sizes: &EntrySizes,
) -> Result<u64, String> {
    let (declared, name) = match special.entry {
        EntrySize::Bytes(bytes) => (Some(bytes), ""),
        EntrySize::Struct(name) => (sizes.get(name), name),
    };
    if let Some(len) = declared.filter(|len| *len > 0 && fits(section, *len, 1)) {
        return Ok(len);
    }
    // A fixed size that fits no pattern is still the size: some of its entries may need no relocation.
    if let Some(len) = declared.filter(|len| name.is_empty() && section.size.is_multiple_of(*len)) {
        return Ok(len);
    }
    infer(section, special.min_relocs).ok_or_else(|| match declared {
        Some(len) => format!("its {} bytes are no entries of {len} (struct {name}), and its relocations do not tell another size: give the target kernel's with --entry-size {name}=BYTES", section.size),
        None => format!("the size of struct {name} is not known and its relocations do not tell it: give --symbols a file with BTF or DWARF, or --entry-size {name}=BYTES"),
    })
}

/// The shortest period in which the relocations repeat, so many at least to an entry.
fn infer(section: &Section<'_>, min_relocs: usize) -> Option<u64> {
    let first = section.relocs.get(0)?;
    let candidates = section
        .relocs
        .iter()
        .skip(1)
        .map(|reloc| reloc.offset - first.offset);
    let holds = |len: u64| section.relocs_in(0, len).len() >= min_relocs;
    candidates
        .filter(|len| *len > 0 && holds(*len))
        .take(8)
        .find(|len| fits(section, *len, usize::MAX))
}

/// Whether every entry of this size has its first `relocs` relocations at the same places. An entry may need fewer
/// than another (an alternative without a replacement), but each one says what it is about.
fn fits(section: &Section<'_>, len: u64, relocs: usize) -> bool {
    let shape = |index: u64| {
        let range = section.relocs_in(index * len, (index + 1) * len);
        section
            .relocs
            .range(range)
            .take(relocs)
            .map(move |reloc| (reloc.offset - index * len, reloc.kind))
    };
    let count = section.size.div_ceil(len);
    // No more entries than relocations: this bounds the work on a hostile size.
    shape(0).next().is_some()
        && count <= section.relocs.len() as u64
        && (1..count).all(|index| shape(index).eq(shape(0)))
}

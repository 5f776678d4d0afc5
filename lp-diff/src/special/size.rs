//! Finds how large the entries of a special section are.
//!
//! The target's type information knows, if there is any and if it fits. Else the relocations tell: an entry has so many
//! of them at least, so many at most, the first of each is at the same place, and each refers to what it must. Where two
//! sizes would do, or none, the object's own debug information is asked, and then the section is refused: entries cut at the
//! wrong places say something about code that they are not about. The tempting wrong way is the shortest distance in
//! which the relocations repeat: exception entries of three fields and of two are the same row of fields.

use super::table::{EntrySize, Field, SpecialSection};
use crate::dwarf::LazyDebugInfo;
use crate::entry_size::EntrySizes;
use crate::object::{Object, Place, Reloc, Section};
use std::cell::OnceCell;
use std::collections::BTreeSet;

/// No entry of any kernel comes near this.
const LONGEST: u64 = 64;

/// The size of an entry of a section that is not empty: what the target's types say if that fits the relocations, else
/// what these say themselves.
pub(super) fn entry_len(
    object: &Object<'_>,
    section: Section<'_>,
    special: &SpecialSection,
    sizes: &Sizes<'_>,
) -> Result<u64, String> {
    let name = match special.entry {
        EntrySize::Bytes(len) if section.size.is_multiple_of(len) => return Ok(len),
        EntrySize::Bytes(len) => {
            return Err(format!(
                "its {} bytes are no entries of {len}",
                section.size
            ));
        }
        EntrySize::Struct(name) => name,
        EntrySize::Even => {
            let count = section.relocs.len() as u64;
            let len = section.size.checked_div(count).unwrap_or_default();
            let fits = count > 0 && fits(object, section, len, special);
            return fits.then_some(len).ok_or_else(|| {
                format!("its {} bytes are not {count} equal entries", section.size)
            });
        }
    };
    let declared = sizes.target.get(name);
    if let Some(len) = declared.filter(|len| fits(object, section, *len, special)) {
        return Ok(len);
    }
    let fitting = fitting(object, section, special);
    match fitting[..] {
        [only] => Ok(only),
        // Longer ones are several of it.
        [shortest, ref longer @ ..]
            if longer.iter().all(|len| len.is_multiple_of(shortest))
                && is_regular(section, shortest) =>
        {
            Ok(shortest)
        }
        _ => {
            let own = sizes.own().get(name);
            own.filter(|len| fits(object, section, *len, special))
                .ok_or_else(|| unknown(section, name, declared, &fitting))
        }
    }
}

/// What is known of struct sizes.
pub struct Sizes<'s> {
    /// By the target's types, or because the user says so.
    pub target: &'s EntrySizes,
    /// The debug information of the object, which is large and asked last.
    pub debug: &'s LazyDebugInfo<'s>,
    own: OnceCell<EntrySizes>,
}

impl<'s> Sizes<'s> {
    /// The sizes of the target, and what the object itself may tell.
    pub fn new(target: &'s EntrySizes, debug: &'s LazyDebugInfo<'s>) -> Self {
        Self {
            target,
            debug,
            own: OnceCell::new(),
        }
    }

    fn own(&self) -> &EntrySizes {
        self.own.get_or_init(|| {
            let info = self.debug.get();
            info.map(EntrySizes::from_debug_info).unwrap_or_default()
        })
    }
}

fn unknown(section: Section<'_>, name: &str, declared: Option<u64>, fitting: &[u64]) -> String {
    let told = match fitting {
        [] => "its relocations do not tell it".to_owned(),
        several => {
            let several: Vec<String> = several.iter().map(u64::to_string).collect();
            format!("by its relocations it could be {}", several.join(" or "))
        }
    };
    match declared {
        Some(len) => format!(
            "its {} bytes are no entries of {len} (struct {name}), and {told}: give the target kernel's size with --entry-size {name}=BYTES",
            section.size
        ),
        None => format!(
            "the size of struct {name} is not known and {told}: give --symbols a file with BTF or DWARF, or --entry-size {name}=BYTES"
        ),
    }
}

/// All sizes that the relocations allow, in order.
fn fitting(object: &Object<'_>, section: Section<'_>, special: &SpecialSection) -> Vec<u64> {
    let Some(first) = section.relocs.get(0) else {
        return Vec::new();
    };
    let distances = section
        .relocs
        .iter()
        .skip(1)
        .map(|reloc| reloc.offset - first.offset);
    // Or it is one entry.
    let whole = section.size.checked_next_multiple_of(section.align.max(1));
    // A set first: many relocations can be at one distance.
    let sizes: BTreeSet<u64> = distances
        .take_while(|len| *len <= LONGEST)
        .chain(whole.filter(|len| *len <= LONGEST))
        .collect();
    let fitting = sizes.into_iter();
    fitting
        .filter(|len| fits(object, section, *len, special))
        .collect()
}

/// Whether every entry of this size has as many relocations as one can have, the first of them at the same place, and
/// each to what it must refer to.
fn fits(object: &Object<'_>, section: Section<'_>, len: u64, special: &SpecialSection) -> bool {
    let Some(first) = section.relocs.get(0).filter(|_| len > 0) else {
        return false;
    };
    let count = section.size.div_ceil(len);
    // No more entries than relocations: this bounds the work on a hostile size.
    is_filled(section, len, count)
        && count <= section.relocs.len() as u64
        && (0..count).all(|index| {
            let start = index * len;
            let own = section.relocs_in(start, start + len);
            let mut relocs = section.relocs.range(own.clone());
            let mut fields = section.relocs.range(own.clone()).zip(special.fields);
            (special.least..=special.fields.len()).contains(&own.len())
                && relocs
                    .next()
                    .is_some_and(|own| own.offset - start == first.offset && own.kind == first.kind)
                && fields.all(|(reloc, field)| refers_to(object, &reloc, *field))
        })
}

fn refers_to(object: &Object<'_>, reloc: &Reloc, field: Field) -> bool {
    let symbol = object.symbol(reloc.symbol);
    let in_code = symbol
        .section()
        .is_some_and(|id| object.section(id).is_exec());
    match field {
        Field::Any => true,
        Field::Code => in_code,
        // Where a section begins, a function may.
        Field::Function => match symbol.place {
            Place::Undefined => true,
            _ => in_code && reloc.addend == 0,
        },
    }
}

/// Whether so many entries fill the section. The assembler aligns each one, so the last may lack its padding.
fn is_filled(section: Section<'_>, len: u64, count: u64) -> bool {
    let align = section.align.max(1);
    let filled = len.checked_mul(count);
    filled == Some(section.size)
        || (len.is_multiple_of(align) && section.size.checked_next_multiple_of(align) == filled)
}

/// Whether every entry of this size has its relocations at the same places.
fn is_regular(section: Section<'_>, len: u64) -> bool {
    let shape = |index: u64| {
        let own = section.relocs_in(index * len, (index + 1) * len);
        section
            .relocs
            .range(own)
            .map(move |reloc| (reloc.offset - index * len, reloc.kind))
    };
    (1..section.size.div_ceil(len)).all(|index| shape(index).eq(shape(0)))
}

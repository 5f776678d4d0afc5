//! The fragments of a patch's functions: what the compiler moved away from them (`NAME.cold`, `NAME.part.0`).
//!
//! A thread in a fragment is in its function, and has no return address into the rest of it. Which fragment is whose is told by
//! the branches: each function and each fragment has a section of its own, so that a branch between them has a relocation. The
//! tempting wrong way is to tell it by names, which a patch made of several files can have twice.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::process::prepare::patch_file::{Meaning, PatchFile, SectionId, Symbol};
use crate::process::prepare::relocate::Sections;

/// Bytes of a branch's field, from which its target is counted.
const FIELD: i64 = 4;

/// All fragments of a patch.
pub(super) struct Fragments<'p> {
    patch: &'p PatchFile,
    /// By section, from its start.
    ranges: BTreeMap<SectionId, Vec<Range<u64>>>,
}

impl<'p> Fragments<'p> {
    pub(super) fn of(patch: &'p PatchFile) -> Self {
        let mut ranges: BTreeMap<SectionId, Vec<Range<u64>>> = BTreeMap::new();
        let fragments = patch.symbols.iter().filter(|symbol| is_fragment(symbol));
        for symbol in fragments {
            if let Meaning::Inside { section, offset } = symbol.meaning {
                let range = offset..offset.saturating_add(symbol.size);
                ranges.entry(section).or_default().push(range);
            }
        }
        Self { patch, ranges }
    }

    /// Where those are that a function branches to.
    pub(super) fn of_function(&self, function: &Symbol, sections: &Sections) -> Vec<Range<u64>> {
        let Meaning::Inside { section, offset } = function.meaning else {
            return Vec::new();
        };
        let own = offset..offset.saturating_add(function.size);
        let relocations = self.patch.relocations.iter();
        let inside = relocations.filter(|it| it.section == section && own.contains(&it.offset));
        let mut found: Vec<Range<u64>> = inside
            .filter_map(|relocation| {
                let symbol = self.patch.symbol(relocation.symbol);
                let Meaning::Inside { section, offset } = symbol.meaning else {
                    return None;
                };
                let to = offset.checked_add_signed(relocation.addend.checked_add(FIELD)?)?;
                let range = self
                    .ranges
                    .get(&section)?
                    .iter()
                    .find(|it| it.contains(&to))?;
                let base = sections.get(&section)?;
                Some(base.checked_add(range.start)?..base.checked_add(range.end)?)
            })
            .collect();
        found.sort_by_key(|range| range.start);
        found.dedup();
        found
    }
}

fn is_fragment(symbol: &Symbol) -> bool {
    symbol.size > 0 && (symbol.name.contains(".cold") || symbol.name.contains(".part."))
}

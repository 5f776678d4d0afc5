//! Finds the source line that each refusal is about.
//!
//! A refusal names a symbol, a place in one, or a symbol in a section. Of a datum that is the line that declares it, of
//! a function the line of its name, of a place in a function that instruction's, and of a symbol that the object does
//! not define the line that refers to it. The tempting wrong way is to make each rule look for its line: most would
//! forget.

use crate::compare::Comparer;
use crate::dwarf::line::SourcePlace;
use crate::dwarf::{DebugInfo, LazyDebugInfo};
use crate::include::Selection;
use crate::object::{Object, SectionId};
use crate::reference::{Target, View};
use crate::refusal::{ObjectPlace, Refusal};
use std::collections::BTreeMap;

/// Fills in the section, offset and source line of each refusal that has none, as far as they can be known.
pub fn fill(comparer: &Comparer<'_, '_>, selection: &Selection, refusals: &mut [Refusal]) {
    if refusals.is_empty() {
        return;
    }
    let sides = [
        Side::of(comparer.patched, comparer.patched_debug),
        Side::of(comparer.orig, comparer.orig_debug),
    ];
    let users = users(comparer.patched, selection);
    for refusal in refusals {
        let words = Words::of(&refusal.place);
        let used = || {
            let (section, offset) = *users.get(words.name)?;
            Some((&sides[0], section, offset, true))
        };
        let found = sides
            .iter()
            .find_map(|side| side.find(&words))
            .or_else(used);
        let Some((side, section, offset, is_instruction)) = found else {
            continue;
        };
        refusal.at.get_or_insert_with(|| ObjectPlace {
            section: side.object.section(section).name().to_owned(),
            offset,
        });
        if refusal.source.is_none() {
            refusal.source = side.line(section, offset, is_instruction);
        }
    }
}

/// The parts of a refusal's place: `jiffies`, `jiffies in .data`, `schedule+0x12`.
struct Words<'p> {
    name: &'p str,
    section: Option<&'p str>,
    offset: Option<u64>,
}

impl<'p> Words<'p> {
    fn of(place: &'p str) -> Self {
        let (name, section) = match place.split_once(" in ") {
            Some((name, section)) => (name, Some(section)),
            None => (place, None),
        };
        let hex = name.rsplit_once("+0x");
        let offset = hex.and_then(|(_, digits)| u64::from_str_radix(digits, 16).ok());
        Self {
            name: hex
                .filter(|_| offset.is_some())
                .map_or(name, |(name, _)| name),
            section,
            offset,
        }
    }
}

/// An object with the symbols that it defines under one name alone.
struct Side<'s> {
    object: &'s Object<'s>,
    debug: &'s LazyDebugInfo<'s>,
    symbols: BTreeMap<&'s str, Vec<(SectionId, u64)>>,
}

impl<'s> Side<'s> {
    fn of(view: &'s View<'s>, debug: &'s LazyDebugInfo<'s>) -> Self {
        let mut symbols: BTreeMap<&str, Vec<(SectionId, u64)>> = BTreeMap::new();
        for (_, symbol) in view.object.symbols() {
            if let (Some(section), false) = (symbol.section(), symbol.is_section()) {
                symbols
                    .entry(symbol.name())
                    .or_default()
                    .push((section, symbol.value));
            }
        }
        Self {
            object: &view.object,
            debug,
            symbols,
        }
    }

    /// The one place that the words mean, and whether it is an instruction rather than a whole thing.
    fn find(&self, words: &Words<'_>) -> Option<(&Self, SectionId, u64, bool)> {
        let places = self.symbols.get(words.name)?.iter();
        let is_there = |(id, _): &&(SectionId, u64)| {
            let name = self.object.section(*id).name();
            words.section.is_none_or(|section| section == name)
        };
        let mut places = places.filter(is_there);
        let (section, start) = *places.next()?;
        let offset = start.checked_add(words.offset.unwrap_or(0))?;
        let is_only = places.next().is_none();
        is_only.then_some((self, section, offset, words.offset.is_some()))
    }

    fn line(&self, section: SectionId, offset: u64, is_instruction: bool) -> Option<SourcePlace> {
        let debug: &DebugInfo<'_> = self.debug.get()?;
        let code = || debug.lines().at(section, offset);
        if is_instruction {
            return code();
        }
        let variable = || debug.variable_at(section, offset)?.declared.clone();
        let function = || debug.function_at(section, offset)?.declared;
        if self.object.section(section).is_exec() {
            function().or_else(code)
        } else {
            variable()
        }
    }
}

/// Where the patch's code first refers to each symbol that the object does not define.
fn users<'v>(view: &'v View<'_>, selection: &Selection) -> BTreeMap<&'v str, (SectionId, u64)> {
    let mut users = BTreeMap::new();
    for id in selection.bundles.keys() {
        let section = view.bundles.get(*id).section;
        for reference in view.refs_of(*id) {
            if let Target::Symbol { id, .. } = reference.target {
                users
                    .entry(view.object.symbol(id).name())
                    .or_insert((section, reference.offset));
            }
        }
    }
    users
}

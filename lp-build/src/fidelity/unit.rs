//! Which of the running binary's symbols may be ours: by name, binding and source file.
//!
//! vmlinux keeps a FILE symbol before the locals of each source file, but by base name only: there are dozens of
//! `core.c`. Ours is the one whose locals have our locals' names. Modules have no FILE symbols; there, and where two
//! files tie, names alone remain and the code decides. The tempting wrong way is to take the first file of the name.

use super::orig::{Definition, Orig};
use super::symbols::{Place, Symbol};
use super::target::Target;
use object::elf;
use std::collections::BTreeMap;

/// The part of the running binary that our object became.
pub(super) struct Unit<'a> {
    target: &'a Target,
    /// The FILE symbols that fit best; none when there are none.
    files: Vec<u32>,
}

/// A symbol that may be ours.
#[derive(Debug, Clone, Copy)]
pub(super) struct Candidate {
    pub(super) symbol: u32,
    pub(super) place: Place,
    pub(super) size: u64,
}

impl<'a> Unit<'a> {
    /// Finds the source file's FILE symbol.
    pub(super) fn find(orig: &Orig<'_>, source: &str, target: &'a Target) -> Self {
        let base = source.rsplit('/').next().unwrap_or(source).as_bytes();
        let mut scores: BTreeMap<u32, usize> = BTreeMap::new();
        for file in target.symbols.files(orig.file.unwrap_or(base)) {
            scores.insert(file, 0);
        }
        for definition in orig
            .definitions
            .iter()
            .filter(|definition| definition.bind == elf::STB_LOCAL)
        {
            for (_, symbol) in target.symbols.named(definition.name) {
                if let Some(score) = scores.get_mut(&symbol.file) {
                    *score += 1;
                }
            }
        }
        let best = scores.values().copied().max().filter(|&best| best > 0);
        let files = scores
            .into_iter()
            .filter(|&(_, score)| Some(score) == best)
            .map(|(file, _)| file)
            .collect();
        Self { target, files }
    }

    /// Whether it is certain which source file of the running binary is ours.
    pub(super) fn is_certain(&self) -> bool {
        self.files.len() == 1
    }

    /// The symbols that a definition of ours may be.
    pub(super) fn candidates(&self, definition: &Definition<'_>) -> Vec<Candidate> {
        let same_kind = |symbol: &Symbol| {
            let functions = [elf::STT_FUNC, elf::STT_GNU_IFUNC];
            functions.contains(&symbol.info.st_type()) == definition.is_function
        };
        let named = self
            .target
            .symbols
            .named(definition.name)
            .filter(|(_, symbol)| same_kind(symbol));
        let candidate = |(index, symbol): (u32, &Symbol)| {
            Some((
                symbol.file,
                symbol.is_local(),
                Candidate {
                    symbol: index,
                    place: symbol.place?,
                    size: symbol.size,
                },
            ))
        };
        let all: Vec<_> = named.filter_map(candidate).collect();
        let ours = |&(file, local, _): &(u32, bool, Candidate)| {
            let local_of_ours = local && (self.files.is_empty() || self.files.contains(&file));
            if definition.bind == elf::STB_LOCAL {
                local_of_ours
            } else {
                !local
            }
        };
        let mut fitting: Vec<_> = all
            .iter()
            .filter(|one| ours(one))
            .map(|&(_, _, candidate)| candidate)
            .collect();
        if fitting.is_empty() && definition.bind != elf::STB_LOCAL {
            // The linker makes a hidden global symbol local.
            fitting = all.into_iter().map(|(_, _, candidate)| candidate).collect();
        }
        fitting
    }

    /// Whether another file's definition won over a weak one of ours.
    pub(super) fn is_overridden(&self, definition: &Definition<'_>) -> bool {
        let strong = |symbol: &Symbol| symbol.info.st_bind() == elf::STB_GLOBAL;
        definition.bind == elf::STB_WEAK
            && self
                .target
                .symbols
                .named(definition.name)
                .any(|(_, symbol)| strong(symbol))
    }
}

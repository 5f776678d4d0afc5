//! What an author should know beyond what changed: the hazards that the debug information shows.
//!
//! Nothing here decides what goes into the patch. An object without debug information is explained less, and patched
//! all the same.

mod gone;
pub mod layout;
pub mod place;
pub mod units;
pub mod warnings;
pub mod why;

use crate::compare::{Comparer, Comparison};
use crate::include::Selection;
use crate::refusal::Refusal;
use layout::{LayoutChange, Layouts};
use std::collections::BTreeSet;
use warnings::{Subject, Warning};

/// All that is to be explained of a patch.
#[derive(Debug, Default)]
pub struct Explanations {
    /// Types of another layout.
    pub layout: Vec<LayoutChange>,
    /// What is often a mistake.
    pub warnings: Vec<Warning>,
    /// What is good to know.
    pub notes: Vec<String>,
}

impl Explanations {
    /// Looks at what a selection holds. `allowed` are the types whose layout may differ.
    pub fn find(
        comparer: &Comparer<'_, '_>,
        comparison: &Comparison,
        selection: &Selection,
        allowed: &BTreeSet<String>,
    ) -> Self {
        let mut found = Self::default();
        if selection.bundles.is_empty() {
            return found;
        }
        let debug = (comparer.orig_debug.get(), comparer.patched_debug.get());
        let pairs = match debug {
            (Some(orig), Some(patched)) => units::pairs(comparer, selection, orig, patched),
            _ => Vec::new(),
        };
        for pair in &pairs {
            let layouts = Layouts::compare(comparer, selection, pair, allowed);
            found.layout.extend(layouts.changes);
            found.notes.extend(layouts.notes);
        }
        found
            .notes
            .extend(gone::notes(comparer, comparison, selection));
        found.warnings = warnings::find(&Subject {
            comparer,
            comparison,
            selection,
            pairs: &pairs,
            layout: &found.layout,
        });
        found
    }

    /// The changes that the author did not allow.
    pub fn refusals(&self) -> impl Iterator<Item = Refusal> {
        self.layout.iter().filter_map(LayoutChange::refusal)
    }
}

//! Tells what the author's statements came to: each difference that was left alone, and each statement without effect.
//!
//! A statement outlives its reason easily, since nothing fails when it is no longer needed; so one without effect is
//! said, too. What has one is found by comparing once more without any.

use super::{Comparer, Comparison, Reason, Status};
use crate::author::{Ignores, Statement};
use std::collections::{BTreeMap, BTreeSet};

/// A note for each statement. `left_alone` are tables that were found to differ elsewhere.
pub fn notes(
    comparer: &Comparer<'_, '_>,
    comparison: &Comparison,
    (ignores, left_alone): (&Ignores, &BTreeSet<String>),
) -> Vec<String> {
    if ignores.is_empty() {
        return Vec::new();
    }
    let full = comparer.compare(&Ignores::default());
    let mut hidden: BTreeMap<Statement, BTreeSet<&str>> = BTreeMap::new();
    let tables = left_alone.iter().cloned().map(Statement::Section);
    hidden.extend(tables.map(|table| (table, BTreeSet::new())));
    for (id, _) in comparer.patched.bundles.iter() {
        if full.status(id) == comparison.status(id) {
            continue;
        }
        let of_entry = match full.status(id) {
            Status::Changed(Reason::Entry(section)) if ignores.section(section) => {
                Some(Statement::Section((*section).to_owned()))
            }
            _ => None,
        };
        if let Some(statement) = ignores.statement(comparer.patched, id).or(of_entry) {
            hidden
                .entry(statement)
                .or_default()
                .insert(comparer.patched.name(id));
        }
    }
    let statements = ignores.statements();
    statements
        .map(|statement| match hidden.get(&statement) {
            Some(names) if names.is_empty() => {
                format!("{statement}: it differs and stays as it is in the running system")
            }
            Some(names) => format!(
                "{statement}: stays as it is in the running system: {}",
                names.iter().copied().collect::<Vec<_>>().join(", ")
            ),
            None => format!("{statement} has no effect: take it out"),
        })
        .collect()
}

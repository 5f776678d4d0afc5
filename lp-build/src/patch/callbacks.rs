//! The callbacks of the whole patch: one of a kind for each object, over all files that belong to it.
//!
//! `struct klp_object` has one field for each kind (`include/linux/livepatch.h`), so two files that declare the same
//! one cannot both be heard. The tempting wrong way is to call both, one after the other: where the second one fails,
//! nobody would undo the first.

use super::judged::Judged;
use crate::report::RefusalReport;
use lp_klp::manifest;
use lp_klp::name::ObjName;
use lp_klp::target::Callback;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

/// A callback and where it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The function.
    pub function: String,
    /// The symbol by which the module's tables refer to it.
    pub alias: String,
    /// Its file.
    pub source: String,
}

/// The callbacks by object and kind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Callbacks(BTreeMap<ObjName, BTreeMap<Callback, Found>>);

impl Callbacks {
    /// Gathers the callbacks of all units, and what cannot be: two of a kind for one object.
    pub fn gather<'j>(judged: impl IntoIterator<Item = &'j Judged>) -> (Self, Vec<RefusalReport>) {
        let (mut all, mut refusals) = (Self::default(), Vec::new());
        for unit in judged {
            for callback in &unit.report.callbacks {
                let found = Found {
                    function: callback.function.clone(),
                    alias: callback.alias.clone(),
                    source: unit.source.clone(),
                };
                refusals.extend(all.add(&unit.object, callback.kind, found));
            }
        }
        (all, refusals)
    }

    /// Adds one; a refusal where the object has one of that kind already.
    pub fn add(&mut self, object: &ObjName, kind: Callback, found: Found) -> Option<RefusalReport> {
        match self.0.entry(object.clone()).or_default().entry(kind) {
            Entry::Vacant(free) => {
                free.insert(found);
                None
            }
            Entry::Occupied(taken) => Some(RefusalReport {
                code: lp_diff::RefusalCode::Callback.to_string(),
                place: format!("{}: {}", found.source, found.function),
                message: format!(
                    "{object} has a {kind} callback already, {} in {}: an object has one of each kind, so call one from \
                     the other",
                    taken.get().function,
                    taken.get().source
                ),
                source: None,
            }),
        }
    }

    /// The objects that have any.
    pub fn objects(&self) -> impl Iterator<Item = &ObjName> {
        self.0.keys()
    }

    /// The callbacks of an object, in the order of a patch's life.
    pub fn of(&self, object: &ObjName) -> impl Iterator<Item = (Callback, &Found)> {
        let found = self.0.get(object).into_iter().flatten();
        found.map(|(kind, found)| (*kind, found))
    }

    /// Their names as the manifest holds them.
    pub fn manifest(&self, object: &ObjName) -> manifest::Callbacks {
        let mut names = manifest::Callbacks::default();
        for (kind, found) in self.of(object) {
            let name = Some(found.function.clone());
            match kind {
                Callback::PrePatch => names.pre_patch = name,
                Callback::PostPatch => names.post_patch = name,
                Callback::PreUnpatch => names.pre_unpatch = name,
                Callback::PostUnpatch => names.post_unpatch = name,
            }
        }
        names
    }
}

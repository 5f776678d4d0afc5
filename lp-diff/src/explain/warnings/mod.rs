//! The warnings of a patch author's guide, made automatic: what is patched as asked, and is often a mistake.
//!
//! Each rule is a file. A rule that cries wolf teaches authors to read none, so each one keeps silent where the object
//! does not say enough.

mod constant;
mod data;
mod forever;
mod lock;
mod lock_calls;
mod prototype;
mod tail_jump;

use super::layout::LayoutChange;
use super::units::{Function, Pair, Unit};
use crate::bundle::BundleId;
use crate::compare::{Comparer, Comparison, Status};
use crate::dwarf::line::SourcePlace;
use crate::dwarf::types::TypeId;
use crate::include::Selection;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The kinds of warnings; the serialized names are stable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WarningCode {
    /// The patch brings data that it writes to.
    NewWritableData,
    /// The patch brings a lock, or adds one to a type.
    NewLock,
    /// A function takes or releases other locks, or in another order.
    LockChange,
    /// A function that may be on a thread's stack for as long as the system runs.
    RunsForever,
    /// A function that code outside the patch can call has other parameters.
    PrototypeChange,
    /// A function that code outside the patch can call returns another type.
    ReturnTypeChange,
    /// An enumerator has another value.
    EnumChange,
    /// A replacement is left by a jump to a function that only the patch has.
    TailJump,
}

/// Something that is often a mistake.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Warning {
    /// Which kind.
    pub code: WarningCode,
    /// Function, variable or type.
    pub place: String,
    /// Where the patched source has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<SourcePlace>,
    /// What is to be feared, and what to do.
    pub message: String,
}

/// What the rules look at.
pub struct Subject<'s, 'v, 'd> {
    /// Both objects.
    pub comparer: &'s Comparer<'v, 'd>,
    /// What became of each bundle.
    pub comparison: &'s Comparison,
    /// What goes into the patch.
    pub selection: &'s Selection,
    /// The units that the patch's functions are in; none without debug information.
    pub pairs: &'s [Pair<'v>],
    /// Types of another layout.
    pub layout: &'s [LayoutChange],
}

/// All warnings about a patch, in the order of their kinds and places.
pub fn find(subject: &Subject<'_, '_, '_>) -> Vec<Warning> {
    let mut found = Vec::new();
    data::find(subject, &mut found);
    lock::find(subject, &mut found);
    lock_calls::find(subject, &mut found);
    forever::find(subject, &mut found);
    prototype::find(subject, &mut found);
    constant::find(subject, &mut found);
    tail_jump::find(subject, &mut found);
    found.sort();
    found.dedup();
    found
}

impl<'s, 'v> Subject<'s, 'v, '_> {
    /// The functions that replace one of the target's: in the patched object, and their twins.
    fn changed(&self) -> impl Iterator<Item = (BundleId, BundleId)> {
        let changed = self.selection.bundles.keys().copied().filter(|id| {
            let bundle = self.comparer.patched.bundles.get(*id);
            bundle.kind == crate::bundle::Kind::Function
                && bundle.parent.is_none()
                && matches!(self.comparison.status(*id), Status::Changed(_))
        });
        changed.filter_map(|id| Some((id, self.comparer.twins.orig(id)?)))
    }

    /// What the debug information says of a function of the patch.
    fn function(&self, id: BundleId) -> Option<(&'s Pair<'v>, &'s Function)> {
        self.pairs.iter().find_map(|pair| {
            let functions = &pair.functions;
            let at = functions.binary_search_by_key(&id, |function| function.bundle);
            Some((pair, &functions[at.ok()?]))
        })
    }

    /// The entry of something in the patched object.
    fn entry(&self, id: BundleId) -> Option<(&'s Unit<'v>, TypeId)> {
        let view = self.comparer.patched;
        self.pairs
            .iter()
            .find_map(|pair| Some((&pair.patched, pair.patched.entry(view, id)?)))
    }

    /// Where something in the patched object is declared.
    fn source(&self, id: BundleId) -> Option<SourcePlace> {
        let (unit, entry) = self.entry(id)?;
        unit.source(entry)
    }

    fn warning(&self, code: WarningCode, id: BundleId, message: String) -> Warning {
        let name = self.comparer.patched.name(id);
        let entry = self.entry(id).map(|(unit, entry)| unit.types.name(entry));
        Warning {
            code,
            place: entry
                .filter(|name| !name.is_empty())
                .unwrap_or(name)
                .to_owned(),
            source: self.source(id),
            message,
        }
    }
}

impl fmt::Display for WarningCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The serialized name is the one name of a code.
        match serde_json::to_value(self) {
            Ok(serde_json::Value::String(name)) => f.write_str(&name),
            _ => Err(fmt::Error),
        }
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.place)?;
        if let Some(source) = &self.source {
            write!(f, " ({source})")?;
        }
        write!(f, ": {} [{}]", self.message, self.code)
    }
}

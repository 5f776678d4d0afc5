//! The states whose taking over is the toolchain's work: which file has the author's steps (`LP_STATE`) for which
//! `[[state]]` of the description.
//!
//! The module calls them in the callbacks of vmlinux. A module's file can have none: while a patch is there and its
//! module comes, no transition runs, and the kernel then tells nobody who had the state before (`klp_get_prev_state`,
//! `kernel/livepatch/state.c` 6.1). The tempting wrong way is to apply the change anew there, which would take the
//! changed value for the original one.

use crate::options::Identity;
use crate::patch::judged::Judged;
use crate::report::{KeptStateReport, RefusalReport};
use lp_diff::report::StateCode;
use lp_klp::manifest::{self, KeptState};
use lp_klp::name::ObjName;
use std::collections::BTreeMap;

/// The callbacks that the module's tables name where it keeps states.
pub const CALLBACKS: [&str; 4] = [
    "state_pre_patch",
    "state_post_patch",
    "state_pre_unpatch",
    "state_post_unpatch",
];

/// The author's steps for a state, and where they come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// What they are.
    pub code: StateCode,
    /// Their file.
    pub source: String,
}

/// The states with steps, by id.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct States(BTreeMap<u64, Found>);

impl States {
    /// Gathers those of all units, and what cannot be.
    pub fn gather<'j>(
        judged: impl IntoIterator<Item = &'j Judged>,
        identity: &Identity,
    ) -> (Self, Vec<RefusalReport>) {
        let (mut all, mut refusals) = (Self::default(), Vec::new());
        for unit in judged {
            for code in &unit.report.states {
                let found = Found {
                    code: code.clone(),
                    source: unit.source.clone(),
                };
                refusals.extend(all.add(&unit.object, found, identity));
            }
        }
        (all, refusals)
    }

    /// Adds the steps for one state of a file of `object`; a refusal where they cannot be.
    pub fn add(
        &mut self,
        object: &ObjName,
        found: Found,
        identity: &Identity,
    ) -> Option<RefusalReport> {
        let id = found.code.id;
        let why = if !object.is_vmlinux() {
            format!(
                "the file belongs to {object}, and LP_STATE is for files of the kernel: state {id} may be somebody else's already when the module comes later. Put it into a file of the kernel, or use the callbacks of {object}"
            )
        } else if !identity.states.iter().any(|state| state.id == id) {
            format!(
                "the description has no [[state]] with id = {id}: declare it in livepatch.toml, with its version"
            )
        } else if let Some(first) = self.0.get(&id) {
            format!(
                "state {id} has its LP_STATE in {} already ({}): a state is kept by one",
                first.source, first.code.name
            )
        } else {
            self.0.insert(id, found);
            return None;
        };
        Some(RefusalReport {
            code: "state".to_owned(),
            place: format!("{}: {}", found.source, found.code.name),
            message: why,
            source: None,
        })
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The symbol of a state's steps.
    pub fn ops(&self, id: u64) -> Option<String> {
        self.0.get(&id).map(|found| found.code.alias.clone())
    }

    /// As the manifest holds them.
    pub fn manifest(&self) -> Vec<KeptState> {
        let kept = |found: &Found| KeptState {
            id: found.code.id,
            size: found.code.size,
            upgrades: found.code.upgrades,
        };
        self.0.values().map(kept).collect()
    }

    /// As the report shows them.
    pub fn report(&self) -> Vec<KeptStateReport> {
        let kept = |found: &Found| KeptStateReport {
            id: found.code.id,
            name: found.code.name.clone(),
            source: found.source.clone(),
            size: found.code.size,
        };
        self.0.values().map(kept).collect()
    }

    /// The callbacks of vmlinux as the tables have them: ours, where there are states to keep, which call the author's.
    pub fn callbacks(&self, theirs: manifest::Callbacks) -> manifest::Callbacks {
        if self.is_empty() {
            return theirs;
        }
        let [pre_patch, post_patch, pre_unpatch, post_unpatch] =
            CALLBACKS.map(|name| Some(name.to_owned()));
        manifest::Callbacks {
            pre_patch,
            post_patch,
            pre_unpatch,
            post_unpatch,
        }
    }
}

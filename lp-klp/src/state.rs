//! System states: what a patch changes beyond code, and which patch may be installed over which.
//!
//! The rule is `klp_is_patch_compatible` of `kernel/livepatch/state.c` (6.1). Two tempting wrong ways: to compare
//! with the newest installed patch only (the kernel asks every one), and to refuse a state that no one had before
//! (always allowed).

use crate::core::Installed;
use crate::core::KlpPatch;
use crate::patch::PatchId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// One state that a patch changes (`struct klp_state`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KlpState {
    /// What is changed; never 0 (`unsigned long` in the kernel).
    pub id: u64,
    /// How; a later patch must know at least this version (`unsigned int` in the kernel).
    pub version: u32,
    /// What people call it; the kernel does not know.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
}

impl fmt::Display for KlpState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name.as_str() {
            "" => write!(f, "state {} version {}", self.id, self.version),
            name => write!(f, "state {} ({name}) version {}", self.id, self.version),
        }
    }
}

/// A state of an installed patch that a new patch cannot deal with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Incompatible {
    /// The installed patch.
    pub installed: String,
    /// Its state.
    pub state: KlpState,
    /// The version the new patch knows, none if it does not know the state at all.
    pub known: Option<u32>,
}

impl fmt::Display for Incompatible {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "installed patch '{}' has {}, ",
            self.installed, self.state
        )?;
        match self.known {
            Some(version) => write!(f, "the new patch knows only version {version}"),
            None => f.write_str("which the new patch replaces without knowing that state"),
        }
    }
}

/// The patch's state of this id (`klp_get_state`).
pub fn get_state(patch: &KlpPatch, id: u64) -> Option<&KlpState> {
    patch.states.iter().find(|state| state.id == id)
}

/// The newest state of this id among the patches installed before the one in transition
/// (`klp_get_prev_state`). `installed` is ordered from the oldest to the newest.
pub fn get_prev_state(installed: &[KlpPatch], id: u64) -> Option<&KlpState> {
    installed
        .iter()
        .rev()
        .find_map(|patch| get_state(patch, id))
}

/// Whether `patch` can deal with a state that an installed patch left (`klp_is_state_compatible`).
pub fn is_state_compatible(patch: &KlpPatch, old: &KlpState) -> bool {
    match get_state(patch, old.id) {
        Some(state) => state.version >= old.version,
        None => !patch.replace,
    }
}

/// Every state of the installed patches that stops `patch` from being enabled; none means compatible
/// (`klp_is_patch_compatible`; the kernel answers -EINVAL).
pub fn incompatibilities<'p>(
    patch: &KlpPatch,
    installed: impl IntoIterator<Item = &'p KlpPatch>,
) -> Vec<Incompatible> {
    let states = installed
        .into_iter()
        .flat_map(|old| old.states.iter().map(move |state| (old, state)));
    states
        .filter(|(_, state)| !is_state_compatible(patch, state))
        .map(|(old, state)| Incompatible {
            installed: old.name.clone(),
            state: state.clone(),
            known: get_state(patch, state.id).map(|ours| ours.version),
        })
        .collect()
}

/// What callbacks keep with the states of one patch (`klp_state.data`, an address in the kernel), by state id.
pub type StateData = BTreeMap<u64, u64>;

/// The states as a callback sees them: those of its own patch, and those of the patches before the one in transition.
///
/// The tempting wrong way is to take the patches before the callback's own. A module that comes while another patch is in
/// transition runs callbacks of patches below it, and one that comes at any other time finds no previous state at all.
#[derive(Debug)]
pub struct States<'p> {
    patches: Vec<(&'p KlpPatch, &'p mut StateData)>,
    /// Where the callback's own patch is among these.
    own: Option<usize>,
    /// How many are before the one in transition; none where there is no transition (`klp_transition_patch`).
    previous: usize,
}

impl<'p> States<'p> {
    /// The view of the patch with this number; `patches` from the oldest to the newest.
    pub(crate) fn new<S>(
        patches: &'p mut [Installed<S>],
        id: PatchId,
        transition: Option<PatchId>,
    ) -> Self {
        let place = |id: PatchId| patches.iter().position(|installed| installed.id == id);
        Self {
            own: place(id),
            previous: transition.and_then(place).unwrap_or(0),
            patches: patches
                .iter_mut()
                .map(|installed| (&installed.patch, &mut installed.data))
                .collect(),
        }
    }

    /// The callback's own state of this id and what is kept with it (`klp_get_state`).
    pub fn get_state(&self, id: u64) -> Option<(&KlpState, Option<u64>)> {
        let (patch, data) = self.patches.get(self.own?)?;
        Some((get_state(patch, id)?, data.get(&id).copied()))
    }

    /// The newest state of this id among the patches before the one in transition, and what is kept with it
    /// (`klp_get_prev_state`, which warns in the kernel's log where there is no transition).
    pub fn get_prev_state(&self, id: u64) -> Option<(&KlpState, Option<u64>)> {
        let mut newest_first = self.patches.iter().take(self.previous).rev();
        newest_first.find_map(|(patch, data)| Some((get_state(patch, id)?, data.get(&id).copied())))
    }

    /// Keeps something with the callback's own state of this id; without such a state there is nowhere to.
    pub fn set_data(&mut self, id: u64, value: u64) {
        let own = self.own.and_then(|own| self.patches.get_mut(own));
        if let Some((patch, data)) = own
            && get_state(patch, id).is_some()
        {
            data.insert(id, value);
        }
    }
}

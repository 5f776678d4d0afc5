//! What a control area's record says, as JSON.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

use lp_klp::manifest::Manifest;
use lp_klp::name::ObjName;

use super::objects::{KeptFile, ObjectRecord};
use super::watching::Watching;
use crate::process::kept::area::Area;
use crate::process::touch::jump::{JUMP_SIZE, TextChange};

/// What is installed in a process, and what was being done to it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contents {
    /// The patches, in the order in which they were installed.
    #[serde(default)]
    pub patches: Vec<InstalledPatch>,
    /// What a loader has begun and not ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub journal: Option<Journal>,
    /// Who patches objects before they run, and what that takes in the process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watch: Option<Watching>,
    /// Memory of patches that are out of use.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stays: Vec<Stays>,
    /// The transition that is under way: some threads run old, some new code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transition: Option<Transition>,
    /// How many patches have ever been installed: a number is not used twice.
    #[serde(default)]
    pub next_patch: u64,
}

/// A patch in a process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstalledPatch {
    /// Its number in this process.
    pub id: u64,
    /// Its name.
    pub name: String,
    /// Its manifest: the JSON of `lp_klp::manifest::Manifest`.
    pub manifest: String,
    /// Whether its functions are in use; a patch that was replaced stays mapped until no one can be inside.
    pub enabled: bool,
    /// What was mapped for it.
    pub areas: Vec<AreaRecord>,
    /// The functions that it redirects.
    pub sites: Vec<SiteRecord>,
    /// What the compiler moved away from its functions: their numbers, addresses and bytes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fragments: Vec<(u32, u64, u64)>,
    /// Its callbacks by object and kind, and their addresses.
    #[serde(default)]
    pub callbacks: Vec<(String, String, u64)>,
    /// Where its callbacks are called from, if it has any: the stub's address and the end of the stack.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call: Option<(u64, u64)>,
    /// Its unwind tables: addresses and bytes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unwind: Vec<(u64, u64)>,
    /// What its callbacks keep with its states (`lp_state.data`), by state id.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub data: BTreeMap<u64, u64>,
    /// Its objects that are there, and those that were.
    #[serde(default)]
    pub objects: Vec<ObjectRecord>,
    /// Those that were there when it was installed: what several of its objects use is with one of them.
    #[serde(default)]
    pub at_first: Vec<ObjName>,
    /// Its file, where an object may come later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<KeptFile>,
    /// Whether its memory must stay for ever: a transition away from it was forced, and some thread may be inside.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub forced: bool,
}

/// What a patch that was taken out had to leave in memory: something suspended may come back to its code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stays {
    /// The patch's name; another of this name may be installed.
    pub patch: String,
    /// What was mapped for it.
    pub areas: Vec<AreaRecord>,
    /// Its unwind tables: addresses and bytes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unwind: Vec<(u64, u64)>,
}

/// Memory that was mapped in the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AreaRecord {
    /// Where.
    pub address: u64,
    /// Bytes, whole pages.
    pub size: u64,
    /// What for.
    pub protection: Area,
}

impl AreaRecord {
    /// Its addresses.
    pub fn range(&self) -> std::ops::Range<u64> {
        self.address..self.address.saturating_add(self.size)
    }
}

/// A function that a patch redirects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SiteRecord {
    /// Its number among the functions of the manifest, counted over all objects.
    pub number: u32,
    /// Where the jump is.
    pub address: u64,
    /// The bytes that the program came with there.
    pub original: [u8; JUMP_SIZE],
    /// The new code, and its size.
    pub new_address: u64,
    /// Bytes of it.
    pub new_size: u64,
    /// The old code.
    pub old_address: u64,
    /// Bytes of it.
    pub old_size: u64,
}

/// Which way a patch goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// It is being installed. Left half done, it is undone.
    Load,
    /// It is being taken out. Left half done, that is finished.
    Unload,
    /// An object has come and is being patched. Left half done, it is undone.
    Coming,
    /// An object has gone, and what was in memory for it goes. Left half done, that is finished.
    Going,
    /// Its threads begin to switch one by one, or have ended. Left half done, what was put in for that is taken out; the patch stays
    /// as it is.
    Transition,
}

/// A transition in which each thread switches by itself. All entries that change have trampolines, and each thread has a cell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transition {
    /// The patch's name.
    pub patch: String,
    /// How it began.
    pub began: Direction,
    /// Where threads go: whether to the patch.
    pub patched: bool,
    /// The cell of threads on the old side; that of those on the new one is the byte behind it.
    pub cells: u64,
    /// The entries.
    pub sites: Vec<TransitionSite>,
    /// The memory of the trampolines.
    pub areas: Vec<AreaRecord>,
    /// All threads have switched: only the trampolines are left.
    #[serde(default)]
    pub ended: bool,
    /// It was forced.
    #[serde(default)]
    pub forced: bool,
}

/// An entry in a transition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransitionSite {
    /// The address of the jump.
    pub address: u64,
    /// What is there when it has ended without the patch, and with it.
    pub text: [[u8; JUMP_SIZE]; 2],
    /// The jump to the trampoline.
    pub planted: [u8; JUMP_SIZE],
    /// Where the trampoline's test ends.
    pub head: u64,
    /// Places behind that, and the same ones in the function.
    pub places: Vec<(u64, u64)>,
    /// The code that the program came with, with its fragments: addresses and bytes.
    pub code: Vec<(u64, u64)>,
}

/// What a loader has begun: written before it is done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Journal {
    /// The patch's name.
    pub patch: String,
    /// Which way it goes.
    pub direction: Direction,
    /// What is mapped for it.
    #[serde(default)]
    pub areas: Vec<AreaRecord>,
    /// What is being mapped or unmapped, or is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mapping: Vec<AreaRecord>,
    /// The text that is being changed.
    #[serde(default)]
    pub changes: Vec<TextChange>,
    /// The cells that threads may have been given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cells: Option<u64>,
}

impl Contents {
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        // Numbers, strings and lists: there is nothing that JSON could not hold.
        serde_json::to_vec(self).unwrap_or_default()
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }

    /// Nobody watches any more: the journal has what that took.
    pub fn unwatch(&mut self) {
        if let (Some(watching), Some(journal)) = (self.watch.take(), &mut self.journal) {
            journal.areas.extend([watching.text, watching.words]);
            journal.changes.clear();
        }
    }

    /// The patches that are in use, from the oldest to the newest.
    pub fn enabled(&self) -> impl Iterator<Item = &InstalledPatch> {
        self.patches.iter().filter(|patch| patch.enabled)
    }

    /// An installed patch.
    pub fn patch(&self, name: &str) -> Option<&InstalledPatch> {
        self.patches.iter().find(|it| it.name == name)
    }
}

impl InstalledPatch {
    /// What its author wrote; none where that cannot be read.
    pub fn described(&self) -> Option<Manifest> {
        Manifest::from_json(self.manifest.as_bytes()).ok()
    }

    /// The record of an object that is patched.
    pub fn patched(&self, object: &ObjName) -> Option<&ObjectRecord> {
        let mut objects = self.objects.iter();
        objects.find(|it| it.is_patched() && it.name == *object)
    }
}

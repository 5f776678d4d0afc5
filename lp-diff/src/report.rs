//! What a diff found, for people and for machines.

use crate::explain::layout::LayoutChange;
use crate::explain::warnings::Warning;
use crate::explain::why::DiffPlace;
use crate::refusal::Refusal;
use lp_klp::name::ObjName;
use lp_klp::target;
use serde::{Deserialize, Serialize};

/// The outcome in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Functions differ, or there is something new that other objects can use, and an object with it can be written.
    Written,
    /// Something differs that cannot be patched.
    Refused,
    /// Nothing that a patch could hold differs.
    Same,
}

/// Changed or new.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It replaces one of the target's.
    Changed,
    /// The target does not have it.
    New,
}

/// A function in the output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Function {
    /// Name in the target, suffixes included; of a new one, in the patched object.
    pub name: String,
    /// Changed or new.
    pub status: Status,
    /// For a changed one: its position among the target's symbols of that name, 0 when unique.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sympos: Option<u32>,
    /// What differs, or what needs it.
    pub why: String,
    /// For a changed one: at how many places its instructions truly differ.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub differences: usize,
    /// The first of these places.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub places: Vec<DiffPlace>,
    /// Global symbol of a changed function's new version in the output.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alias: Option<String>,
    /// Index of a changed function's symbol in the original object.
    #[serde(skip)]
    pub orig_symbol: Option<usize>,
}

fn is_zero(count: &usize) -> bool {
    *count == 0
}

/// A datum in the output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Datum {
    /// Its name.
    pub name: String,
    /// Its section.
    pub section: String,
    /// Bytes.
    pub size: u64,
    /// Whether its value is lost when a later patch replaces this one.
    pub writable: bool,
}

/// A function that the livepatch core calls around the patching of the object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Callback {
    /// When it is called.
    pub kind: target::Callback,
    /// Its name.
    pub function: String,
    /// Global symbol of it in the output.
    pub alias: String,
}

/// The code that keeps a system state: `struct lp_state_ops` of `templates/livepatch.h`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateCode {
    /// The state's id.
    pub id: u64,
    /// The name of the struct.
    pub name: String,
    /// Global symbol of it in the output.
    pub alias: String,
    /// Bytes of the data that the state keeps.
    pub size: u64,
    /// Whether it can take over the data of an older version.
    pub upgrades: bool,
}

/// Everything that a diff found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The outcome.
    pub verdict: Verdict,
    /// Changed and new functions, in the order of the patched object.
    pub functions: Vec<Function>,
    /// New data.
    pub data: Vec<Datum>,
    /// The callbacks of the object, one of a kind at most, in the order of a patch's life.
    pub callbacks: Vec<Callback>,
    /// The states that the file has the code for, by id.
    pub states: Vec<StateCode>,
    /// The ids of the shadow variables that the patched source declares.
    pub shadow_ids: Vec<u64>,
    /// Types that the patch can reach and whose layout differs; each is refused unless the author allows it.
    pub layout: Vec<LayoutChange>,
    /// What cannot be done.
    pub refusals: Vec<Refusal>,
    /// What is patched as asked, and is often a mistake.
    pub warnings: Vec<Warning>,
    /// What the author should know.
    pub notes: Vec<String>,
    /// Symbols that neither the target nor this object has: another object of the same patch must define them.
    pub undefined: Vec<String>,
    /// Symbol namespaces that the output imports.
    pub namespaces: Vec<String>,
    /// Objects whose symbols the livepatch core must find: each must be an object of the patch, if with no function,
    /// for the core to do so.
    pub objects: Vec<ObjName>,
    /// Functions of the original whose code is merged into or compared for a changed one, by ELF symbol index.
    #[serde(skip)]
    pub touched: Vec<usize>,
}

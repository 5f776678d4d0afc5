//! What a control area says of a patch's objects: which one it was that was patched, and what is in memory for it.
//!
//! An object is known again by its build-id and its load address together, never by the address alone: what lies there now may
//! be another one.

use serde::{Deserialize, Serialize};

use lp_klp::name::ObjName;

/// An object of a patch that is, or was, in the process. One that never came has no record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectRecord {
    /// Its name.
    pub name: ObjName,
    /// Its build-id, hexadecimal.
    pub build_id: String,
    /// What was added to its file's addresses.
    pub bias: u64,
    /// What became of it.
    pub state: ObjectState,
    /// Where the patch's part for it begins, if it has memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<u64>,
    /// The areas of the patch that are this part, by their addresses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub areas: Vec<u64>,
    /// Whether other parts of the patch refer to this one: then it stays when the object goes.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub shared: bool,
    /// Its callbacks that refer to the object itself: they cannot run once it has gone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needing: Vec<String>,
}

/// What became of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ObjectState {
    /// It is patched.
    Patched,
    /// It has gone, and what was in memory for it is still there.
    Gone,
    /// A pre_patch said no; this very one is not asked again.
    Refused,
}

/// A patch's file, kept in the process for objects that come later.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptFile {
    /// Where.
    pub address: u64,
    /// Bytes.
    pub size: u64,
    /// SHA-256 of them, hexadecimal.
    pub sha256: String,
}

impl ObjectRecord {
    /// Whether it is about an object that is patched.
    pub fn is_patched(&self) -> bool {
        self.state == ObjectState::Patched
    }
}

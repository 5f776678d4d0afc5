//! What is installed on a machine, as one line of JSON: written by `lp-ctl inventory`, read by `lp-verify`.
//!
//! The host comes first in the line, so that a reader of a million lines can tell equal machines by the bytes after it,
//! see [`split_host`]. Missing fields that were there from the first format on are errors; a newer tool may add fields.

use crate::core::KlpFunc;
use crate::manifest::{Manifest, Target};
use crate::name::ObjName;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The format of the inventories that this version writes, and the newest that it reads.
pub const FORMAT: u32 = 1;

/// One machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inventory {
    /// What the machine is called.
    pub host: String,
    /// The inventory's own format, [`FORMAT`].
    pub format: u32,
    /// The kernel that runs.
    pub kernel: Target,
    /// Whether it takes signed modules only (`/sys/module/module/parameters/sig_enforce`, or lockdown); none where
    /// that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signatures: Option<bool>,
    /// Functions with a kprobe, from `/sys/kernel/debug/kprobes/list`; none where that cannot be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kprobes: Option<Vec<String>>,
    /// The installed patches; from the oldest to the newest where the kernel tells the order.
    pub patches: Vec<InstalledPatch>,
}

/// An installed patch, as `/sys/kernel/livepatch` and its note show it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstalledPatch {
    /// The module's name.
    pub name: String,
    /// Whether tasks run it or are on their way to.
    pub enabled: bool,
    /// Whether some tasks have not switched yet.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub transition: bool,
    /// Whether it replaced what was there; none where the kernel does not say (before 6.11).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replace: Option<bool>,
    /// What it patches.
    pub objects: Vec<InstalledObject>,
    /// What it says of itself, if lp-build made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifest: Option<Manifest>,
}

/// An object of an installed patch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstalledObject {
    /// `vmlinux` or a module.
    pub name: ObjName,
    /// Its functions; a position of 0 is shown as 1.
    pub functions: Vec<KlpFunc>,
}

/// Why a line is not an inventory.
#[derive(Debug, Error)]
pub enum InventoryError {
    /// It is not the JSON that an inventory is.
    #[error("not an inventory: {0}")]
    Json(#[from] serde_json::Error),
    /// It is from a later time.
    #[error("the inventory has format {0}, this tool knows up to {FORMAT}: use a newer one")]
    Format(u32),
}

impl Inventory {
    /// The inventory as one line, without its end.
    ///
    /// # Errors
    /// None that can be met.
    pub fn to_line(&self) -> Result<String, InventoryError> {
        Ok(serde_json::to_string(self)?)
    }

    /// Reads a line.
    ///
    /// # Errors
    /// Where it is no JSON, lacks a field, or is of a later format.
    pub fn from_line(line: &[u8]) -> Result<Self, InventoryError> {
        let inventory: Self = serde_json::from_slice(line)?;
        if inventory.format == 0 || inventory.format > FORMAT {
            return Err(InventoryError::Format(inventory.format));
        }
        Ok(inventory)
    }
}

/// A line in two: the host's name, and what equal machines have in common. None where the host does not come first or
/// is not spelt plainly; such a line must be read in full.
pub fn split_host(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let rest = line.strip_prefix(b"{\"host\":\"")?;
    let end = rest.iter().position(|byte| matches!(byte, b'"' | b'\\'))?;
    let common = rest[end..].strip_prefix(b"\",")?;
    Some((&rest[..end], common))
}

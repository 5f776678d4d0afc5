//! What is installed on a machine, as one line of JSON: written by `lp-ctl inventory`, read by `lp-verify`.
//!
//! The host comes first in the line, so that a reader of a million lines can soon tell equal machines by the other bytes,
//! see [`cut_host`]. Missing fields that were there from the first format on are errors; a newer tool may add fields.

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
    /// The kernel that runs; of a process only the kind and the architecture count.
    pub kernel: Target,
    /// The process, where the inventory is of one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process: Option<Process>,
    /// Whether it takes signed modules only (`/sys/module/module/parameters/sig_enforce`, or lockdown); none where
    /// that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signatures: Option<bool>,
    /// The loaded modules that are not from the kernel's own tree (`O` in `/sys/module/NAME/taint`): of the others the kernel's
    /// build-id tells enough.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub modules: Vec<PresentObject>,
    /// Functions with a kprobe, from `/sys/kernel/debug/kprobes/list`; none where that cannot be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kprobes: Option<Vec<String>>,
    /// The installed patches; from the oldest to the newest where the kernel tells the order.
    pub patches: Vec<InstalledPatch>,
}

/// A process that can be patched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Its number.
    pub pid: i32,
    /// The path of what it runs, as the process sees it.
    pub program: String,
    /// Its executable and libraries.
    pub objects: Vec<PresentObject>,
}

/// A module that is loaded, or an executable or a library that a process has mapped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PresentObject {
    /// What patches call it.
    pub name: ObjName,
    /// Its build-id, hexadecimal; empty where it has none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub build_id: String,
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

/// A line without its host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut<'l> {
    /// The host, without quotes.
    pub host: &'l [u8],
    /// What is before it in the line.
    pub before: &'l [u8],
    /// What is after it.
    pub after: &'l [u8],
}

/// Cuts the host out of a line, so that equal machines can be told by the rest. None where it is not among the members
/// of the outermost object or is not spelt plainly; such a line must be read in full.
///
/// Nothing else is checked: if one line is an inventory, so are all that are equal to it before and after the host.
pub fn cut_host(line: &[u8]) -> Option<Cut<'_>> {
    let (mut at, mut depth) = (0, 0u32);
    // A string at depth 1 that a colon follows is a member's name.
    while let Some(byte) = line.get(at) {
        at += 1;
        match byte {
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.checked_sub(1)?,
            b'"' => {
                let name = string(line, at)?;
                at += name.len() + 1;
                if depth == 1 && name == b"host" && follows(line, &mut at, b':') {
                    follows(line, &mut at, b'"').then_some(())?;
                    let host = string(line, at)?;
                    let plain = host
                        .iter()
                        .all(|byte| matches!(byte, b' '..=b'~') && *byte != b'\\');
                    return plain.then_some(Cut {
                        host,
                        before: &line[..at],
                        after: &line[at + host.len()..],
                    });
                }
            }
            _ => {}
        }
    }
    None
}

/// A string's bytes; it begins after its quote.
fn string(line: &[u8], start: usize) -> Option<&[u8]> {
    let mut escaped = false;
    let end = line.get(start..)?.iter().position(|byte| {
        let ends = *byte == b'"' && !escaped;
        escaped = *byte == b'\\' && !escaped;
        ends
    })?;
    line.get(start..start + end)
}

/// Whether a byte comes next, spaces aside; `at` is then after it.
fn follows(line: &[u8], at: &mut usize, byte: u8) -> bool {
    let spaces = line[*at..]
        .iter()
        .take_while(|byte| byte.is_ascii_whitespace());
    let next = *at + spaces.count();
    let found = line.get(next) == Some(&byte);
    if found {
        *at = next + 1;
    }
    found
}

//! What is installed: given as modules, as an inventory, or read from this machine.

use crate::patch::Patch;
use lp_klp::inventory::{Inventory, InventoryError, PresentObject};

/// The patches of one machine and what is known of it.
#[derive(Debug, Clone, Default)]
pub struct Installed {
    /// From the oldest to the newest, where the order is known.
    pub patches: Vec<Patch>,
    /// The machine, unless the patches were given as files.
    pub machine: Option<Machine>,
}

/// A running kernel, or a process.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Machine {
    /// `uname -r`.
    pub release: String,
    /// `uname -m`.
    pub arch: String,
    /// Build-id of its vmlinux; empty where it is not known.
    pub build_id: String,
    /// The loaded modules that are not from the kernel's own tree.
    pub modules: Vec<PresentObject>,
    /// Whether it takes signed modules only.
    pub signatures: Option<bool>,
    /// Functions with a kprobe at their entry.
    pub kprobes: Option<Vec<String>>,
    /// The executable and libraries, where it is a process.
    pub process: Option<Vec<PresentObject>>,
}

impl Installed {
    /// Patches given as files, from the oldest to the newest.
    pub fn of_patches(patches: Vec<Patch>) -> Self {
        Self {
            patches,
            machine: None,
        }
    }

    /// A machine's inventory.
    pub fn of_inventory(inventory: &Inventory) -> Self {
        let kernel = &inventory.kernel;
        let patches = inventory.patches.iter();
        Self {
            patches: patches
                .map(|patch| Patch::of_installed(patch, &kernel.release, &inventory.host))
                .collect(),
            machine: Some(Machine {
                release: kernel.release.clone(),
                arch: kernel.arch.clone(),
                build_id: kernel.build_id.clone(),
                modules: inventory.modules.clone(),
                signatures: inventory.signatures,
                kprobes: inventory.kprobes.clone(),
                process: inventory.process.as_ref().map(|it| it.objects.clone()),
            }),
        }
    }

    /// A line of an inventory file.
    ///
    /// # Errors
    /// Where it is no inventory.
    pub fn of_line(line: &[u8]) -> Result<Self, InventoryError> {
        Ok(Self::of_inventory(&Inventory::from_line(line)?))
    }
}

//! What is different where the objects are of a program or library that runs as a process, and not of the kernel.
//!
//! Any function can be redirected, by a jump at its entry; the dynamic linker finds what the kernel's exports were;
//! unwinding goes by `.eh_frame` ([`unwind`]), thread-local data exists, and constructors ([`start`]) have run already.
//! The tempting wrong way is a second differ: all but these questions has the same answer.

pub mod interposed;
pub mod start;
pub mod unwind;

use crate::bundle::{BundleId, Kind};
use crate::object::Section;
use crate::reference::View;
use object::elf;
use std::collections::BTreeSet;

/// What the objects are part of.
#[derive(Debug, Clone, Default)]
pub enum Flavour {
    /// The kernel image or a module.
    #[default]
    Kernel,
    /// A program or library.
    Process {
        /// Names that it defines and that the dynamic linker resolves all the same, see [`interposed`].
        interposed: BTreeSet<String>,
    },
}

impl Flavour {
    /// Whether it is a process.
    pub fn is_process(&self) -> bool {
        matches!(self, Self::Process { .. })
    }

    /// What runs, for people.
    pub fn noun(&self) -> &'static str {
        match self {
            Self::Kernel => "kernel",
            Self::Process { .. } => "program",
        }
    }
}

/// Whether each thread has data of this section for itself.
pub fn is_thread_local(section: Section<'_>) -> bool {
    section.flags & elf::SHF_TLS.0 != 0
}

/// Whether a bundle is a function that chooses an implementation as the program is linked (`STT_GNU_IFUNC`).
pub(crate) fn is_chooser(view: &View<'_>, id: BundleId) -> bool {
    let bundle = view.bundles.get(id);
    let kind = bundle.owner.map(|owner| view.object.symbol(owner).kind);
    bundle.kind == Kind::Function && kind == Some(elf::STT_GNU_IFUNC.0)
}

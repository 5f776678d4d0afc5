//! What an accepted patch is promised to be.
//!
//! The promises are about the bytes of finished modules, and are checked by code that shares nothing with what
//! built them: an error there must not be repeated here. The tempting wrong way is to ask lp-diff's report.
//!
//! For a new module N and the installed modules I, from the oldest to the newest, acceptance means:
//!
//! 1. **identity**: N's manifest describes a patch that the kernel's tables can hold, N's `.modinfo` has the
//!    manifest's name and `livepatch=Y`, and no module of I has that name.
//! 2. **release**: N's `vermagic` is for the release in its manifest, and every module of I is for that release.
//! 3. **states**: for each state of each module of I, N knows that state in at least its version, or does not know
//!    it and does not replace (`klp_is_patch_compatible`, `kernel/livepatch/state.c`, 6.1).
//! 4. **relocations**: the livepatch core can parse every livepatch section and symbol of N, each relocation in
//!    such a section is against a livepatch symbol, and no section of a module refers to vmlinux
//!    (`klp_resolve_symbols`, `kernel/livepatch/core.c`, 6.1).
//!
//! 5. **tables**: N's manifest says what the livepatch core will read out of N: `replace`, states, functions,
//!    callbacks. A module without manifest is taken for what its tables say; what its code sets only when it is
//!    loaded is not known, and N is refused where the answer hangs on it.
//! 6. **transition**: no patch of I is in transition (`__klp_enable_patch`, 6.1).
//! 7. **machine**, where the machine is known: N is for its release, architecture and build-id, and signed if it must be.
//! 8. **functions**, where the vmlinux or the folder of modules is given: every function of theirs that N redirects
//!    exists, is the one meant by its position, is traceable, and has the code that N's manifest gives; every livepatch
//!    symbol of theirs resolves.
//! 9. **symbols**, where the vmlinux is given: its `vermagic` is N's, and it (or a module that N depends on, where the
//!    folder of modules is given) exports to N what N takes, in the version that N was built with.
//!
//! Two more say what follows from a yes, as warnings: **callbacks** (of replaced patches, which do not run) and
//! **overlap** (functions that go back to the original, that two patches redirect, or that are probed).
//!
//! Not promised: anything about what the new code does.

use serde::Serialize;
use std::fmt;

/// One of the promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Promise {
    /// The module is the patch that it says it is, and there is no other of its name.
    Identity,
    /// All are for one kernel.
    Release,
    /// The new patch can deal with what the installed ones changed.
    States,
    /// The livepatch core can resolve what the module leaves to it.
    Relocations,
    /// The manifest says what the tables say.
    Tables,
    /// No other transition is under way.
    Transition,
    /// It is for the machine.
    Machine,
    /// The kernel exports what the module takes, in its version.
    Symbols,
    /// The kernel has the functions that it is about.
    Functions,
    /// What replaced patches leave undone.
    Callbacks,
    /// Functions that more than one party cares for.
    Overlap,
}

impl fmt::Display for Promise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Identity => "identity",
            Self::Release => "release",
            Self::States => "states",
            Self::Relocations => "relocations",
            Self::Tables => "tables",
            Self::Transition => "transition",
            Self::Machine => "machine",
            Self::Symbols => "symbols",
            Self::Functions => "functions",
            Self::Callbacks => "callbacks",
            Self::Overlap => "overlap",
        })
    }
}

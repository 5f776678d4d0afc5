//! Why a patch cannot go into a process, and what the operator should know where it can.

use crate::process::prepare::entry::EntryRefusal;
use crate::process::prepare::layout::LayoutError;
use crate::process::prepare::place::NoPlace;
use crate::process::prepare::relocate::RelocateError;
use crate::process::prepare::resolve::ResolveError;
use crate::process::read::elf::ElfError;
use crate::process::read::images::ImagesError;
use crate::process::read::symbols::SymbolError;
use lp_klp::name::ObjName;
use std::fmt;
use thiserror::Error;

/// Why a patch cannot go into a process.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The object is another build.
    #[error(
        "{object}: the process runs build {}, the patch is for {}: take the patch for the build that runs, or build one",
        shown(found),
        shown(wanted)
    )]
    BuildId {
        /// The object.
        object: ObjName,
        /// What the patch says; empty where it says nothing.
        wanted: String,
        /// What is in memory; empty where there is none.
        found: String,
    },
    /// The patch names an object twice.
    #[error("{object}: the patch's note has it twice: it is forged or damaged")]
    ObjectTwice {
        /// The object.
        object: ObjName,
    },
    /// It is not there.
    #[error("{object}: the process has not loaded it, or the patch is not for it")]
    NotLoaded {
        /// The object.
        object: ObjName,
    },
    /// What stays would refer to what may go.
    #[error(
        "{object}: its new code refers to '{symbol}' of {other}, which the program may unload (dlclose): make a patch that reaches \
         it by an exported function, or one for a program that is linked with {other}"
    )]
    MayGo {
        /// The object.
        object: ObjName,
        /// The symbol.
        symbol: String,
        /// The object that has it.
        other: ObjName,
    },
    /// What others use of the part of an object that has gone is in memory still.
    #[error(
        "{object}: it has gone and come again, and what other objects of the patch use of its part is where it was: unload the \
         patch and load it again"
    )]
    PartStays {
        /// The object.
        object: ObjName,
    },
    /// The dynamic linker may be writing into its code just now.
    #[error(
        "{object}: its code has relocations (DT_TEXTREL), which may not be done yet: load the patch when the object is loaded"
    )]
    TextRelocations {
        /// The object.
        object: ObjName,
    },
    /// It is C++, or catches what C++ throws.
    #[error(
        "{object}: its code throws or catches C++ exceptions, and one that comes to patched code would end the program, since \
         what looks for its handler does not know the patch: patch the program's libraries that are C alone, or restart it"
    )]
    Exceptions {
        /// The object.
        object: ObjName,
    },
    /// The main thread's stack has no end.
    #[error(
        "{object}: its code that calls main has no unwind information (musl is built without), so what is on the main thread's \
         stack can never be known: build the C library with -fasynchronous-unwind-tables, or restart the program"
    )]
    NoEnd {
        /// The object that calls `main`.
        object: String,
    },
    /// Objects cannot be told apart.
    #[error(transparent)]
    Images(#[from] ImagesError),
    /// The patch itself is no good.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// There is no room in reach.
    #[error(transparent)]
    Place(#[from] NoPlace),
    /// A symbol that the patch refers to.
    #[error("the patch refers to '{symbol}': {error}")]
    Symbol {
        /// The symbol.
        symbol: String,
        /// Why not.
        error: ResolveError,
    },
    /// A relocation.
    #[error(transparent)]
    Relocate(#[from] RelocateError),
    /// A function that is replaced is not there.
    #[error(transparent)]
    Function(#[from] SymbolError),
    /// A function's entry.
    #[error("{object}: the function '{name}' cannot be replaced: {reason}")]
    Entry {
        /// The object.
        object: ObjName,
        /// The function.
        name: String,
        /// Why not.
        reason: EntryRefusal,
    },
    /// Two functions of the patch replace the same code.
    #[error(
        "{object}: '{first}' and '{second}' are two names of one function, and the patch replaces both"
    )]
    SameEntry {
        /// The object.
        object: ObjName,
        /// One function.
        first: String,
        /// The other.
        second: String,
    },
    /// An object's code cannot be read.
    #[error("{object}: its code cannot be read: {error}")]
    Code {
        /// The object.
        object: ObjName,
        /// Why.
        error: ElfError,
    },
}

/// What the operator should know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Warning {
    /// An object of the patch is not there.
    Waiting {
        /// The object.
        object: ObjName,
    },
    /// The same code has other names: the linker folded equal functions, or they are aliases. All are redirected.
    Aliases {
        /// The object.
        object: ObjName,
        /// The function that the patch replaces.
        name: String,
        /// The other names.
        others: Vec<String>,
    },
    /// Something suspended goes on in code that was replaced: a coroutine, or another stack that no thread is on.
    Suspended {
        /// The functions that it is inside of.
        functions: Vec<String>,
    },
    /// The patch is out, but its memory had to stay: something suspended may come back to its code.
    Stays {
        /// Bytes of it.
        size: u64,
        /// Where the word is that leads there.
        at: u64,
        /// The function that it leads to, where that is known.
        function: Option<String>,
    },
}

impl Refusal {
    /// Whether it is about a symbol that the patch refers to.
    pub(super) fn is_about(&self, name: &str) -> bool {
        matches!(self, Self::Symbol { symbol, .. } | Self::MayGo { symbol, .. } if symbol == name)
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Waiting { object } => write!(
                f,
                "{object} is not loaded: its part of the patch waits until it is (lp-ctl watch patches it before it runs)"
            ),
            Self::Aliases {
                object,
                name,
                others,
            } => write!(
                f,
                "{object}: '{name}' is also called {}: these are replaced, too",
                others.join(", ")
            ),
            Self::Suspended { functions } => write!(
                f,
                "a coroutine or another stack that no thread is on seems to be inside of {}: it goes on in the old code until it returns \
                 from there",
                functions.join(", ")
            ),
            Self::Stays { size, at, function } => {
                let inside = function.as_deref().unwrap_or("its code");
                write!(
                    f,
                    "{} KiB of it stay in memory: what is at {at:#x} leads into {inside}, so a coroutine or another stack that no thread \
                     is on may come back there. The next load or unload looks again",
                    size.div_ceil(1024)
                )
            }
        }
    }
}

fn shown(build_id: &str) -> &str {
    if build_id.is_empty() {
        "(none)"
    } else {
        build_id
    }
}

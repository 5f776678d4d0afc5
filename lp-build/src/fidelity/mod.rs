//! Does our build of the original source reproduce the running binary: the kernel, a module, a program or a library?
//!
//! Every function of the object that we compiled from the unpatched tree is compared, instruction by instruction,
//! with the function of that name in the kernel's vmlinux or module, or in the program. Bytes must be equal outside relocated fields;
//! a relocated field must refer to the same thing: a global symbol by name, a string by content, a local by a place
//! that all functions agree on. On the way this learns where each local symbol lives in the running binary, which
//! is what decides between several symbols of one name later.
//!
//! The tempting wrong way is to compare raw bytes: the kernel is built without `-ffunction-sections`, so the
//! assembler there shortens some jumps between neighbouring functions, and everything behind them moves.
//!
//! | file | decides |
//! |---|---|
//! | `orig` | what our object holds: functions, relocations, sections |
//! | `target` | the running binary's file, read piece by piece |
//! | `symbols` | its symbols by name, by place and by source file |
//! | `insn` | instructions and the fields in them that refer to something |
//! | `compare` | whether one function equals one candidate |
//! | `padding` | which instructions stand for each other |
//! | `content` | whether read-only content is at a place |
//! | `unit` | which of the target's symbols may be ours |
//! | `places` | where our sections went |
//! | `solve` | which candidate each function is |
//! | `linked` | what a program refers to through slots, stubs and the thread pointer |
//! | `entries` | the file as the rule of entries sees it |
//! | `describe` | a difference in words |

mod compare;
mod content;
mod describe;
mod entries;
mod insn;
mod linked;
mod orig;
mod padding;
mod places;
mod solve;
mod symbols;
mod target;
mod unit;

pub use target::Target;

use serde::Serialize;
use std::collections::HashMap;
use std::path::PathBuf;
use thiserror::Error;

/// What was proved about one object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fidelity {
    /// Every function of the object, in the order of its symbol table.
    pub functions: Vec<FunctionFidelity>,
    /// Where symbols of the object live in the running binary, by their index in the object's symbol table: an
    /// address in vmlinux, or the index of the same symbol in a module's symbol table. Only what is certain.
    pub places: HashMap<usize, u64>,
}

/// What was proved about one function.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FunctionFidelity {
    /// Its name, suffixes included.
    pub name: String,
    /// Whether it is in the running binary.
    pub verdict: Verdict,
    /// The code it reproduces, when it is certain which function that is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub old: Option<OldCode>,
}

/// Whether a function of ours is the one in the running binary.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "verdict", rename_all = "lowercase")]
pub enum Verdict {
    /// Instruction by instruction, and all it refers to.
    Reproduced,
    /// The running binary has no such function from this file.
    Absent {
        /// Why that is so, as far as we can tell.
        why: String,
        /// Whether it is a weak function and another file's is used: then it has to be absent.
        overridden: bool,
    },
    /// It has another one.
    Mismatch {
        /// Where in our function the first difference is.
        offset: u64,
        /// Our instruction and what it refers to.
        ours: String,
        /// The running binary's.
        theirs: String,
    },
}

/// The code of the running binary that a function of ours reproduces.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OldCode {
    /// Its address in vmlinux, or its index in the module's symbol table.
    pub place: u64,
    /// Its bytes.
    pub size: u64,
    /// SHA-256 of these bytes in the file, hexadecimal.
    pub sha256: String,
}

/// Why fidelity could not be examined.
#[derive(Debug, Error)]
pub enum FidelityError {
    /// The target's file cannot be opened or read.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The target's file is not the ELF file it should be.
    #[error("{}: {message}", path.display())]
    Target {
        /// The file.
        path: PathBuf,
        /// What is wrong and what to do.
        message: String,
    },
    /// Our object cannot be read.
    #[error("the object compiled from {unit}: {message}")]
    Orig {
        /// The source file.
        unit: String,
        /// What is wrong.
        message: String,
    },
}

impl Fidelity {
    /// How many functions the running binary has just so.
    pub fn reproduced(&self) -> usize {
        self.functions
            .iter()
            .filter(|function| function.verdict == Verdict::Reproduced)
            .count()
    }

    /// How many functions the running binary should have: all but the absent ones.
    pub fn comparable(&self) -> usize {
        let absent =
            |function: &&FunctionFidelity| matches!(function.verdict, Verdict::Absent { .. });
        self.functions.len() - self.functions.iter().filter(absent).count()
    }
}

/// Compares every function of the object compiled from `source` with the running binary's.
pub fn check(orig_object: &[u8], source: &str, target: &Target) -> Result<Fidelity, FidelityError> {
    let orig = orig::Orig::parse(orig_object).map_err(|message| FidelityError::Orig {
        unit: source.to_owned(),
        message,
    })?;
    solve::solve(&orig, source, target)
}

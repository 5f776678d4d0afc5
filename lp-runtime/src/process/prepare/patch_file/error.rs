//! Why a file is not a patch for a process.

use crate::process::read::elf::ElfError;
use lp_klp::name::NameError;
use lp_klp::note::NoteError;
use thiserror::Error;

/// Why a file is not a patch for a process.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PatchError {
    /// More bytes than a patch has.
    #[error("the patch has {size} bytes, at most {limit} are taken: it is no patch")]
    TooLarge {
        /// Bytes of the file, or of what is to be loaded of it.
        size: u64,
        /// The limit.
        limit: u64,
    },
    /// No ELF file of this architecture, or one that is cut off.
    #[error("the patch cannot be read: {0}")]
    Elf(#[from] ElfError),
    /// A program, a library or something else.
    #[error(
        "the patch has ELF type {0}, a relocatable object was expected: give the file that lp-build wrote"
    )]
    NotRelocatable(u16),
    /// No section headers, no symbol table.
    #[error("the patch has no {0}: it was stripped or is no patch")]
    Missing(&'static str),
    /// The note is missing, forged, or of a later time.
    #[error("the patch's note: {0}")]
    Note(#[from] NoteError),
    /// A module for the kernel.
    #[error("this is a patch for the kernel, not for a process: load it without --pid")]
    ForKernel,
    /// For another processor.
    #[error("the patch is for {0}, this is x86_64")]
    Architecture(String),
    /// A section that we cannot do justice to.
    #[error("section '{section}' of the patch {reason}")]
    Section {
        /// Its name.
        section: String,
        /// What is wrong with it, and what to do.
        reason: &'static str,
    },
    /// A symbol that contradicts the file.
    #[error("symbol '{symbol}' of the patch {reason}")]
    Symbol {
        /// Its name.
        symbol: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A name that is not one of livepatching's.
    #[error("the patch: {0}")]
    Name(#[from] NameError),
    /// A relocation that contradicts the file, or that we do not know.
    #[error("a relocation of type {kind} at {section}+{offset:#x} of the patch {reason}")]
    Relocation {
        /// The section that is relocated.
        section: String,
        /// Where in it.
        offset: u64,
        /// `R_X86_64_*`
        kind: u32,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The note names a function that the file does not have.
    #[error(
        "the patch's note names the function '{0}', which is not in the patch (or not once): it is forged or damaged"
    )]
    NoFunction(String),
}

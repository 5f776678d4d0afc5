//! Turns the module that kbuild linked into one that the livepatch core can load.
//!
//! Kbuild knows no livepatch symbols: to it, `.klp.sym.OBJECT.SYMBOL,POSITION` is an undefined name. Here these
//! become `SHN_LIVEPATCH` symbols, and the relocations against them move to sections of their own (see
//! `klp_rela`). It must be the last step: a linker that runs afterwards (`ld -r`) refuses reserved section indices
//! it does not know and merges the relocation sections again.

use super::klp_rela::{self, When};
use lp_klp::name::{KlpSymName, NameError, ObjName, SHN_LIVEPATCH};
use object::build::elf::Builder;
use object::elf;
use thiserror::Error;

const SYM_PREFIX: &[u8] = b".klp.sym.";

/// No section of a module asks for more than a huge page.
const MAX_ALIGN: u64 = 2 << 20;

/// Why a linked module cannot be made a livepatch.
#[derive(Debug, Error)]
pub enum PostLinkError {
    /// The bytes are not a relocatable x86-64 object, or one that has been through here.
    #[error("the linked module cannot be read: {0}")]
    Read(object::build::Error),
    /// Another kind of ELF file.
    #[error("the linked module is not a relocatable object: give the .ko that kbuild linked")]
    NotRelocatable,
    /// Nothing to refer to.
    #[error("the linked module has no symbol table: do not strip it before this step")]
    NoSymbols,
    /// A section whose alignment is no power of two.
    #[error("section '{0}' of the linked module has alignment {1:#x}: the file is damaged")]
    Alignment(String, u64),
    /// A name that is not text.
    #[error("section name '{0}' of the linked module is not text: the file is damaged")]
    Name(String),
    /// A livepatch symbol that the kernel could not parse.
    #[error(transparent)]
    Symbol(#[from] NameError),
    /// A livepatch symbol with a definition.
    #[error(
        "'{0}' is defined in the linked module: a livepatch symbol lives in the patched object"
    )]
    Defined(String),
    /// The kernel reads the section before it can write the relocation.
    #[error(
        "section '{section}' refers to '{symbol}' of module '{object}', but the kernel reads that section when the \
         patch loads, before '{object}' may be there: avoid the static key, static call or alternative in the patch"
    )]
    Late {
        /// The special section.
        section: String,
        /// The object whose symbol it is.
        object: ObjName,
        /// The symbol.
        symbol: String,
    },
    /// A kernel before 5.8 reads the section before it writes any livepatch relocation.
    #[error(
        "section '{section}' refers to '{symbol}', which the kernel does not export, but kernels before 5.8 read that \
         section before they resolve such symbols: use a static key, static call or alternative that is exported, or \
         none, in the patched functions"
    )]
    Unexported {
        /// The special section.
        section: String,
        /// The symbol.
        symbol: String,
    },
    /// The result could not be written.
    #[error("the livepatch module cannot be written: {0}")]
    Write(object::build::Error),
}

/// The livepatch module for a linked one. Equal input gives equal bytes; everything that is not about livepatch
/// symbols stays as it was.
pub fn run(ko: &[u8], when: When) -> Result<Vec<u8>, PostLinkError> {
    let mut builder = Builder::read(ko).map_err(PostLinkError::Read)?;
    if builder.header.e_type != elf::ET_REL {
        return Err(PostLinkError::NotRelocatable);
    }
    check_alignments(&mut builder)?;
    if mark_symbols(&mut builder)? == 0 {
        return Ok(ko.to_vec());
    }
    klp_rela::split(&mut builder, when)?;
    let mut out = Vec::new();
    builder.write(&mut out).map_err(PostLinkError::Write)?;
    Ok(out)
}

/// Gives every livepatch symbol its section index, the unused ones too: left undefined they stop the loader.
/// Says how many there are.
fn mark_symbols(builder: &mut Builder<'_>) -> Result<usize, PostLinkError> {
    let mut count = 0;
    for symbol in &mut builder.symbols {
        if !symbol.name.starts_with(SYM_PREFIX) {
            continue;
        }
        let text = String::from_utf8_lossy(&symbol.name).into_owned();
        if symbol.st_shndx != elf::SHN_UNDEF {
            return Err(PostLinkError::Defined(text));
        }
        text.parse::<KlpSymName>()?;
        symbol.st_shndx = elf::SymbolSection(SHN_LIVEPATCH);
        symbol.st_value = 0;
        count += 1;
    }
    Ok(count)
}

/// The writer rounds offsets up to the alignment and takes it for a power of two; 0 means 1.
fn check_alignments(builder: &mut Builder<'_>) -> Result<(), PostLinkError> {
    for section in &mut builder.sections {
        section.sh_addralign = section.sh_addralign.max(1);
        if !section.sh_addralign.is_power_of_two() || section.sh_addralign > MAX_ALIGN {
            return Err(PostLinkError::Alignment(
                section.name.to_string(),
                section.sh_addralign,
            ));
        }
    }
    Ok(())
}

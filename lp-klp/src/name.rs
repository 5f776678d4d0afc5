//! The names of livepatching: which object a thing belongs to, which of several equal names is meant, and how both
//! are spelt in an ELF file.
//!
//! The spelling is the kernel's (`Documentation/livepatch/module-elf-format.rst`, parsed by `klp_resolve_symbols`
//! and `klp_apply_section_relocs` in `kernel/livepatch/core.c`). The tempting wrong way is to split at every dot:
//! symbol and section names contain dots themselves (`foo.isra.0`, `.text.bar`), only object names do not.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use thiserror::Error;

/// Section flag of a relocation section that the livepatch core applies (`include/uapi/linux/elf.h`).
pub const SHF_RELA_LIVEPATCH: u64 = 0x0010_0000;
/// Section index of a symbol that the livepatch core resolves (`include/uapi/linux/elf.h`).
pub const SHN_LIVEPATCH: u16 = 0xff20;
/// Bytes of a module name with its final NUL on 64-bit kernels (`include/linux/moduleparam.h`).
pub const MODULE_NAME_LEN: usize = 64 - 8;
/// Bytes of a symbol name with its final NUL, since Linux 6.1 (`include/linux/kallsyms.h`; 128 before).
pub const KSYM_NAME_LEN: usize = 512;

const VMLINUX: &str = "vmlinux";
const SYM_PREFIX: &str = ".klp.sym.";
const RELA_PREFIX: &str = ".klp.rela.";

/// Why a name cannot be one of livepatching's.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NameError {
    /// The object name is empty, too long or has a character that the kernel's parser stops at.
    #[error(
        "'{0}' is not the name of an object: expected vmlinux or a module name of 1 to 55 letters, digits or underscores"
    )]
    Object(String),
    /// The text is not `.klp.sym.OBJECT.SYMBOL,POSITION`.
    #[error("'{0}' is not a livepatch symbol: expected .klp.sym.OBJECT.SYMBOL,POSITION")]
    Symbol(String),
    /// The text is not `.klp.rela.OBJECT.SECTION`.
    #[error("'{0}' is not a livepatch relocation section: expected .klp.rela.OBJECT.SECTION")]
    Rela(String),
}

/// The object a function or symbol belongs to: `vmlinux` or a loadable module.
///
/// A dash becomes an underscore, as the build system does with module names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ObjName(String);

impl ObjName {
    /// The kernel image itself.
    pub fn vmlinux() -> Self {
        Self(VMLINUX.to_owned())
    }

    /// The name of a program's file or library in a patch for a process: what a name cannot hold becomes an
    /// underscore (`libz.so.1` is `libz_so_1`), as the kernel's build does with the dash of a module.
    ///
    /// # Errors
    /// It is empty or too long, or it would mean the kernel.
    pub fn of_file(file: &str) -> Result<Self, NameError> {
        let legal = |char: char| char.is_ascii_alphanumeric();
        let name = file.replace(|char| !legal(char), "_");
        let name: Self = name
            .parse()
            .map_err(|_| NameError::Object(file.to_owned()))?;
        if name.is_vmlinux() {
            return Err(NameError::Object(file.to_owned()));
        }
        Ok(name)
    }

    /// Whether this is the kernel image rather than a module.
    pub fn is_vmlinux(&self) -> bool {
        self.0 == VMLINUX
    }

    /// The name as the kernel knows it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ObjName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let name = text.replace('-', "_");
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        if name.is_empty() || name.len() >= MODULE_NAME_LEN || !name.bytes().all(legal) {
            return Err(NameError::Object(text.to_owned()));
        }
        Ok(Self(name))
    }
}

impl TryFrom<String> for ObjName {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        text.parse()
    }
}

impl From<ObjName> for String {
    fn from(name: ObjName) -> Self {
        name.0
    }
}

impl fmt::Display for ObjName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Which of an object's symbols of one name is meant: 0 when there is only one, else its rank from 1
/// in the order of kallsyms (`old_sympos` in `include/linux/livepatch.h`).
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct Sympos(pub u32);

impl Sympos {
    /// The name occurs once in its object.
    pub const UNIQUE: Self = Self(0);

    /// Whether both mean the same symbol where the name occurs once.
    ///
    /// Kernels before 6.19 compare positions literally when a cumulative patch replaces another
    /// (`klp_find_func`), so 0 and 1 are one symbol but not one position.
    pub fn same_symbol_if_unique(self, other: Self) -> bool {
        self.0.max(1) == other.0.max(1)
    }
}

impl fmt::Display for Sympos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A symbol that the livepatch core resolves: `.klp.sym.OBJECT.SYMBOL,POSITION`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KlpSymName {
    /// The object that defines the symbol.
    pub object: ObjName,
    /// The symbol's own name, suffixes included.
    pub symbol: String,
    /// Which one of that name.
    pub sympos: Sympos,
}

impl fmt::Display for KlpSymName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{SYM_PREFIX}{}.{},{}",
            self.object, self.symbol, self.sympos
        )
    }
}

impl FromStr for KlpSymName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let wrong = || NameError::Symbol(text.to_owned());
        let rest = text.strip_prefix(SYM_PREFIX).ok_or_else(wrong)?;
        let (object, rest) = rest.split_once('.').ok_or_else(wrong)?;
        let (symbol, sympos) = rest.split_once(',').ok_or_else(wrong)?;
        if symbol.is_empty() || symbol.len() >= KSYM_NAME_LEN {
            return Err(wrong());
        }
        Ok(Self {
            object: object.parse()?,
            symbol: symbol.to_owned(),
            sympos: Sympos(sympos.parse().map_err(|_| wrong())?),
        })
    }
}

/// A section of relocations that the livepatch core applies once the object is there:
/// `.klp.rela.OBJECT.SECTION`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KlpRelaName {
    /// The object whose symbols the relocations refer to.
    pub object: ObjName,
    /// The section that is relocated, with its leading dot.
    pub section: String,
}

impl fmt::Display for KlpRelaName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{RELA_PREFIX}{}.{}", self.object, self.section)
    }
}

impl FromStr for KlpRelaName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let wrong = || NameError::Rela(text.to_owned());
        let rest = text.strip_prefix(RELA_PREFIX).ok_or_else(wrong)?;
        let (object, section) = rest.split_once('.').ok_or_else(wrong)?;
        if section.is_empty() {
            return Err(wrong());
        }
        Ok(Self {
            object: object.parse()?,
            section: section.to_owned(),
        })
    }
}

//! The kernel's own files: what it has, can redirect, and exports.
//!
//! | module | holds |
//! |---|---|
//! | [`elf_file`] | an ELF file of any size, read piece by piece |
//! | [`binary`] | a vmlinux or a module: symbols, ftrace sites, code |
//! | [`exports`] | what one exports, with versions |
//! | [`modules`] | a folder of modules |
//! | [`image`] | a file as packages have it, packed or without symbols, as an ELF file with symbols |
//! | [`packed`] | what is packed |
//! | [`kallsyms`] | the table of symbols that is in the kernel itself |
//! | [`symtab`] | an ELF file to which symbols are added |
//!
//! Either may be missing: what is not known is not judged, and said so by who asks.

pub mod binary;
pub mod elf_file;
pub mod exports;
pub mod image;
pub mod kallsyms;
pub mod modules;
pub mod packed;
pub mod symtab;

pub use binary::{Binary, Missing, Symbol};
pub use modules::Modules;

use std::io;
use std::path::Path;

/// A kernel, as far as its files were given.
#[derive(Debug, Default)]
pub struct Kernel {
    /// Its vmlinux.
    pub vmlinux: Option<Binary>,
    /// Its modules.
    pub modules: Option<Modules>,
}

impl Kernel {
    /// A kernel of a vmlinux or vmlinuz alone.
    ///
    /// # Errors
    /// Where it cannot be read or is no 64-bit little-endian ELF file.
    pub fn open(vmlinux: &Path) -> io::Result<Self> {
        Ok(Self {
            vmlinux: Some(Binary::read(image::open(vmlinux)?)?),
            modules: None,
        })
    }

    /// What the kernel compares a module's `vermagic` with (`kernel/module/main.c`, 6.1; `kernel/module.c` before).
    pub fn vermagic(&self) -> Option<String> {
        self.vmlinux.as_ref()?.text("vermagic")
    }
}

//! What a process is, read from outside: nothing here changes it.
//!
//! | module | knows |
//! |---|---|
//! | [`identity`] | which process that is, and whether we may |
//! | [`maps`], [`memory`] | what is mapped; bytes through [`memory::ReadMemory`], so that what reads them can be tried without a process |
//! | [`elf`], [`dynamic`], [`symbols`], [`eh_frame`] | one ELF object: segments, what the dynamic linker knows, all symbols, unwind tables |
//! | [`image`], [`images`] | the objects that are mapped, and in whose scope a reference is looked up |
//! | `start` | whether a stack's end can be proven |

pub mod dynamic;
pub mod eh_frame;
pub mod elf;
pub mod identity;
pub mod image;
pub mod images;
pub mod maps;
pub mod memory;
pub(in crate::process) mod start;
pub mod symbols;

//! A running process as a target.
//!
//! Everything is found out before anything is touched: who it is ([`identity`]), what is mapped ([`maps`]), which ELF
//! objects that are ([`images`], [`image`]) with their symbols ([`symbols`], [`dynamic`]). Memory is read
//! through [`memory::ReadMemory`], so that what reads it can be tried on bytes.

pub mod dynamic;
pub mod elf;
pub mod identity;
pub mod image;
pub mod images;
pub mod maps;
pub mod memory;
pub mod patch_file;
pub mod relocation;
pub mod symbols;

//! A running process as a target.
//!
//! Everything is found out before anything is touched: what is mapped ([`maps`]), who it is ([`identity`]). Memory is read
//! through [`memory::ReadMemory`], so that what reads it can be tried on bytes.

pub mod identity;
pub mod maps;
pub mod memory;

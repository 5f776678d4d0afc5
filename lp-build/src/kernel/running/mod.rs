//! The kernel that runs: where its files are, and what they say of it.

pub mod checks;
pub mod config;
pub mod find;
pub mod image;
pub mod sealed;
pub mod target;
pub mod unpacked;

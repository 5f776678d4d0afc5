//! The kernel's own build: run, asked, read, and never imitated.

pub mod commands;
pub mod detour;
pub mod key;
pub mod make;
pub mod makefile;
pub mod prepare;
pub mod rust;

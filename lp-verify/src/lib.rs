//! Verifies that a livepatch may be installed over those that are installed.
//!
//! | module | holds |
//! |---|---|
//! | [`promise`] | what an accepted patch is promised to be |
//! | [`reader`] | a finished module, read by this crate's own small reader |
//! | [`patch`] | a patch as far as it is known, whatever it was read from |
//! | [`installed`] | what is installed: files, an inventory, this machine |
//! | [`kernel`] | the kernel's own files |
//! | [`sequence`] | which can follow which, and a way from one to another |
//! | [`lineage`] | from one cumulative patch to the next |
//! | [`fleet`] | many machines at once |
//! | [`rules`] | one rule a file |
//! | [`finding`] | what breaks a promise |

pub mod finding;
pub mod fleet;
pub mod installed;
pub mod kernel;
pub mod lineage;
pub mod patch;
pub mod promise;
pub mod reader;
pub mod rules;
pub mod sequence;

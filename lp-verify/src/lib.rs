//! Verifies that a livepatch may be installed over those that are installed.
//!
//! | module | holds |
//! |---|---|
//! | [`promise`] | what an accepted patch is promised to be |
//! | [`reader`] | a finished module, read by this crate's own small reader |
//! | [`patch`] | a patch as far as it is known, whatever it was read from |
//! | [`rules`] | one rule a file |
//! | [`finding`] | what breaks a promise |

pub mod finding;
pub mod patch;
pub mod promise;
pub mod reader;
pub mod rules;

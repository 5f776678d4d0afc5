//! What is installed is kept in the process itself, so that any later loader can list and undo it, also after one that was killed.
//!
//! | module | does |
//! |---|---|
//! | [`area`], [`control`] | the control area: which patches, which original bytes |
//! | [`journal`] | each step is announced there, and the next loader ends what a killed one began |
//! | `mapped`, `recorded` | the memory of a patch, and what is written down of it |
//! | `inventory` | what `lp-verify` reads |
//! | `lock` | one loader at a time |

pub mod area;
pub mod control;
pub(in crate::process) mod inventory;
pub mod journal;
pub(in crate::process) mod lock;
pub(in crate::process) mod mapped;
pub(in crate::process) mod recorded;

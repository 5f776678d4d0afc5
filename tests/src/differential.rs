//! The kernel as the judge of our model of it: random sequences of operations, done to both, must show the same.
//!
//! - [`pool`]: the patches that are loaded, [`source`]: their C, [`binary`]: their modules under ever new names
//! - [`operation`]: what can be done, [`sequence`]: at random, and written down as a case
//! - [`model`]: what lp-klp says comes of it, [`system`]: what the running kernel does, [`order`] reads from its memory
//! - [`seen`]: what is compared, [`verdict`]: what lp-verify says before each load
//! - [`play`]: a sequence on both sides, [`shrink`]: the shortest that still fails
//!
//! All of it runs in the guest, model and judge side by side: a failure can be tried again, and made shorter, at once.

pub mod binary;
pub mod model;
pub mod operation;
pub mod order;
pub mod play;
pub mod pool;
pub mod seen;
pub mod sequence;
pub mod shrink;
pub mod source;
pub mod system;
pub mod verdict;

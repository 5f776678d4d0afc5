//! The running kernel as a target: one file per thing that is done to it.
//!
//! Every function takes a [`Host`], the place where `/sys`, `/proc` and `/dev` are, so that what is read and written can
//! be tried on a folder that looks like them. Nothing here keeps state between calls: the kernel's own files are the
//! only truth, because an operator or another program may have changed them in between.

pub mod advice;
pub mod host;
pub mod inventory;
pub mod load;
pub mod log;
pub mod modinfo;
pub mod name;
pub mod switch;
pub mod sysfs;
pub mod tasks;
pub mod transition;
pub mod unload;

pub use host::Host;
pub use inventory::inventory;
pub use load::{Loaded, load};
pub use name::PatchName;
pub use switch::{disable, enable, force};
pub use sysfs::{Object, Patch, PatchedFunction, patch, patches};
pub use tasks::{Task, holding_up};
pub use transition::{Direction, Progress, Wait};
pub use unload::unload;

//! Loads livepatches into live targets, and says what became of them.
//!
//! - [`kernel`]: the running Linux kernel, through `finit_module` and `/sys/kernel/livepatch`
//! - [`process`]: a running process, by ptrace and jumps at the entries of its functions
//! - [`error`]: what can go wrong, with what the kernel said and what to do about it
//!
//! Whether a patch *may* be installed is lp-verify's question; here the kernel is asked and its answer is made readable.

pub mod error;
pub mod kernel;
pub mod process;

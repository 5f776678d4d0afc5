//! What runs inside the virtual machine, and the tests that span crates.
//!
//! - [`differential`]: the model in `lp-klp`, and `lp-verify`, beside the kernel as their judge
//! - [`guest`]: the guest's side of `cargo xtask e2e`; its program is `src/bin/lp-guest-init.rs`
//!
//! The host's side (which cases, QEMU, verdicts) is in `xtask`, which depends on no crate of ours: the two talk through a file
//! in the initramfs ([`guest::plan`]) and lines on a serial port ([`guest::report`]).

pub mod differential;
pub mod guest;

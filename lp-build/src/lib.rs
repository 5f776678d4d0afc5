//! Builds livepatches: the only crate that runs make, cc and ld.
//!
//! | module | holds |
//! |---|---|
//! | [`cli`] | what may be asked |
//! | [`options`] | what was asked, checked and complete |
//! | [`new`], [`watch`], [`doctor`], [`lineage`] | the commands besides building: one file each |
//! | [`cache`] | what is kept between runs |
//! | [`describe`] | `livepatch.toml` |
//! | [`tree`] | two source trees, or one and patches; what differs |
//! | [`kernel`] | the kernel that runs, its build folder, compiling, and the road through all phases |
//! | [`process`] | a program or library: its build under shims, and the road to a patch file |
//! | [`fidelity`] | does our build of the original reproduce the running binary? |
//! | [`patch`] | what both kinds of patch have in common once their objects are compiled |
//! | [`module`] | the patch module: template, Kbuild, klp relocations |
//! | [`progress`] | what is being done and for how long |
//! | [`report`] | what came out, for people and machines |

pub mod cache;
pub mod cli;
pub mod describe;
pub mod doctor;
pub mod fidelity;
pub mod kernel;
pub mod lineage;
pub mod module;
pub mod new;
pub mod options;
pub mod patch;
pub mod process;
pub mod progress;
pub mod report;
pub mod tree;
pub mod watch;

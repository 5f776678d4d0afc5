//! A patch made ready for one process, on our side: finished bytes and addresses, or all the reasons why not.
//!
//! | module | does |
//! |---|---|
//! | [`patch_file`], [`relocation`] | reads the patch, bounds-checked once; what is not known in it is refused |
//! | [`trust`] | whose patches are taken |
//! | [`groups`], [`layout`] | which object each section goes near, and how it lies there |
//! | [`resolve`] | what symbols stand for, as the patched object sees them |
//! | [`place`], [`relocate`] | a hole within reach, and the bytes for it |
//! | [`branches`], [`entry`] | whether a jump may be written over a function's first bytes |
//! | [`plan`] | all of it together |

pub mod branches;
pub mod entry;
pub mod groups;
pub mod layout;
pub mod patch_file;
pub mod place;
pub mod plan;
pub mod relocate;
pub mod relocation;
pub mod resolve;
pub mod trust;

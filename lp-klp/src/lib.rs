//! The livepatch model: what a patch is made of, what its parts are called and what it says of itself.
//!
//! | module | holds | kernel |
//! |---|---|---|
//! | [`name`] | object names, symbol positions, the names of klp symbols and sections | `kernel/livepatch/core.c` |
//! | [`core`] | patches, objects, functions; nops; what the kernel refuses to register | `kernel/livepatch/core.c` |
//! | [`state`] | system states and the rule of what may be installed over what | `kernel/livepatch/state.c` |
//! | [`manifest`] | what a patch says of itself | ours |
//! | [`note`] | the ELF note that carries the manifest | gABI, `load_module`'s notes |

pub mod core;
pub mod manifest;
pub mod name;
pub mod note;
pub mod state;

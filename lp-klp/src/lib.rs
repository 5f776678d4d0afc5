//! The livepatch model: what a patch is made of, what its parts are called and what it says of itself.
//!
//! | module | holds | kernel |
//! |---|---|---|
//! | [`name`] | object names, symbol positions, the names of klp symbols and sections | `kernel/livepatch/core.c` |
//! | [`core`] | patches, objects, functions; nops; what the kernel refuses to register | `kernel/livepatch/core.c` |
//! | [`core`] ([`core::Klp`]) | enabling, disabling, replacing, modules that come and go | `kernel/livepatch/core.c` |
//! | [`patch`] | a function's versions, and which one a task runs | `kernel/livepatch/patch.c` |
//! | [`transition`] | tasks switch one by one; reversing, forcing | `kernel/livepatch/transition.c` |
//! | [`shadow`] | shadow variables | `kernel/livepatch/shadow.c` |
//! | [`rules`] | what differs from one kernel to the next | |
//! | [`simulated`] | a target of names, for tests and what-if | |
//! | [`target`] | what is patched, seen from the core | ftrace, the scheduler |
//! | [`state`] | system states and the rule of what may be installed over what | `kernel/livepatch/state.c` |
//! | [`entry`] | may a jump be written where a function of a process begins? | ours |
//! | [`inventory`] | what is installed on a machine | ours |
//! | [`manifest`] | what a patch says of itself | ours |
//! | [`lent`] | symbols that a patch brings along for a stripped object | ours |
//! | [`signature`] | the file that says who vouches for a patch | ours |
//! | [`note`] | the ELF note that carries the manifest | gABI, `load_module`'s notes |

pub mod core;
pub mod entry;
pub mod errno;
pub mod inventory;
pub mod lent;
pub mod manifest;
pub mod name;
pub mod note;
pub mod patch;
pub mod rules;
pub mod shadow;
pub mod signature;
pub mod simulated;
pub mod state;
pub mod target;
pub mod transition;

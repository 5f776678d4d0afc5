//! What patches for kernels and patches for processes have in common once their objects are compiled.
//!
//! | file | decides |
//! |---|---|
//! | `equal` | whether two objects differ in more than debug information |
//! | `judged` | what is known of one object |
//! | `unproven` | which functions that matter are not what runs |
//! | `callbacks` | one of a kind for each object |
//! | `summary` | what the report says of it all |
//! | `refuse` | whether it is refused, by itself or as the next one of its line |
//! | `manifest` | what the patch says of itself |
//! | `publish` | the file: whole or not there |

pub mod callbacks;
pub mod equal;
pub mod judged;
pub mod manifest;
pub mod publish;
pub mod refuse;
pub mod summary;
pub mod unproven;

//! Objects that come and go while a patch is installed.
//!
//! | module | does |
//! |---|---|
//! | [`presence`] | whether an object is the one that was patched |
//! | [`catch_up`], `coming`, `going` | makes up for what happened while nobody watched |
//! | [`watch`] | a watcher that stays, and patches objects before their code runs |

pub mod catch_up;
pub(in crate::process) mod coming;
pub(in crate::process) mod going;
pub mod presence;
pub mod watch;

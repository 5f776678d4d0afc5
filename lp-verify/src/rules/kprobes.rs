//! Is a probe where a function will be redirected?
//!
//! A kprobe with a post handler changes the instruction pointer through ftrace, as a livepatch does; two cannot at one
//! function, and the kernel answers -EBUSY (`Documentation/livepatch/livepatch.rst`, limitations). Others are passed by.

use crate::finding::Finding;
use crate::installed::Installed;
use crate::patch::Patch;
use crate::promise::Promise::Overlap;

/// Probes at the entry of a function of vmlinux that the patch redirects.
pub fn check(new: &Patch, installed: &Installed) -> Vec<Finding> {
    let probes = installed
        .machine
        .iter()
        .filter_map(|machine| machine.kprobes.as_ref())
        .flatten();
    let own = new.functions();
    let hit = probes.filter(|probe| own.iter().any(|(_, name, _)| name == *probe));
    hit.map(|probe| {
        let message = format!("a kprobe is at the entry of {probe}: one with a post handler makes the kernel refuse the patch (-EBUSY), any other sees calls of the original only");
        Finding::warning(Overlap, new.place.clone(), message)
    })
    .collect()
}

//! Judges the kernel's console lines: which mean that nothing more will come, and which are merely bad.

/// What a line of the console means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sign {
    /// Go on.
    Fine,
    /// The machine is broken: stop.
    Fatal,
}

/// A guest that shows one of these is not worth waiting for. WARNING is not among them: a case may be about one, and the guest
/// judges those with the case's `allow-log`.
const FATAL: [&str; 10] = [
    "Kernel panic",
    "BUG:",
    "kernel BUG at",
    "Oops:",
    "general protection fault",
    "soft lockup",
    "hard LOCKUP",
    "rcu: INFO: rcu_",
    "detected stalls on CPUs",
    "blocked for more than",
];

/// Judges one line.
pub(crate) fn judge(line: &str) -> Sign {
    if FATAL.iter().any(|text| line.contains(text)) {
        Sign::Fatal
    } else {
        Sign::Fine
    }
}

#[cfg(test)]
mod tests {
    use super::{Sign, judge};

    #[test]
    fn kernel_death_is_told_from_kernel_chatter() {
        for line in [
            "[    5.1] Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000b00",
            "[   30.0] watchdog: BUG: soft lockup - CPU#1 stuck for 26s! [init:1]",
            "[   30.0] rcu: INFO: rcu_preempt self-detected stall on CPU",
            "[    2.0] BUG: kernel NULL pointer dereference, address: 0000000000000000",
        ] {
            assert_eq!(judge(line), Sign::Fatal, "{line}");
        }
        for line in [
            "[    0.0] rcu: Preemptible hierarchical RCU implementation.",
            "[    2.0] lp: loading out-of-tree module taints kernel.",
            "[    2.0] WARNING: CPU: 0 PID: 1 at fs/proc/meminfo.c:35",
        ] {
            assert_eq!(judge(line), Sign::Fine, "{line}");
        }
    }
}

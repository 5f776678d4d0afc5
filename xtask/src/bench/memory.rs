//! The peak memory of a process, and of it with all its children at once, from `/proc`.
//!
//! `wait4`'s `ru_maxrss` is the largest single process ever waited for, so it can be the compiler's; what is asked is how much
//! must be free. Looked at every few milliseconds: a peak shorter than that is missed in the sum, never in the process's own `VmHWM`
//! but for its last moments.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

const PAUSE: Duration = Duration::from_millis(10);

/// What was seen.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Peak {
    /// Of the process itself.
    pub(super) own_mib: u64,
    /// Of it and its children, together at one moment; pages they share count for each.
    pub(super) tree_mib: u64,
}

/// A running measurement.
pub(super) struct Watch {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Peak>,
}

impl Watch {
    pub(super) fn start(pid: u32) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&stop);
        Self {
            stop,
            thread: thread::spawn(move || watch(pid, &seen)),
        }
    }

    pub(super) fn end(self) -> Peak {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap_or_default()
    }
}

fn watch(pid: u32, stop: &AtomicBool) -> Peak {
    let mut peak = Peak::default();
    while !stop.load(Ordering::Relaxed) {
        peak.own_mib = peak.own_mib.max(kib(pid, "VmHWM:").unwrap_or(0) / 1024);
        peak.tree_mib = peak.tree_mib.max(tree_kib(pid) / 1024);
        thread::sleep(PAUSE);
    }
    peak
}

/// The peak of a process so far.
pub(super) fn peak_kib(pid: u32) -> Option<u64> {
    kib(pid, "VmHWM:")
}

fn tree_kib(root: u32) -> u64 {
    let parents = parents();
    let is_below = |pid: &u32| {
        // No tree of processes is deeper than there are processes.
        let mut line =
            std::iter::successors(Some(*pid), |pid| parents.get(pid).copied()).take(parents.len());
        line.any(|pid| pid == root)
    };
    parents
        .keys()
        .filter(|pid| is_below(pid))
        .filter_map(|pid| kib(*pid, "VmRSS:"))
        .sum()
}

fn parents() -> BTreeMap<u32, u32> {
    let entries = fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(Result::ok);
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter_map(|pid| Some((pid, number(&status(pid)?, "PPid:")?.try_into().ok()?)))
        .collect()
}

fn kib(pid: u32, key: &str) -> Option<u64> {
    number(&status(pid)?, key)
}

fn status(pid: u32) -> Option<String> {
    fs::read_to_string(format!("/proc/{pid}/status")).ok()
}

fn number(status: &str, key: &str) -> Option<u64> {
    status
        .lines()
        .find_map(|line| line.strip_prefix(key))?
        .split_whitespace()
        .next()?
        .parse()
        .ok()
}

//! What the tests that touch a process share.

use lp_runtime::process::read::maps::Maps;
use lp_runtime::process::read::memory::ReadMemory;
use lp_runtime::process::touch::syscall::Gate;
use lp_runtime::process::touch::threads::{StopError, Threads, with_threads};
use lp_runtime::process::touch::write::WriteMemory;
use std::time::{Duration, Instant};

/// Longer than any stop takes on a machine that is busy.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// Does something with a process whose threads are all stopped.
pub(super) fn stopped<R: Send>(pid: i32, work: impl FnOnce(&mut Threads) -> R + Send) -> R {
    let done = with_threads(pid, |threads| {
        let start = Instant::now();
        // On a busy machine a thread may wait for a lock of the kernel's for so long that all go on.
        while let Err(error) = threads.stop_all(PATIENCE) {
            let passes = matches!(error, StopError::Timeout(_)) && start.elapsed() < PATIENCE;
            assert!(passes, "all threads stop: {error:?}");
        }
        work(threads)
    });
    done.expect("the process can be traced")
}

/// A process's memory, and a system call instruction in it.
pub(super) fn memory_and_gate(pid: i32) -> (WriteMemory, Gate) {
    let memory = WriteMemory::open(pid).expect("its memory opens");
    let maps = Maps::read(pid).expect("its mappings can be read");
    let gate = Gate::find(pid, &maps, &memory).expect("there is a system call instruction");
    (memory, gate)
}

/// The states of all threads, as `/proc/PID/task/TID/stat` has them.
pub(super) fn states(pid: i32) -> Vec<char> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).expect("the process lives");
    let state = |task: std::io::Result<std::fs::DirEntry>| {
        let stat = std::fs::read_to_string(task.ok()?.path().join("stat")).ok()?;
        stat.rsplit_once(") ")?.1.chars().next()
    };
    tasks.filter_map(state).collect()
}

/// An area of free addresses in a process, far from everything.
pub(super) fn free_address(pid: i32) -> u64 {
    let address = 0x2_0000_0000;
    let maps = Maps::read(pid).expect("its mappings can be read");
    assert!(maps.at(address).is_none());
    address
}

/// Reads so many bytes of a process.
pub(super) fn read(memory: &dyn ReadMemory, address: u64, size: usize) -> Vec<u8> {
    let mut bytes = vec![0; size];
    memory.read(address, &mut bytes).expect("it can be read");
    bytes
}

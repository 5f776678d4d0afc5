//! Whether another process has the same memory: a vfork child, or a `clone` with CLONE_VM and without CLONE_THREAD.
//!
//! Such a process runs the code that we write while all threads of the target stand still. `kcmp` knows. Where we
//! may not ask about a process, the sizes of its memory, which everyone may read, are compared: those of one memory
//! are equal.

#![expect(unsafe_code, reason = "kcmp has no wrapper")]

use std::fs;

use nix::errno::Errno;

const KCMP_VM: libc::c_ulong = 1;

/// A process that shares this one's memory, if there is one.
pub(super) fn another_with_this_memory(pid: i32) -> Option<i32> {
    let processes = fs::read_dir("/proc").ok()?;
    let number = |entry: fs::DirEntry| entry.file_name().to_str()?.parse::<i32>().ok();
    let mut others = processes.map_while(Result::ok).filter_map(number);
    others.find(|other| *other != pid && shares(pid, *other))
}

/// Whether these two have one memory.
pub(super) fn shares(pid: i32, other: i32) -> bool {
    // SAFETY: kcmp takes five numbers and touches no memory of ours.
    let answer = unsafe { libc::syscall(libc::SYS_kcmp, pid, other, KCMP_VM, 0, 0) };
    match Errno::result(answer) {
        Ok(order) => order == 0,
        Err(Errno::ESRCH) => false,
        Err(_) => sizes(pid).is_some_and(|sizes| Some(sizes) == self::sizes(other)),
    }
}

/// Pages of memory and of code. A fork's child is equal to its parent in these until one of them changes: then we err on
/// the side of refusing.
fn sizes(pid: i32) -> Option<(u64, u64)> {
    let statm = fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
    let mut fields = statm.split_whitespace().map(|it| it.parse().ok());
    let (total, text) = (fields.next()??, fields.nth(2)??);
    // A kernel thread has none.
    (total > 0).then_some((total, text))
}

//! System calls that the kernel does not restart: it ends them with EINTR when a thread is stopped, though no signal came (signal(7), the
//! list under "stop signals"). Programs know that error from their own signals alone, and some take it for a failure.
//!
//! Such a call is begun again by us, as the kernel does it with the others. Its time, where it has one, then begins again, too. Where
//! a signal is about to come, EINTR is what the program waits for, and stays.

use super::Tid;
use super::task::Status;
use crate::process::ptrace;

/// Those that have done nothing yet when they say EINTR. `connect` is not among them: it goes on behind the caller's back.
const CALLS: [libc::c_long; 22] = [
    libc::SYS_epoll_wait,
    libc::SYS_epoll_pwait,
    libc::SYS_epoll_pwait2,
    libc::SYS_semop,
    libc::SYS_semtimedop,
    libc::SYS_rt_sigtimedwait,
    libc::SYS_io_getevents,
    IO_PGETEVENTS,
    libc::SYS_io_uring_enter,
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_recvfrom,
    libc::SYS_recvmsg,
    libc::SYS_recvmmsg,
    libc::SYS_sendto,
    libc::SYS_sendmsg,
    libc::SYS_sendmmsg,
    libc::SYS_accept,
    libc::SYS_accept4,
    libc::SYS_msgrcv,
];

/// libc has no name for it.
const IO_PGETEVENTS: libc::c_long = 333;

/// Bytes of a `syscall` instruction.
const INSTRUCTION: u64 = 2;

/// Begins a stopped thread's call again, where it was ended for nothing but our stop.
pub(super) fn begin_again(pid: i32, tid: Tid) {
    let Ok(mut registers) = ptrace::registers(tid) else {
        return;
    };
    let interrupted = registers.rax as i64 == -i64::from(libc::EINTR);
    let call = registers.orig_rax as libc::c_long;
    if interrupted && CALLS.contains(&call) && !has_signal(pid, tid) {
        registers.rax = registers.orig_rax;
        registers.rip = registers.rip.wrapping_sub(INSTRUCTION);
        // A thread that is gone needs nothing.
        let _ = ptrace::set_registers(tid, &registers);
    }
}

/// Whether a signal is pending that the thread does not block; where that is not known, yes.
fn has_signal(pid: i32, tid: Tid) -> bool {
    let Some(status) = Status::of_thread(pid, tid) else {
        return true;
    };
    let signals = |key| u64::from_str_radix(status.get(key)?, 16).ok();
    match (signals("SigPnd"), signals("ShdPnd"), signals("SigBlk")) {
        (Some(own), Some(shared), Some(blocked)) => (own | shared) & !blocked != 0,
        _ => true,
    }
}

//! System calls that the kernel does not restart: it ends them with EINTR when a thread is stopped, though no signal came (signal(7), the
//! list under "stop signals"). Programs know that error from their own signals alone, and some take it for a failure.
//!
//! And calls that it restarts by another one, `restart_syscall`, which knows how much of the time is left (`nanosleep`, `poll`): a filter
//! of system calls (seccomp) need not know that, and kills the program, as OpenSSH 9.2's does.
//!
//! Such a call is made one that the kernel restarts. Its time, where it has one, then begins again, too. The tempting wrong way is
//! to set the thread back to its `syscall` instruction where no signal is pending: one may come before it runs.

use super::Tid;
use super::task::Status;
use crate::process::touch::ptrace;
use crate::process::touch::registers::{ERESTART_RESTARTBLOCK, ERESTARTNOHAND};

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

/// `SECCOMP_MODE_FILTER` (`linux/seccomp.h`).
const FILTER: i32 = 2;

/// Begins a stopped thread's call again, where it was ended for nothing but our stop. The kernel does it, and only where no signal
/// comes first: a handler that runs turns this into EINTR, which the program then waits for.
pub(super) fn begin_again(tid: Tid) {
    let Ok(mut registers) = ptrace::registers(tid) else {
        return;
    };
    let begins_again = match registers.rax as i64 {
        ERESTART_RESTARTBLOCK => registers.orig_rax as i64 >= 0 && is_filtered(tid),
        error if error == -i64::from(libc::EINTR) => {
            CALLS.contains(&(registers.orig_rax as libc::c_long))
        }
        _ => false,
    };
    if begins_again {
        registers.rax = ERESTARTNOHAND as u64;
        // A thread that is gone needs nothing.
        let _ = ptrace::set_registers(tid, &registers);
    }
}

fn is_filtered(tid: Tid) -> bool {
    let status = Status::of_thread(tid, tid);
    status.and_then(|it| it.number("Seccomp")) == Some(FILTER)
}

//! The ptrace requests that we make, a function each, and what a thread that is waited for has to tell.
//!
//! All of them must come from the thread that seized. The tempting wrong way is to take nix's functions everywhere:
//! its `Signal` knows no real-time signals, so waiting for a thread that is about to get one (glibc's own `setuid` and
//! `pthread_cancel` among them) would fail, and the signal would be lost.

#![expect(
    unsafe_code,
    reason = "requests whose data nix cannot express: real-time signals, register sets of any size"
)]

use std::io::IoSliceMut;
use std::ptr;

use libc::{c_int, c_long, c_void, siginfo_t, user_regs_struct};
use nix::errno::Errno;
use nix::sys::ptrace as nix_ptrace;
use nix::unistd::Pid;

use crate::process::touch::threads::Tid;

/// More than any processor's extended state needs (AMX: 11 KiB).
const XSTATE_MAX: usize = 64 << 10;

const NT_X86_XSTATE: c_long = 0x202;

/// What a thread that is traced does when it is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    /// It stopped at the border to user space; `signal` is SIGTRAP, or the stopping signal of its group.
    Stop {
        /// The signal that stopped the group.
        signal: c_int,
    },
    /// It is about to get a signal.
    Signal(c_int),
    /// It made something that runs: a thread or a process.
    Made(Tid),
    /// It is another program now.
    Exec,
    /// It enters or leaves a system call.
    Syscall,
    /// Another stop that we did not ask for.
    Other,
    /// It is no more.
    Gone,
}

/// Options that every thread is seized with: what it makes is ours too.
pub(crate) const OPTIONS: nix_ptrace::Options = nix_ptrace::Options::PTRACE_O_TRACECLONE
    .union(nix_ptrace::Options::PTRACE_O_TRACEFORK)
    .union(nix_ptrace::Options::PTRACE_O_TRACEVFORK)
    .union(nix_ptrace::Options::PTRACE_O_TRACEEXEC)
    .union(nix_ptrace::Options::PTRACE_O_TRACESYSGOOD);

pub(crate) fn seize(tid: Tid) -> Result<(), Errno> {
    nix_ptrace::seize(Pid::from_raw(tid), OPTIONS)
}

pub(crate) fn interrupt(tid: Tid) -> Result<(), Errno> {
    nix_ptrace::interrupt(Pid::from_raw(tid))
}

/// Lets it go on, with this signal or with none (0).
pub(crate) fn resume(tid: Tid, signal: c_int) -> Result<(), Errno> {
    with_number(libc::PTRACE_CONT, tid, signal)
}

/// Lets it go on to the next border of a system call.
pub(crate) fn resume_to_syscall(tid: Tid, signal: c_int) -> Result<(), Errno> {
    with_number(libc::PTRACE_SYSCALL, tid, signal)
}

/// Leaves it in the stop of its group.
pub(crate) fn listen(tid: Tid) -> Result<(), Errno> {
    with_number(libc::PTRACE_LISTEN, tid, 0)
}

pub(crate) fn detach(tid: Tid) -> Result<(), Errno> {
    with_number(libc::PTRACE_DETACH, tid, 0)
}

/// Also suspends the thread's seccomp filters, or no longer.
pub(crate) fn suspend_seccomp(tid: Tid, suspend: bool) -> Result<(), Errno> {
    const PTRACE_O_SUSPEND_SECCOMP: c_int = 1 << 21;
    let more = if suspend { PTRACE_O_SUSPEND_SECCOMP } else { 0 };
    with_number(libc::PTRACE_SETOPTIONS, tid, OPTIONS.bits() | more)
}

pub(crate) fn registers(tid: Tid) -> Result<user_regs_struct, Errno> {
    nix_ptrace::getregs(Pid::from_raw(tid))
}

pub(crate) fn set_registers(tid: Tid, registers: &user_regs_struct) -> Result<(), Errno> {
    nix_ptrace::setregs(Pid::from_raw(tid), *registers)
}

/// Sets the base of `gs` alone.
pub(crate) fn set_gs_base(tid: Tid, base: u64) -> Result<(), Errno> {
    let offset = std::mem::offset_of!(user_regs_struct, gs_base);
    let place = ptr::without_provenance_mut::<c_void>(offset);
    nix_ptrace::write_user(Pid::from_raw(tid), place, base as c_long)
}

/// The vector registers and whatever else the processor keeps, in the format of XSAVE.
pub(crate) fn extended_state(tid: Tid) -> Result<Vec<u8>, Errno> {
    let mut state = vec![0; XSTATE_MAX];
    let mut into = IoSliceMut::new(&mut state);
    // SAFETY: PTRACE_GETREGSET reads one `struct iovec` at `data`, writes at most `iov_len` bytes to its buffer, and sets
    // `iov_len`. `IoSliceMut` has the layout of an iovec (std guarantees it on Unix), and both outlive the call.
    let length = unsafe {
        let vector = ptr::from_mut(&mut into).cast::<libc::iovec>();
        Errno::result(libc::ptrace(
            libc::PTRACE_GETREGSET,
            tid,
            NT_X86_XSTATE,
            vector.cast::<c_void>(),
        ))?;
        (*vector).iov_len
    };
    state.truncate(length);
    Ok(state)
}

/// Puts back what [`extended_state`] gave.
pub(crate) fn set_extended_state(tid: Tid, state: &[u8]) -> Result<(), Errno> {
    let mut from = libc::iovec {
        iov_base: state.as_ptr().cast_mut().cast(),
        iov_len: state.len(),
    };
    // SAFETY: PTRACE_SETREGSET reads one iovec at `data` and at most `iov_len` bytes of its buffer, which it does not
    // write; both outlive the call.
    unsafe {
        Errno::result(libc::ptrace(
            libc::PTRACE_SETREGSET,
            tid,
            NT_X86_XSTATE,
            ptr::from_mut(&mut from).cast::<c_void>(),
        ))
        .map(drop)
    }
}

/// The signals that the thread blocks, a bit each, signal 1 in the lowest.
pub(crate) fn signal_mask(tid: Tid) -> Result<u64, Errno> {
    let mut mask = 0u64;
    // SAFETY: PTRACE_GETSIGMASK writes `addr` bytes to `data`: 8, the size of the kernel's sigset_t, and of a u64.
    unsafe {
        Errno::result(libc::ptrace(
            libc::PTRACE_GETSIGMASK,
            tid,
            size_of::<u64>(),
            ptr::from_mut(&mut mask).cast::<c_void>(),
        ))?;
    }
    Ok(mask)
}

pub(crate) fn set_signal_mask(tid: Tid, mask: u64) -> Result<(), Errno> {
    // SAFETY: PTRACE_SETSIGMASK reads `addr` bytes at `data`: 8, the size of a u64.
    unsafe {
        Errno::result(libc::ptrace(
            libc::PTRACE_SETSIGMASK,
            tid,
            size_of::<u64>(),
            ptr::from_ref(&mask).cast_mut().cast::<c_void>(),
        ))
        .map(drop)
    }
}

/// Where the thread registered its restartable sequences (`struct rseq`); 0: nowhere, or a kernel that does not say.
pub(crate) fn rseq_area(tid: Tid) -> u64 {
    const PTRACE_GET_RSEQ_CONFIGURATION: libc::c_uint = 0x420f;
    #[repr(C)]
    #[derive(Default)]
    struct Configuration {
        area: u64,
        size: u32,
        signature: u32,
        flags: u32,
        pad: u32,
    }
    let mut configuration = Configuration::default();
    // SAFETY: the request writes at most `addr` bytes to `data`, a `struct ptrace_rseq_configuration`, which this
    // struct has the layout of (include/uapi/linux/ptrace.h).
    let answer = unsafe {
        libc::ptrace(
            PTRACE_GET_RSEQ_CONFIGURATION,
            tid,
            size_of::<Configuration>(),
            ptr::from_mut(&mut configuration).cast::<c_void>(),
        )
    };
    if answer < 0 { 0 } else { configuration.area }
}

/// Writes eight bytes, whatever the protection of their page.
pub(crate) fn poke(tid: Tid, address: u64, word: u64) -> Result<(), Errno> {
    let address = ptr::without_provenance_mut::<c_void>(address as usize);
    nix_ptrace::write(Pid::from_raw(tid), address, word as c_long)
}

/// What a thread has done since it was last let go; nothing yet is `None`.
///
/// A stop stays to be seen (`WNOWAIT`): when we are killed before we answered, the kernel still delivers the signal.
pub(crate) fn poll(tid: Tid) -> Result<Option<Event>, Errno> {
    let flags = libc::WNOHANG | libc::WEXITED | libc::WSTOPPED | libc::__WALL;
    let Some(info) = wait(tid, flags | libc::WNOWAIT)? else {
        return Ok(None);
    };
    // SAFETY: waitid filled in a SIGCHLD `siginfo_t`, of which `si_status` is a member.
    let status = unsafe { info.si_status() };
    if info.si_code != libc::CLD_TRAPPED && info.si_code != libc::CLD_STOPPED {
        wait(tid, flags)?;
        return Ok(Some(Event::Gone));
    }
    let signal = status & 0xff;
    Ok(Some(match status >> 8 {
        libc::PTRACE_EVENT_STOP => Event::Stop { signal },
        libc::PTRACE_EVENT_CLONE | libc::PTRACE_EVENT_FORK | libc::PTRACE_EVENT_VFORK => {
            Event::Made(nix_ptrace::getevent(Pid::from_raw(tid))? as Tid)
        }
        libc::PTRACE_EVENT_EXEC => Event::Exec,
        0 if signal == libc::SIGTRAP | 0x80 => Event::Syscall,
        0 => Event::Signal(signal),
        _ => Event::Other,
    }))
}

fn wait(tid: Tid, flags: c_int) -> Result<Option<siginfo_t>, Errno> {
    // SAFETY: all-zero is a valid `siginfo_t`, and `waitid` writes at most one of them.
    let (answer, info) = unsafe {
        let mut info: siginfo_t = std::mem::zeroed();
        (
            libc::waitid(libc::P_PID, tid as libc::id_t, &mut info, flags),
            info,
        )
    };
    match Errno::result(answer) {
        // Not ours any more: a thread whose id went to another one by exec.
        Err(Errno::ECHILD) => Err(Errno::ECHILD),
        Err(errno) => Err(errno),
        // SAFETY: `waitid` leaves the zeroed `si_pid`, a member of a SIGCHLD `siginfo_t`, when there is nothing to tell.
        Ok(_) => Ok((unsafe { info.si_pid() } != 0).then_some(info)),
    }
}

fn with_number(request: libc::c_uint, tid: Tid, number: c_int) -> Result<(), Errno> {
    // SAFETY: these requests take a number in `data` and write nothing to our memory.
    unsafe {
        Errno::result(libc::ptrace(
            request,
            tid,
            ptr::null_mut::<c_void>(),
            ptr::without_provenance_mut::<c_void>(number as usize),
        ))
        .map(drop)
    }
}

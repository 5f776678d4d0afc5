//! A function of the patch, called in one of the process's threads: the callbacks.
//!
//! The thread runs it on a stack that was mapped for it, from a stub in the patch's own text whose `call` keeps a shadow stack right
//! and whose system call, after the return, is where the kernel stops the thread for us. All registers, those of the vector units
//! too, are saved before and put back after. The tempting wrong ways: to save the general registers alone (a `double` of
//! the program is then another number), and to catch the return by a trap, whose signal the program may ignore.
//!
//! The thread may hold any lock when it is stopped. So a callback that takes one may never return; then time runs out, the
//! thread goes back to where it was, and the call has failed.

use std::time::{Duration, Instant};

use crate::process::touch::ptrace;
use crate::process::touch::registers::Saved;
use crate::process::touch::syscall::InjectError;
use crate::process::touch::threads::{Threads, Tid};

/// The code of the stub, to be placed in memory that may be executed: `call *%rax; mov %eax,%edi; mov $39,%eax; syscall; ud2`.
/// 39 is `getpid`, which changes nothing.
pub const STUB: [u8; 13] = [
    0xff, 0xd0, 0x89, 0xc7, 0xb8, 39, 0, 0, 0, 0x0f, 0x05, 0x0f, 0x0b,
];

const STUB_SYSCALL: u64 = 9;

/// A stack for calls: enough for what a callback may do.
pub const STACK_SIZE: u64 = 256 << 10;

/// What all other threads do while one calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Others {
    /// They stay stopped: the callback must not wait for one of them.
    Stopped,
    /// They run, and run on after it: then all must be stopped again, or let go.
    Running,
}

/// What is mapped in the process for calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallSite {
    /// Where the [`STUB`] is.
    pub stub: u64,
    /// The end of the stack, [`STACK_SIZE`] above its start; a multiple of 16.
    pub stack_top: u64,
}

impl Threads {
    /// Calls `int function(void)` in a stopped thread, and gives what it returns.
    ///
    /// # Errors
    /// When it does not return in time, or raises a signal; the thread is then where it was, and what the function had done
    /// until then is done.
    pub fn call(
        &mut self,
        tid: Tid,
        site: CallSite,
        function: u64,
        others: Others,
        timeout: Duration,
    ) -> Result<i32, InjectError> {
        let failed = |errno| InjectError::Ptrace { tid, errno };
        let suspended = ptrace::suspend_seccomp(tid, true).is_ok();
        let saved = Saved::for_call(tid).map_err(failed)?;
        if others == Others::Running {
            self.resume_all_but(tid);
        }
        let deadline = Instant::now() + timeout;
        let result = begin(tid, &saved, site, function)
            .map_err(failed)
            .and_then(|()| self.until_syscall(tid, site.stub + STUB_SYSCALL, deadline))
            .and_then(|_| ptrace::registers(tid).map_err(failed));
        let back = self.bring_to_the_border(tid, Instant::now() + BACK);
        let restored = saved.restore().map_err(failed);
        if suspended {
            ptrace::suspend_seccomp(tid, false).map_err(failed)?;
        }
        let registers = result?;
        back.and(restored)?;
        Ok(registers.rdi as i32)
    }
}

/// How long a thread may take from a call back to the border.
const BACK: Duration = Duration::from_secs(2);

fn begin(tid: Tid, saved: &Saved, site: CallSite, function: u64) -> Result<(), nix::errno::Errno> {
    let mut registers = saved.elsewhere(site.stub);
    registers.rax = function;
    registers.rsp = site.stack_top & !15;
    registers.rbp = 0;
    if let Some(extended) = saved.clean_extended() {
        ptrace::set_extended_state(tid, &extended)?;
    }
    ptrace::set_registers(tid, &registers)
}

//! A stopped thread's registers: read, and put back so that the thread notices nothing.
//!
//! A thread that was stopped inside a system call has its number in `orig_rax` and, in `rax`, a code that never reaches
//! user space (ERESTARTSYS and its kin, `include/linux/errno.h`): the kernel restarts the call when the thread goes on
//! with these two as they were, and with the restart block that it keeps itself. So both are put back untouched, and while the
//! thread does something for us `orig_rax` is -1. The tempting wrong way is to move `rip` alone: the kernel then takes two off it.

use libc::user_regs_struct;
use nix::errno::Errno;

use crate::process::read::memory::{ReadMemory, read_u64};
use crate::process::touch::ptrace;
use crate::process::touch::threads::Tid;

/// Signals that the processor raises. Blocked, the kernel resets their handlers when they come.
const FAULTS: [libc::c_int; 6] = [
    libc::SIGSEGV,
    libc::SIGBUS,
    libc::SIGILL,
    libc::SIGFPE,
    libc::SIGTRAP,
    libc::SIGSYS,
];

/// Trap, interrupt, and I/O flags as a thread in user space has them: none but interrupts on.
const EFLAGS: u64 = 0x202;

/// What the kernel puts into `rax` of a call that it restarts with what is left of it, and from its beginning.
pub(crate) const ERESTART_RESTARTBLOCK: i64 = -516;
pub(crate) const ERESTARTNOHAND: i64 = -514;

/// The registers of a thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Registers(pub(crate) user_regs_struct);

impl Registers {
    /// Of a stopped thread.
    ///
    /// # Errors
    /// Where the thread is not stopped, or is no more.
    pub fn of(tid: Tid) -> Result<Self, Errno> {
        ptrace::registers(tid).map(Self)
    }

    /// Where it goes on.
    pub fn pc(&self) -> u64 {
        self.0.rip
    }

    /// Sends the thread, which is in no system call, elsewhere.
    pub(crate) fn go(mut self, tid: Tid, pc: u64) -> Result<(), Errno> {
        self.0.rip = pc;
        ptrace::set_registers(tid, &self.0)
    }

    /// Where its `fs` points: to what the C library keeps of the thread.
    pub fn thread_pointer(&self) -> u64 {
        self.0.fs_base
    }

    /// Where its `gs` points.
    pub(crate) fn gs_base(&self) -> u64 {
        self.0.gs_base
    }

    /// Whether it is in a system call.
    pub fn is_in_syscall(&self) -> bool {
        self.0.orig_rax as i64 >= 0
    }

    /// Its stack pointer.
    pub fn sp(&self) -> u64 {
        self.0.rsp
    }

    /// Whether it is in a system call that the kernel restarts from where it was (`nanosleep`, `poll`).
    pub(crate) fn has_restart_block(&self) -> bool {
        self.0.orig_rax as i64 >= 0 && self.0.rax as i64 == ERESTART_RESTARTBLOCK
    }

    /// The register of a DWARF number (System V ABI, figure 3.36); 16 is the program counter.
    pub fn dwarf(&self, number: u16) -> Option<u64> {
        let it = &self.0;
        let all = [
            it.rax, it.rdx, it.rcx, it.rbx, it.rsi, it.rdi, it.rbp, it.rsp, it.r8, it.r9, it.r10,
            it.r11, it.r12, it.r13, it.r14, it.r15, it.rip,
        ];
        all.get(usize::from(number)).copied()
    }
}

/// What a thread is before it does something for us.
pub(crate) struct Saved {
    tid: Tid,
    registers: user_regs_struct,
    extended: Option<Vec<u8>>,
    mask: u64,
}

impl Saved {
    /// Saves the registers that a system call can change, and blocks signals.
    pub(crate) fn for_syscall(tid: Tid) -> Result<Self, Errno> {
        let saved = Self {
            tid,
            registers: ptrace::registers(tid)?,
            extended: None,
            mask: ptrace::signal_mask(tid)?,
        };
        ptrace::set_signal_mask(tid, !0)?;
        Ok(saved)
    }

    /// Saves all registers, and blocks signals except for faults.
    pub(crate) fn for_call(tid: Tid) -> Result<Self, Errno> {
        let extended = Some(ptrace::extended_state(tid)?);
        let mut saved = Self {
            extended,
            ..Self::for_syscall(tid)?
        };
        if Registers(saved.registers).has_restart_block() {
            // The function may make such a call itself, and the kernel then forgets this one. So it begins again.
            saved.registers.rax = ERESTARTNOHAND as u64;
        }
        let faults = FAULTS
            .iter()
            .fold(0, |mask, signal| mask | 1u64 << (signal - 1));
        ptrace::set_signal_mask(tid, !faults)?;
        Ok(saved)
    }

    /// The registers to begin something else with: what is on the stack, the red zone too, stays as it is.
    pub(crate) fn elsewhere(&self, pc: u64) -> user_regs_struct {
        user_regs_struct {
            rip: pc,
            orig_rax: u64::MAX,
            eflags: EFLAGS,
            ..self.registers
        }
    }

    /// The extended state with which the ABI lets a function begin: x87 registers empty, control words as at a program's start.
    pub(crate) fn clean_extended(&self) -> Option<Vec<u8>> {
        // Offsets in the XSAVE area: FCW, FSW and the abridged FTW; MXCSR; XSTATE_BV, whose lowest bits are x87 and SSE.
        let mut state = self.extended.clone()?;
        state.get_mut(..5)?.copy_from_slice(&[0x7f, 0x03, 0, 0, 0]);
        state
            .get_mut(24..28)?
            .copy_from_slice(&0x1f80u32.to_le_bytes());
        *state.get_mut(512)? |= 3;
        Some(state)
    }

    /// Puts everything back.
    pub(crate) fn restore(&self) -> Result<(), Errno> {
        if let Some(extended) = &self.extended {
            ptrace::set_extended_state(self.tid, extended)?;
        }
        ptrace::set_registers(self.tid, &self.registers)?;
        ptrace::set_signal_mask(self.tid, self.mask)
    }
}

/// Whether a signal is one that the processor raises.
pub(crate) fn is_fault(signal: libc::c_int) -> bool {
    FAULTS.contains(&signal)
}

/// Whether the thread is inside a restartable sequence (`struct rseq_cs`). Sent elsewhere it would forget that it was, and
/// go on half way through.
pub(crate) fn in_restartable_sequence(tid: Tid, pc: u64, memory: &dyn ReadMemory) -> bool {
    /// Offset of the pointer in `struct rseq`, and of the fields in `struct rseq_cs`.
    const RSEQ_CS: u64 = 8;
    const START_IP: u64 = 8;
    const POST_COMMIT_OFFSET: u64 = 16;
    let area = ptrace::rseq_area(tid);
    let Some(pointer) = area.checked_add(RSEQ_CS).filter(|_| area != 0) else {
        return false;
    };
    let field = |at: u64, offset: u64| read_u64(memory, at.wrapping_add(offset));
    match field(pointer, 0) {
        Ok(0) => false,
        Ok(sequence) => match (
            field(sequence, START_IP),
            field(sequence, POST_COMMIT_OFFSET),
        ) {
            (Ok(start), Ok(length)) => pc.wrapping_sub(start) < length,
            _ => true,
        },
        Err(_) => true,
    }
}

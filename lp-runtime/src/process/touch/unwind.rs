//! The frames on a stopped thread's stack, or the reason why they are not known.
//!
//! Each step follows call frame information (`.eh_frame`, System V ABI and DWARF 5, section 6.4), and the stack ends only where that says
//! so: an undefined return address, as in `_start` and at the start of a thread. Whatever is missing or doubtful makes the stack
//! unreliable, and its thread busy. The tempting wrong way is that of debuggers: to guess from frame pointers, and to
//! take a step that fails for the end of the stack. A guess is good for a backtrace and no proof that a function is not
//! on it.

mod ahead;
mod context;
mod expression;
mod row;
mod signal;
mod stack;
mod tables;

use std::collections::HashMap;
use std::rc::Rc;

use thiserror::Error;

use crate::process::touch::registers::Registers;
pub use stack::Stack;
pub use tables::UnwindTables;

use row::Row;

/// More frames than any stack has that can be waited for.
const MAX_FRAMES: usize = 1 << 16;

/// DWARF numbers of registers (System V ABI, figure 3.36).
const RSP: usize = 7;
const RETURN_ADDRESS: usize = 16;
const REGISTERS: usize = 17;

/// The registers of a frame as far as they are known.
type Known = [Option<u64>; REGISTERS];

/// A function's activation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame {
    /// Where it goes on.
    pub pc: u64,
    /// Whether that instruction was interrupted, rather than the one before it having called: then the function may end there.
    pub exact: bool,
    /// Its canonical frame address; of the last frame 0.
    pub cfa: u64,
}

impl Frame {
    /// An address inside the function that this is an activation of.
    pub fn inside(&self) -> u64 {
        if self.exact {
            self.pc
        } else {
            self.pc.wrapping_sub(1)
        }
    }
}

/// Why a step cannot be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Why {
    /// No unwind information covers the code.
    #[error("no unwind information covers the code")]
    NoInformation,
    /// It contradicts itself.
    #[error("the unwind information of the code is not valid")]
    Invalid,
    /// It needs a register that is not known.
    #[error("the value of a register that it needs is not known")]
    UnknownRegister,
    /// The stack is not there.
    #[error("the stack cannot be read")]
    Unreadable,
    /// A caller's frame is not above its callee's.
    #[error("the stack does not go on upwards")]
    NoProgress,
    /// There is no end to it.
    #[error("there are too many frames")]
    TooDeep,
}

/// A stack that is not known to its end.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("the stack cannot be trusted at frame {} ({:#x}): {why}", .frames.len().saturating_sub(1), .frames.last().map_or(0, |it| it.pc))]
pub struct Unreliable {
    /// What is known of it, the frame that has no known caller last.
    pub frames: Vec<Frame>,
    /// What is wrong with that one.
    pub why: Why,
}

/// Unwinds stacks; what it learns about one thread's code serves the next thread.
#[derive(Debug)]
pub struct Unwinder<'a> {
    tables: &'a UnwindTables,
    rows: HashMap<(u64, bool), Option<Rc<Row>>>,
}

impl<'a> Unwinder<'a> {
    /// With tables that were made before the threads were stopped.
    pub fn new(tables: &'a UnwindTables) -> Self {
        Self {
            tables,
            rows: HashMap::new(),
        }
    }

    /// All frames of a stopped thread, the innermost first.
    ///
    /// # Errors
    /// Where one of them has no caller that is known, and is not the last.
    pub fn unwind(
        &mut self,
        registers: &Registers,
        stack: &mut Stack<'_>,
    ) -> Result<Vec<Frame>, Unreliable> {
        let known = std::array::from_fn(|it| registers.dwarf(it as u16));
        self.walk(known, true, stack)
    }

    /// The frames from one on that a call returns to, of which only the stack pointer is known.
    ///
    /// # Errors
    /// As [`Self::unwind`].
    pub fn unwind_from(
        &mut self,
        returns_to: u64,
        sp: u64,
        stack: &mut Stack<'_>,
    ) -> Result<Vec<Frame>, Unreliable> {
        let mut known: Known = [None; REGISTERS];
        known[RETURN_ADDRESS] = Some(returns_to);
        known[RSP] = Some(sp);
        self.walk(known, false, stack)
    }

    fn walk(
        &mut self,
        mut known: Known,
        mut exact: bool,
        stack: &mut Stack<'_>,
    ) -> Result<Vec<Frame>, Unreliable> {
        let mut frames = Vec::new();
        loop {
            let pc = known[RETURN_ADDRESS].unwrap_or_default();
            frames.push(Frame { pc, exact, cfa: 0 });
            let unreliable = |frames, why| Err(Unreliable { frames, why });
            if frames.len() > MAX_FRAMES {
                return unreliable(frames, Why::TooDeep);
            }
            let step = self.step(&known, pc, exact, stack);
            let Some(frame) = frames.last_mut() else {
                return unreliable(frames, Why::Invalid);
            };
            match step {
                Ok(Some(caller)) => {
                    frame.cfa = caller.cfa;
                    known = caller.known;
                    exact = caller.interrupted;
                }
                Ok(None) => return Ok(frames),
                Err(why) => return unreliable(frames, why),
            }
        }
    }

    /// The caller's registers; none at the end of the stack.
    fn step(
        &mut self,
        known: &Known,
        pc: u64,
        exact: bool,
        stack: &mut Stack<'_>,
    ) -> Result<Option<Caller>, Why> {
        let Some(row) = self.row(pc, exact) else {
            let ahead = || ahead::follow(self.tables, known, pc, stack);
            if let Some(caller) = exact.then(ahead).flatten() {
                return Ok(Some(caller));
            }
            if !exact && context::starts(pc, stack) {
                return Ok(None);
            }
            // The C libraries that have no unwind information for it return from a signal by these bytes all the same.
            let known = signal::interrupted(known, pc, stack).ok_or(Why::NoInformation)?;
            return Ok(Some(Caller {
                cfa: known[RSP].unwrap_or_default(),
                known,
                interrupted: true,
            }));
        };
        row.caller(self.tables, known, stack)
    }

    fn row(&mut self, pc: u64, exact: bool) -> Option<Rc<Row>> {
        let tables = self.tables;
        let row = self.rows.entry((pc, exact));
        row.or_insert_with(|| Row::find(tables, pc, exact).map(Rc::new))
            .clone()
    }
}

/// What a step leads to.
struct Caller {
    known: Known,
    cfa: u64,
    /// It did not call: a signal came between two of its instructions.
    interrupted: bool,
}

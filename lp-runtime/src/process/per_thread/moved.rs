//! A function's first instructions, moved elsewhere, so that its old code can be called while a jump lies over its entry.
//!
//! What is moved are the instructions that the jump's five bytes touch. The rest of the function is run where it is, and so no branch
//! of it may lead into those bytes, nor may the address of a place in them be taken (a computed `goto`, a table of a `switch`). A
//! `call` among them becomes a push of the address behind the original call, and a jump: so the frames on a stack are
//! always those of the function itself, and unwinding (exceptions, `pthread_cancel`, our own) finds what it knows. The tempting
//! wrong way is to move the call: its frame would be one that nobody knows, for as long as it lasts.

use std::ops::Range;

use iced_x86::{
    Code, Decoder, DecoderOptions, FlowControl, Instruction, MemoryOperand, OpKind, Register,
};
use thiserror::Error;

use crate::process::read::elf::ElfError;
use crate::process::read::memory::{MemoryError, ReadMemory};
use crate::process::read::symbols::SymbolError;
use crate::process::touch::jump::JUMP_SIZE;

/// Entries of a table that are looked at. A longer `switch` has none that leads back to its function's first bytes.
const MAX_ENTRIES: usize = 4096;
/// Tables that are looked at.
const MAX_TABLES: usize = 1024;

/// Why a function's first instructions cannot be moved.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum MoveRefusal {
    /// Its own code goes into them.
    #[error("its code at {from:#x} branches to {to:#x}, into the bytes where the jump must go")]
    BranchInto {
        /// The branch.
        from: u64,
        /// Where it leads.
        to: u64,
    },
    /// Its own code may go into them.
    #[error(
        "its code at {from:#x} takes the address {to:#x}, which is in the bytes where the jump must go"
    )]
    AddressTaken {
        /// Who takes it, or the table that has it.
        from: u64,
        /// The address.
        to: u64,
    },
    /// A call returns into them.
    #[error("its call at {at:#x} returns into the bytes where the jump must go")]
    ReturnInto {
        /// The call.
        at: u64,
    },
    /// The processor would find that nobody called.
    #[error(
        "it calls at {at:#x}, in the bytes where the jump must go, and the process has a shadow stack, which would not know of the \
         call"
    )]
    ShadowStack {
        /// The call.
        at: u64,
    },
    /// They cannot be run elsewhere.
    #[error("its instruction at {at:#x} cannot be moved: {why}")]
    Instruction {
        /// Which one.
        at: u64,
        /// Why.
        why: String,
    },
    /// The code cannot be read.
    #[error(transparent)]
    Memory(#[from] MemoryError),
    /// The function is not where it was.
    #[error(transparent)]
    Symbol(#[from] SymbolError),
    /// The file cannot be read.
    #[error(transparent)]
    File(#[from] ElfError),
}

/// A function's code as the program came with it.
pub struct Body<'a> {
    /// Where its jump is.
    pub jump_at: u64,
    /// All its parts, with their addresses: first the one with the jump, up to the jump's end at least.
    pub parts: Vec<(u64, Vec<u8>)>,
    /// The process's memory, where its tables are.
    pub memory: &'a dyn ReadMemory,
    /// Whether a return goes where the processor saw a call come from.
    pub shadow_stack: bool,
}

/// The first instructions, to be run elsewhere.
#[derive(Debug, Clone)]
pub struct Moved {
    /// Without addresses: each branch and operand says the address that it means.
    pub(super) instructions: Vec<Instruction>,
    /// Where each was; none where it is not the beginning of what it stands for.
    pub(super) origins: Vec<Option<u64>>,
    /// Where the function goes on; none where it has ended.
    pub(super) back: Option<u64>,
}

impl Moved {
    /// Looks at a function.
    ///
    /// # Errors
    /// Where its old code could not be called under a jump.
    pub fn of(body: &Body<'_>) -> Result<Self, MoveRefusal> {
        let moved = body.first()?;
        body.refuse_ways_in()?;
        Ok(moved)
    }
}

impl Body<'_> {
    fn jump_end(&self) -> u64 {
        self.jump_at.saturating_add(JUMP_SIZE as u64)
    }

    /// Where nothing may lead: to the jump itself anything may.
    fn covered(&self) -> Range<u64> {
        self.jump_at.saturating_add(1)..self.jump_end()
    }

    fn first(&self) -> Result<Moved, MoveRefusal> {
        let mut moved = Moved {
            instructions: Vec::new(),
            origins: Vec::new(),
            back: None,
        };
        let (start, code) = self
            .parts
            .first()
            .ok_or_else(|| self.invalid(self.jump_at))?;
        let offset = usize::try_from(self.jump_at.wrapping_sub(*start)).unwrap_or(usize::MAX);
        let code = code
            .get(offset..)
            .ok_or_else(|| self.invalid(self.jump_at))?;
        let mut decoder = Decoder::with_ip(64, code, self.jump_at, DecoderOptions::NONE);
        while decoder.ip() < self.jump_end() {
            let instruction = decoder.decode();
            if instruction.is_invalid() {
                return Err(self.invalid(instruction.ip()));
            }
            self.move_one(instruction, &mut moved.instructions)?;
            moved.origins.push(Some(instruction.ip()));
            moved.origins.resize(moved.instructions.len(), None);
            if ends(&instruction) {
                return Ok(moved);
            }
        }
        moved.back = Some(decoder.ip());
        Ok(moved)
    }

    fn invalid(&self, at: u64) -> MoveRefusal {
        let why = "it is none that is known".into();
        MoveRefusal::Instruction { at, why }
    }

    fn move_one(&self, mut it: Instruction, to: &mut Vec<Instruction>) -> Result<(), MoveRefusal> {
        let (at, next) = (it.ip(), it.next_ip());
        let refuse = |why: &str| {
            let why = why.to_owned();
            Err(MoveRefusal::Instruction { at, why })
        };
        let jump = match it.code() {
            Code::Call_rel32_64 => Some(Code::Jmp_rel32_64),
            Code::Call_rm64 => Some(Code::Jmp_rm64),
            _ => None,
        };
        it.set_ip(0);
        match (it.flow_control(), jump) {
            (FlowControl::Call | FlowControl::IndirectCall, Some(jump)) => {
                if self.shadow_stack {
                    return Err(MoveRefusal::ShadowStack { at });
                }
                if self.covered().contains(&next) {
                    return Err(MoveRefusal::ReturnInto { at });
                }
                if uses_stack_pointer(&it) {
                    return refuse("it calls by an address on the stack");
                }
                to.extend(push(next).map_err(|why| MoveRefusal::Instruction { at, why })?);
                it.set_code(jump);
                to.push(it);
                Ok(())
            }
            (FlowControl::Call | FlowControl::IndirectCall | FlowControl::Interrupt, _) => {
                refuse("it enters the kernel, and a thread could wait there")
            }
            (FlowControl::XbeginXabortXend, _) => refuse("it begins a transaction"),
            _ => {
                to.push(it);
                Ok(())
            }
        }
    }

    /// Looks for whatever leads from the function's code into the bytes that the jump covers.
    fn refuse_ways_in(&self) -> Result<(), MoveRefusal> {
        let covered = self.covered();
        let mut indirect = false;
        let mut taken = Vec::new();
        for (start, code) in &self.parts {
            let mut decoder = Decoder::with_ip(64, code, *start, DecoderOptions::NONE);
            let mut instruction = Instruction::default();
            while decoder.can_decode() {
                decoder.decode_out(&mut instruction);
                let from = instruction.ip();
                if let Some(to) =
                    lp_klp::entry::target(&instruction).filter(|to| covered.contains(to))
                {
                    return Err(MoveRefusal::BranchInto { from, to });
                }
                for to in addresses(&instruction) {
                    if covered.contains(&to) {
                        return Err(MoveRefusal::AddressTaken { from, to });
                    }
                    taken.push(to);
                }
                indirect |= instruction.flow_control() == FlowControl::IndirectBranch;
            }
        }
        if indirect {
            self.refuse_tables(taken)
        } else {
            Ok(())
        }
    }

    /// The tables that an indirect jump may take its destination from: addresses, or distances from the table or from a place in
    /// the code.
    fn refuse_tables(&self, mut taken: Vec<u64>) -> Result<(), MoveRefusal> {
        taken.sort_unstable();
        taken.dedup();
        let (bases, tables): (Vec<u64>, Vec<u64>) =
            taken.into_iter().partition(|it| self.is_code(*it));
        let mut left = MAX_TABLES;
        for table in tables {
            let bytes = self.read_table(table);
            self.refuse_entries::<8>(table, &bytes, u64::from_le_bytes)?;
            for base in std::iter::once(&table).chain(&bases) {
                left = left.saturating_sub(1);
                if left == 0 {
                    return self.too_many();
                }
                let distance = |entry| i64::from(i32::from_le_bytes(entry));
                self.refuse_entries::<4>(table, &bytes, |it| {
                    base.wrapping_add_signed(distance(it))
                })?;
            }
        }
        Ok(())
    }

    fn too_many(&self) -> Result<(), MoveRefusal> {
        Err(MoveRefusal::Instruction {
            at: self.jump_at,
            why: "its code has too many tables to look at".into(),
        })
    }

    fn refuse_entries<const N: usize>(
        &self,
        from: u64,
        bytes: &[u8],
        destination: impl Fn([u8; N]) -> u64,
    ) -> Result<(), MoveRefusal> {
        for entry in bytes.chunks_exact(N) {
            let to = destination(entry.try_into().unwrap_or([0; N]));
            if self.covered().contains(&to) {
                return Err(MoveRefusal::AddressTaken { from, to });
            }
            if !self.is_code(to) {
                break;
            }
        }
        Ok(())
    }

    fn is_code(&self, address: u64) -> bool {
        let mut parts = self.parts.iter();
        parts.any(|(start, code)| address.wrapping_sub(*start) <= code.len() as u64)
    }

    /// As much of a table as there may be; less where memory ends.
    fn read_table(&self, at: u64) -> Vec<u8> {
        let mut size = 8 * MAX_ENTRIES;
        while size >= 8 {
            let mut bytes = vec![0; size];
            if self.memory.read(at, &mut bytes).is_ok() {
                return bytes;
            }
            size /= 2;
        }
        Vec::new()
    }
}

/// Whether the code behind it is not run after it.
fn ends(instruction: &Instruction) -> bool {
    matches!(
        instruction.flow_control(),
        FlowControl::UnconditionalBranch
            | FlowControl::IndirectBranch
            | FlowControl::Return
            | FlowControl::Exception
    )
}

fn uses_stack_pointer(instruction: &Instruction) -> bool {
    let all = [
        instruction.memory_base(),
        instruction.memory_index(),
        instruction.op0_register(),
    ];
    all.contains(&Register::RSP)
}

/// Pushes an address without a register: the lower half with its sign, then the upper one over it. No flag changes.
fn push(address: u64) -> Result<[Instruction; 2], String> {
    let lower = address as u32 as i32;
    let upper = (address >> 32) as u32 as i32;
    let place = MemoryOperand::with_base_displ(Register::RSP, 4);
    let pushed = Instruction::with1(Code::Pushq_imm32, lower);
    let filled = Instruction::with2(Code::Mov_rm32_imm32, place, upper);
    match (pushed, filled) {
        (Ok(pushed), Ok(filled)) => Ok([pushed, filled]),
        (Err(error), _) | (_, Err(error)) => Err(error.to_string()),
    }
}

/// The addresses that an instruction may mean, other than by branching.
fn addresses(instruction: &Instruction) -> Vec<u64> {
    let mut addresses = Vec::new();
    for operand in 0..instruction.op_count() {
        match instruction.op_kind(operand) {
            OpKind::Memory if instruction.segment_prefix() == Register::None => {
                let absolute = instruction.memory_base() == Register::None;
                if instruction.is_ip_rel_memory_operand() || absolute {
                    addresses.push(instruction.memory_displacement64());
                }
            }
            OpKind::Immediate32 | OpKind::Immediate32to64 | OpKind::Immediate64 => {
                addresses.push(instruction.immediate(operand));
            }
            _ => {}
        }
    }
    addresses
}

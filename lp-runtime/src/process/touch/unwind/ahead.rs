//! What a thread does next in code without unwind information, when that is plain: it returns, or goes to code that has some.
//!
//! The C library's `clone` has none from its system call to the start of the new thread, since a stack has changed in between. Each
//! thread that makes or becomes one is just there when all are stopped, so a program that makes threads all the time
//! could never be patched. From there the next few instructions are taken as the processor will take them, with
//! the registers that the thread has. So are the one-jump stubs of static programs. Anything that is not understood ends it.

use iced_x86::{Decoder, DecoderOptions, Instruction, Mnemonic, OpKind, Register};

use super::tables::UnwindTables;
use super::{Caller, Known, RETURN_ADDRESS, RSP, Stack};

/// Instructions that are taken at most.
const MAX_STEPS: usize = 16;

/// Bytes of the longest instruction.
const LONGEST: u64 = 15;

/// Where the thread will be when it comes to code that is known, or has returned.
pub(super) fn follow(
    tables: &UnwindTables,
    known: &Known,
    mut pc: u64,
    stack: &mut Stack<'_>,
) -> Option<Caller> {
    let mut flags = None;
    for _ in 0..MAX_STEPS {
        let instruction = decode(pc, stack)?;
        let next = instruction.next_ip();
        pc = match instruction.mnemonic() {
            Mnemonic::Nop | Mnemonic::Endbr64 => next,
            Mnemonic::Test => {
                flags = Some(test(&instruction, known)?);
                next
            }
            Mnemonic::Je if flags?.zero => instruction.near_branch_target(),
            Mnemonic::Jne if !flags?.zero => instruction.near_branch_target(),
            // TEST clears the overflow flag, so "less" is "negative".
            Mnemonic::Jl | Mnemonic::Js if flags?.negative => instruction.near_branch_target(),
            Mnemonic::Je | Mnemonic::Jne | Mnemonic::Jl | Mnemonic::Js => next,
            Mnemonic::Jmp => jump(&instruction, stack)?,
            Mnemonic::Ret if instruction.op_count() == 0 => return returned(known, stack),
            _ => return None,
        };
        if tables.find(pc).is_some() {
            let mut known = *known;
            known[RETURN_ADDRESS] = Some(pc);
            return Some(Caller {
                cfa: known[RSP]?,
                known,
                interrupted: true,
            });
        }
    }
    None
}

/// What TEST says of its operands' common bits.
#[derive(Clone, Copy)]
struct Flags {
    zero: bool,
    negative: bool,
}

fn decode(pc: u64, stack: &mut Stack<'_>) -> Option<Instruction> {
    let mut code = Vec::with_capacity(LONGEST as usize);
    for at in 0..LONGEST {
        // The code may end sooner than the longest instruction would.
        match stack.value(pc.checked_add(at)?, 1) {
            Ok(byte) => code.push(byte as u8),
            Err(_) => break,
        }
    }
    let instruction = Decoder::with_ip(64, &code, pc, DecoderOptions::NONE).decode();
    (!instruction.is_invalid()).then_some(instruction)
}

fn test(instruction: &Instruction, known: &Known) -> Option<Flags> {
    let value = |operand| {
        let is_register = instruction.op_kind(operand) == OpKind::Register;
        let register = instruction.op_register(operand);
        let number = dwarf(register).filter(|_| is_register)?;
        known[number]
    };
    let common = value(0)? & value(1)?;
    Some(Flags {
        zero: common == 0,
        negative: (common as i64) < 0,
    })
}

/// The DWARF number of a whole register.
fn dwarf(register: Register) -> Option<usize> {
    const ALL: [Register; 16] = [
        Register::RAX,
        Register::RDX,
        Register::RCX,
        Register::RBX,
        Register::RSI,
        Register::RDI,
        Register::RBP,
        Register::RSP,
        Register::R8,
        Register::R9,
        Register::R10,
        Register::R11,
        Register::R12,
        Register::R13,
        Register::R14,
        Register::R15,
    ];
    ALL.iter().position(|it| *it == register)
}

/// `jmp` to an address, or to one that is kept beside the code.
fn jump(instruction: &Instruction, stack: &mut Stack<'_>) -> Option<u64> {
    match instruction.op0_kind() {
        OpKind::NearBranch64 => Some(instruction.near_branch_target()),
        OpKind::Memory if instruction.is_ip_rel_memory_operand() => {
            stack.word(instruction.ip_rel_memory_address()).ok()
        }
        _ => None,
    }
}

fn returned(known: &Known, stack: &mut Stack<'_>) -> Option<Caller> {
    let sp = known[RSP]?;
    let mut known = *known;
    known[RETURN_ADDRESS] = Some(stack.word(sp).ok().filter(|pc| *pc != 0)?);
    known[RSP] = Some(sp.checked_add(8)?);
    Some(Caller {
        cfa: sp.checked_add(8)?,
        known,
        interrupted: false,
    })
}

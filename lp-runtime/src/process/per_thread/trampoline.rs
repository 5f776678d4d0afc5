//! The code at which a function's entry leads while threads switch one by one: it sends each to the version that it runs.
//!
//! ```text
//! cmpb $0, %gs:0     the thread's cell: 0 on the old side, 1 on the new one
//! jne  new
//! old: its first instructions, and a jump behind them; or a jump to a patch's function
//! ```
//!
//! A thread's cell is where its `gs` base points: x86-64 programs do not use it, a debugger may set it, and what a thread
//! `clone`s or `fork`s has the same (`klp_copy_process`). No register is changed. The flags are: a function may be entered with any, so
//! no code at an entry asks for them, also where a loop leads back to it. The tempting wrong way is a table by thread number:
//! it would have to be written when a thread begins, and nobody is there to do it.

use iced_x86::{
    BlockEncoder, BlockEncoderOptions, Code, Instruction, InstructionBlock, MemoryOperand, Register,
};

use super::moved::{MoveRefusal, Moved};

/// Bytes of a trampoline, at most.
pub const SIZE: u64 = 160;

/// Instructions of the test.
const HEAD: usize = 2;

/// Where a side of a transition leads.
#[derive(Debug, Clone, Copy)]
pub enum Way<'a> {
    /// To a patch's function.
    Code(u64),
    /// To the code that the program came with.
    Original(&'a Moved),
}

/// A trampoline.
#[derive(Debug, Clone)]
pub struct Trampoline {
    /// Its code.
    pub bytes: Vec<u8>,
    /// Where the test ends: a thread up to here has changed nothing but flags, and may as well begin anew.
    pub head: u64,
    /// Places behind it, and the same ones in the function.
    pub places: Vec<(u64, u64)>,
}

/// Makes a trampoline.
///
/// # Errors
/// Where it cannot lead there from its address.
pub fn trampoline(address: u64, old: Way<'_>, new: Way<'_>) -> Result<Trampoline, MoveRefusal> {
    let refuse = |why: String| MoveRefusal::Instruction { at: address, why };
    let encode = || {
        let instructions = instructions(old, new)?;
        let block = InstructionBlock::new(&instructions, address);
        let options = BlockEncoderOptions::RETURN_NEW_INSTRUCTION_OFFSETS;
        BlockEncoder::encode(64, block, options)
    };
    let encoded = encode().map_err(|error| refuse(error.to_string()))?;
    let bytes = encoded.code_buffer;
    if bytes.len() as u64 > SIZE {
        return Err(refuse("its code becomes too long elsewhere".into()));
    }
    // One that had to become several has no place that is known.
    let place = |offset: &u32| (*offset != u32::MAX).then(|| address + u64::from(*offset));
    let places: Vec<Option<u64>> = encoded.new_instruction_offsets.iter().map(place).collect();
    let head = places.iter().take(HEAD + 1).flatten().last();
    let origins = match (old, new) {
        (Way::Original(moved), _) | (_, Way::Original(moved)) => {
            let back = moved.back.map(Some);
            moved.origins.iter().copied().chain(back).collect()
        }
        _ => Vec::new(),
    };
    let same = places.iter().skip(HEAD).zip(&origins);
    Ok(Trampoline {
        head: *head.unwrap_or(&address),
        places: same
            .filter_map(|(here, there)| Some(((*here)?, (*there)?)))
            .collect(),
        bytes,
    })
}

fn instructions(old: Way<'_>, new: Way<'_>) -> Result<Vec<Instruction>, iced_x86::IcedError> {
    let cell = MemoryOperand::new(Register::None, Register::None, 1, 0, 8, false, Register::GS);
    let mut all = vec![Instruction::with2(Code::Cmp_rm8_imm8, cell, 0)?];
    match (old, new) {
        (Way::Original(old), Way::Original(_)) => append(&mut all, old)?,
        (old, Way::Code(new)) => {
            all.push(Instruction::with_branch(Code::Jne_rel32_64, new)?);
            match old {
                Way::Code(old) => all.push(Instruction::with_branch(Code::Jmp_rel32_64, old)?),
                Way::Original(old) => append(&mut all, old)?,
            }
        }
        (Way::Code(old), Way::Original(new)) => {
            all.push(Instruction::with_branch(Code::Je_rel32_64, old)?);
            append(&mut all, new)?;
        }
    }
    Ok(all)
}

fn append(all: &mut Vec<Instruction>, moved: &Moved) -> Result<(), iced_x86::IcedError> {
    all.extend(&moved.instructions);
    if let Some(back) = moved.back {
        all.push(Instruction::with_branch(Code::Jmp_rel32_64, back)?);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Way, trampoline};
    use crate::process::per_thread::moved::{Body, MoveRefusal, Moved};
    use crate::process::read::memory::{MemoryError, ReadMemory};
    use std::io;

    struct Nothing;

    impl ReadMemory for Nothing {
        fn read(&self, address: u64, buffer: &mut [u8]) -> Result<(), MemoryError> {
            Err(MemoryError::Read {
                address,
                size: buffer.len(),
                source: io::ErrorKind::NotFound.into(),
            })
        }
    }

    fn moved(code: &[u8], shadow_stack: bool) -> Result<Moved, MoveRefusal> {
        Moved::of(&Body {
            jump_at: 0x40_0000,
            parts: vec![(0x40_0000, code.to_vec())],
            memory: &Nothing,
            shadow_stack,
        })
    }

    fn bytes(code: &[u8]) -> Vec<u8> {
        let moved = moved(code, false).expect("it can be moved");
        let (old, new) = (Way::Original(&moved), Way::Code(0x41_0000));
        trampoline(0x3f_0000, old, new).expect("it is near").bytes
    }

    const TEST: [u8; 15] = [
        0x65, 0x80, 0x3c, 0x25, 0, 0, 0, 0, 0, 0x0f, 0x85, 0xf1, 0xff, 0x01, 0,
    ];

    #[test]
    fn the_cell_is_tested_and_the_first_instructions_follow() {
        // push %rbp; mov %rsp,%rbp; push %rbx; nop..
        let code = [0x55, 0x48, 0x89, 0xe5, 0x53, 0x90, 0x90, 0xc3];
        let found = bytes(&code);
        assert_eq!(found[..15], TEST);
        assert_eq!(found[15..20], code[..5]);
        // Back to 0x400005.
        assert_eq!(found[20..], [0xe9, 0xec, 0xff, 0x00, 0x00]);
    }

    #[test]
    fn each_place_in_it_is_one_of_the_function() {
        let moved = moved(&[0x55, 0x48, 0x89, 0xe5, 0x53, 0x90], false).expect("it can be moved");
        let (old, new) = (Way::Original(&moved), Way::Code(0x41_0000));
        let found = trampoline(0x3f_0000, old, new).expect("it is near");
        assert_eq!(found.head, 0x3f_000f);
        let places = [
            (0x3f_000f, 0x40_0000),
            (0x3f_0010, 0x40_0001),
            (0x3f_0013, 0x40_0004),
            (0x3f_0014, 0x40_0005),
        ];
        assert_eq!(found.places, places);
    }

    #[test]
    fn a_call_pushes_where_the_original_one_returns_to() {
        // sub $8,%rsp; call 0x400020; add $8,%rsp; ret
        let code = [
            0x48, 0x83, 0xec, 8, 0xe8, 0x17, 0, 0, 0, 0x48, 0x83, 0xc4, 8, 0xc3,
        ];
        let found = bytes(&code);
        // push $0x400009; movl $0,4(%rsp); jmp 0x400020
        assert_eq!(found[19..24], [0x68, 0x09, 0, 0x40, 0]);
        assert_eq!(found[24..32], [0xc7, 0x44, 0x24, 4, 0, 0, 0, 0]);
        assert_eq!(found[32], 0xe9);
        let refusal = moved(&code, true).expect_err("a shadow stack");
        assert!(
            matches!(refusal, MoveRefusal::ShadowStack { .. }),
            "{refusal}"
        );
    }

    #[test]
    fn what_leads_into_the_jump_is_refused() {
        // push %rbx; dec %edi; jnz back to the dec; pop %rbx; ret
        let refusal = moved(&[0x53, 0xff, 0xcf, 0x75, 0xfc, 0x5b, 0xc3], false);
        assert!(matches!(
            refusal,
            Err(MoveRefusal::BranchInto { to: 0x40_0001, .. })
        ));
        // push %rbx; call *%rdi; pop %rbx; ret
        let refusal = moved(&[0x53, 0xff, 0xd7, 0x5b, 0xc3, 0x90], false);
        assert!(matches!(refusal, Err(MoveRefusal::ReturnInto { .. })));
        // lea 1(entry),%rax; jmp *%rax
        let refusal = moved(
            &[0x48, 0x8d, 0x05, 0xfa, 0xff, 0xff, 0xff, 0xff, 0xe0],
            false,
        );
        assert!(matches!(refusal, Err(MoveRefusal::AddressTaken { .. })));
        // xor %eax,%eax; syscall; ret
        let refusal = moved(&[0x31, 0xc0, 0x0f, 0x05, 0xc3], false);
        assert!(matches!(refusal, Err(MoveRefusal::Instruction { .. })));
        // A loop back to the entry itself is a call of it: dec %edi; jnz entry; ret.
        assert!(moved(&[0xff, 0xcf, 0x75, 0xfc, 0x90, 0xc3], false).is_ok());
    }

    #[test]
    fn a_short_function_ends_where_it_ended() {
        // mov %edi,%eax; ret; nops
        let found = bytes(&[0x89, 0xf8, 0xc3, 0x90, 0x90]);
        assert_eq!(found[15..], [0x89, 0xf8, 0xc3]);
    }
}

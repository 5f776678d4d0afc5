//! Instructions, and the fields in them that refer to something.
//!
//! A field is judged by what it refers to, never by its bytes. For PC-relative fields that is counted from the
//! instruction's end, so that a short and a long jump to one place are equal. The tempting wrong way is to take the
//! relocation's addend as the offset: an immediate behind the field makes it wrong by that immediate's size.

use super::linked::Slot;
use iced_x86::{
    ConstantOffsets, Decoder, DecoderOptions, FlowControl, Instruction, Mnemonic, OpKind,
};
use object::elf;

/// One decoded instruction.
#[derive(Debug, Clone)]
pub(super) struct Insn {
    /// Offset in the function.
    pub(super) offset: u64,
    pub(super) instruction: Instruction,
    pub(super) constants: ConstantOffsets,
}

/// How a field counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FieldKind {
    /// From the instruction's end.
    PcRelative,
    /// An address, zero-extended.
    Zero,
    /// An address, sign-extended.
    Sign,
    /// The distance from the instruction's end to a slot that is filled with this.
    Slot(Slot),
    /// A distance from the thread pointer.
    ThreadPointer,
    /// An offset in the block of thread-local data.
    ThreadBlock,
}

/// A field of an instruction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Field {
    /// Offset in the instruction.
    pub(super) at: usize,
    /// Bytes.
    pub(super) size: usize,
    pub(super) kind: FieldKind,
}

impl Insn {
    /// Bytes.
    pub(super) fn len(&self) -> usize {
        self.instruction.len()
    }

    /// A direct jump or call.
    pub(super) fn is_branch(&self) -> bool {
        let direct = matches!(self.instruction.op0_kind(), OpKind::NearBranch64);
        direct && self.instruction.flow_control() != FlowControl::Next
    }

    /// A no-operation of any length.
    pub(super) fn is_nop(&self) -> bool {
        self.instruction.mnemonic() == Mnemonic::Nop
    }

    /// What fills the gap between two functions.
    pub(super) fn is_filler(&self) -> bool {
        self.is_nop() || self.is_trap()
    }

    /// `int3`, with which linkers fill code.
    pub(super) fn is_trap(&self) -> bool {
        self.instruction.mnemonic() == Mnemonic::Int3
    }

    /// Whether the next instruction may be run after it.
    pub(super) fn falls_through(&self) -> bool {
        !matches!(
            self.instruction.flow_control(),
            FlowControl::UnconditionalBranch
                | FlowControl::IndirectBranch
                | FlowControl::Return
                | FlowControl::Interrupt
                | FlowControl::Exception
        )
    }

    /// The field that counts from the instruction's end, relocated or not.
    pub(super) fn relative_field(&self) -> Option<Field> {
        let (at, size) = if self.is_branch() {
            (
                self.constants.immediate_offset(),
                self.constants.immediate_size(),
            )
        } else if self.instruction.is_ip_rel_memory_operand() {
            (
                self.constants.displacement_offset(),
                self.constants.displacement_size(),
            )
        } else {
            return None;
        };
        (size != 0).then_some(Field {
            at,
            size,
            kind: FieldKind::PcRelative,
        })
    }

    /// What [`Insn::relative_field`] says without a relocation.
    pub(super) fn relative_target(&self) -> u64 {
        if self.is_branch() {
            self.instruction.near_branch64()
        } else {
            self.instruction.ip_rel_memory_address()
        }
    }
}

/// The field that a relocation of this kind fills; none for kinds that code does not have, or that nobody here knows.
pub(super) fn field(kind: u32, at: usize) -> Option<Field> {
    let (size, kind) = match elf::RelocationType(kind) {
        elf::R_X86_64_PC32 | elf::R_X86_64_PLT32 => (4, FieldKind::PcRelative),
        elf::R_X86_64_64 => (8, FieldKind::Zero),
        elf::R_X86_64_32 => (4, FieldKind::Zero),
        elf::R_X86_64_32S => (4, FieldKind::Sign),
        elf::R_X86_64_GOTPCREL | elf::R_X86_64_GOTPCRELX | elf::R_X86_64_REX_GOTPCRELX => {
            (4, FieldKind::Slot(Slot::Address))
        }
        elf::R_X86_64_GOTTPOFF => (4, FieldKind::Slot(Slot::FromThreadPointer)),
        elf::R_X86_64_TLSGD => (4, FieldKind::Slot(Slot::Variable)),
        elf::R_X86_64_TLSLD => (4, FieldKind::Slot(Slot::Module)),
        elf::R_X86_64_TPOFF32 => (4, FieldKind::ThreadPointer),
        elf::R_X86_64_DTPOFF32 => (4, FieldKind::ThreadBlock),
        _ => return None,
    };
    Some(Field { at, size, kind })
}

/// The value in a field of these bytes of an instruction.
pub(super) fn value(bytes: &[u8], field: Field) -> Option<u64> {
    let bytes = bytes.get(field.at..field.at.checked_add(field.size)?)?;
    let mut whole = [0; 8];
    whole.get_mut(..bytes.len())?.copy_from_slice(bytes);
    let value = u64::from_le_bytes(whole);
    let unused = 64 - 8 * field.size as u32;
    let signed = (value << unused) as i64 >> unused;
    Some(if field.kind == FieldKind::Zero {
        value
    } else {
        signed as u64
    })
}

/// Decodes a function whose first byte is at `ip`.
pub(super) fn decode(code: &[u8], ip: u64) -> Vec<Insn> {
    let mut decoder = Decoder::with_ip(64, code, ip, DecoderOptions::NONE);
    let mut insns = Vec::with_capacity(code.len() / 4);
    while decoder.can_decode() {
        let offset = decoder.position() as u64;
        let instruction = decoder.decode();
        let constants = decoder.get_constant_offsets(&instruction);
        insns.push(Insn {
            offset,
            instruction,
            constants,
        });
    }
    insns
}

//! x86-64: relocation kinds from the psABI, instructions by iced-x86.

use super::text::{Insn, Syntax};
use super::{
    Arch, Branch, ChangedConstant, Difference, LoadInstead, Marked, SameCode, x86_64_same,
    x86_64_text, x86_64_ways as ways,
};
use crate::object::{Object, Section};
use iced_x86::{
    Decoder, DecoderOptions, FlowControl, Formatter, Instruction, IntelFormatter, Mnemonic, OpKind,
    Register,
};
use object::elf;
use std::collections::BTreeSet;

/// The x86-64 architecture.
pub(super) struct X86_64;

/// `endbr64`, which may come before the call to `__fentry__`.
const ENDBR64: [u8; 4] = [0xf3, 0x0f, 0x1e, 0xfa];

/// `call *symbol@GOTPCREL(%rip)`
const CALL_THROUGH_TABLE: [u8; 2] = [0xff, 0x15];

impl Arch for X86_64 {
    fn is_pc_relative(&self, kind: u32) -> bool {
        [
            elf::R_X86_64_PC8,
            elf::R_X86_64_PC16,
            elf::R_X86_64_PC32,
            elf::R_X86_64_PC64,
            elf::R_X86_64_PLT32,
            elf::R_X86_64_GOTPCREL,
            elf::R_X86_64_GOTPCRELX,
            elf::R_X86_64_REX_GOTPCRELX,
            elf::R_X86_64_GOTTPOFF,
            elf::R_X86_64_TLSGD,
            elf::R_X86_64_TLSLD,
        ]
        .iter()
        .any(|known| known.0 == kind)
    }

    fn is_for_process(&self, kind: u32) -> bool {
        [
            elf::R_X86_64_NONE,
            elf::R_X86_64_64,
            elf::R_X86_64_32,
            elf::R_X86_64_32S,
            elf::R_X86_64_PC64,
            elf::R_X86_64_PC32,
            elf::R_X86_64_PLT32,
            elf::R_X86_64_GOTPCREL,
            elf::R_X86_64_GOTPCRELX,
            elf::R_X86_64_REX_GOTPCRELX,
            elf::R_X86_64_GOTTPOFF,
            elf::R_X86_64_TPOFF32,
            elf::R_X86_64_TPOFF64,
            elf::R_X86_64_TLSGD,
            elf::R_X86_64_TLSLD,
            elf::R_X86_64_DTPOFF32,
            elf::R_X86_64_DTPOFF64,
        ]
        .iter()
        .any(|known| known.0 == kind)
    }

    fn same_kind(&self, one: u32, other: u32) -> bool {
        // The bytes around the field say what is done with the value.
        const ALIKE: [&[elf::RelocationType]; 3] = [
            &[elf::R_X86_64_PC32, elf::R_X86_64_PLT32],
            &[
                elf::R_X86_64_GOTPCREL,
                elf::R_X86_64_GOTPCRELX,
                elf::R_X86_64_REX_GOTPCRELX,
            ],
            &[elf::R_X86_64_32, elf::R_X86_64_32S],
        ];
        let has = |kinds: &[elf::RelocationType], kind| kinds.iter().any(|known| known.0 == kind);
        one == other
            || ALIKE
                .iter()
                .any(|kinds| has(kinds, one) && has(kinds, other))
    }

    fn width(&self, kind: u32) -> u64 {
        let is = |known: elf::RelocationType| known.0 == kind;
        if is(elf::R_X86_64_NONE) {
            0
        } else if is(elf::R_X86_64_64)
            || is(elf::R_X86_64_PC64)
            || is(elf::R_X86_64_TPOFF64)
            || is(elf::R_X86_64_DTPOFF64)
        {
            8
        } else if is(elf::R_X86_64_16) || is(elf::R_X86_64_PC16) {
            2
        } else if is(elf::R_X86_64_8) || is(elf::R_X86_64_PC8) {
            1
        } else {
            4
        }
    }

    fn branch_kind(&self) -> u32 {
        elf::R_X86_64_PC32.0
    }

    fn data_kind(&self) -> u32 {
        elf::R_X86_64_PC32.0
    }

    fn none_kind(&self) -> u32 {
        elf::R_X86_64_NONE.0
    }

    fn field_to_end(&self, section: Section<'_>, starts: &[u64]) -> Vec<u8> {
        let mut distances = vec![4; section.relocs.len()];
        let mut next = 0;
        let mut bounds = starts.to_vec();
        bounds.push(section.size);
        if bounds.first() != Some(&0) {
            bounds.insert(0, 0);
        }
        for range in bounds.windows(2) {
            for insn in decode(section.bytes(range[0], range[1]), range[0]) {
                while let Some(reloc) = section
                    .relocs
                    .get(next)
                    .filter(|reloc| reloc.offset < insn.next_ip())
                {
                    distances[next] = (insn.next_ip() - reloc.offset).min(15) as u8;
                    next += 1;
                }
            }
        }
        distances
    }

    fn local_branches(&self, section: Section<'_>, start: u64, end: u64) -> Vec<Branch> {
        let mut branches = Vec::new();
        let mut decoder =
            Decoder::with_ip(64, section.bytes(start, end), start, DecoderOptions::NONE);
        while decoder.can_decode() {
            let insn = decoder.decode();
            let offsets = decoder.get_constant_offsets(&insn);
            let (at, width, target) = if is_near_branch(&insn) {
                let width = offsets.immediate_size();
                (offsets.immediate_offset(), width, insn.near_branch_target())
            } else if insn.is_ip_rel_memory_operand() {
                let width = offsets.displacement_size();
                (
                    offsets.displacement_offset(),
                    width,
                    insn.ip_rel_memory_address(),
                )
            } else {
                continue;
            };
            let field = insn.ip() + at as u64;
            let relocated = !section.relocs_in(field, field + width as u64).is_empty();
            if !relocated && !(start..end).contains(&target) && target < section.size {
                branches.push(Branch {
                    field,
                    width: width as u8,
                    to_end: (insn.next_ip() - field) as u8,
                    target,
                });
            }
        }
        branches
    }

    fn returns(&self, code: &[u8]) -> bool {
        decode(code, 0).any(|insn| {
            let through_slot = insn.flow_control() == FlowControl::IndirectBranch
                && insn.is_ip_rel_memory_operand();
            insn.flow_control() == FlowControl::Return || through_slot
        })
    }

    fn backward_branches(&self, code: &[u8]) -> Vec<(u64, u64)> {
        decode(code, 0)
            .filter(|insn| is_near_branch(insn) && insn.flow_control() != FlowControl::Call)
            .map(|insn| (insn.near_branch_target(), insn.next_ip()))
            .filter(|(target, end)| target < end)
            .collect()
    }

    fn takes_address(&self, kind: u32, before: &[u8]) -> bool {
        // lea, with an operand relative to the instruction pointer
        let is_lea = matches!(before, [0x8d, modrm] if modrm & 0xc7 == 5);
        is_lea || !self.is_pc_relative(kind)
    }

    fn is_branch(&self, kind: u32, before: &[u8]) -> bool {
        let is_call = matches!(before, [.., 0xe8] | [0xff, 0x15]);
        self.is_jump(kind, before) || (is_call && self.is_pc_relative(kind))
    }

    fn is_jump(&self, kind: u32, before: &[u8]) -> bool {
        let jumps = matches!(before, [.., 0xe9] | [0x0f, 0x80..=0x8f]);
        jumps && self.is_pc_relative(kind)
    }

    fn calls_pointer(&self, code: &[u8]) -> bool {
        decode(code, 0).any(|insn| {
            let is_indirect = matches!(
                insn.flow_control(),
                FlowControl::IndirectCall | FlowControl::IndirectBranch
            );
            is_indirect && !insn.is_ip_rel_memory_operand()
        })
    }

    fn jump(&self) -> (&'static [u8], u8) {
        (&[0xe9, 0, 0, 0, 0], 1)
    }

    fn short_reach(&self) -> u64 {
        i8::MAX as u64
    }

    fn lands(&self, code: &[u8]) -> bool {
        code.starts_with(&ENDBR64)
    }

    fn fentry_site(&self, code: &[u8]) -> u64 {
        if self.lands(code) {
            ENDBR64.len() as u64
        } else {
            0
        }
    }

    fn called_at<'d>(
        &self,
        object: &Object<'d>,
        section: Section<'_>,
        site: u64,
    ) -> Option<&'d str> {
        // One byte of opcode, or two of a call through the global offset table: a register that is pushed before is none.
        let through_table = section.bytes(site, site.saturating_add(2)) == CALL_THROUGH_TABLE;
        let field = site.saturating_add(if through_table { 2 } else { 1 });
        let range = section.relocs_in(field, field.saturating_add(1));
        let reloc = section.relocs.range(range).next()?;
        Some(object.symbol(reloc.symbol).name())
    }

    fn ends_of_flow(&self, section: Section<'_>) -> BTreeSet<u64> {
        decode(section.data, 0)
            .filter(|insn| {
                matches!(
                    insn.flow_control(),
                    FlowControl::UnconditionalBranch
                        | FlowControl::IndirectBranch
                        | FlowControl::Return
                        | FlowControl::Exception
                        | FlowControl::Interrupt
                )
            })
            .map(|insn| insn.next_ip())
            .collect()
    }

    /// `movabs $CONSTANT, %REG` becomes `mov VARIABLE(%rip), %REG` and a `nop` of three bytes; neither touches the flags.
    fn load_instead(&self, code: &[u8], field: u64) -> Option<LoadInstead> {
        const NOP: [u8; 3] = [0x0f, 0x1f, 0x00];
        let start = field.checked_sub(2)?;
        let rest = code.get(usize::try_from(start).ok()?..)?;
        let insn = decode(rest, start).next()?;
        let is_constant = insn.len() == 10
            && insn.mnemonic() == Mnemonic::Mov
            && insn.op1_kind() == OpKind::Immediate64;
        let [rex, opcode] = *rest.first_chunk::<2>()?;
        let (low, high) = (opcode & 7, rex & 1);
        let mut bytes = vec![0x48 | high << 2, 0x8b, low << 3 | 0b101, 0, 0, 0, 0];
        bytes.extend(NOP);
        is_constant.then_some(LoadInstead {
            start,
            bytes,
            field: 3,
            bias: 4,
        })
    }

    fn is_nop(&self, code: &[u8]) -> bool {
        decode(code, 0)
            .next()
            .is_some_and(|insn| insn.mnemonic() == Mnemonic::Nop)
    }

    fn first_difference(&self, orig: &[u8], patched: &[u8]) -> Option<Difference> {
        let mut before = decode(orig, 0);
        let mut after = decode(patched, 0);
        loop {
            let (old, new) = (before.next(), after.next());
            let at = old.or(new)?.ip();
            let same = match (&old, &new) {
                (Some(old), Some(new)) => bytes_of(orig, old) == bytes_of(patched, new),
                _ => false,
            };
            if !same {
                return Some(Difference {
                    offset: at,
                    orig: render(old),
                    patched: render(new),
                });
            }
        }
    }

    fn instructions(&self, code: &[u8], start: u64, fields: &[u64], syntax: Syntax) -> Vec<Insn> {
        x86_64_text::instructions(code, start, fields, syntax)
    }

    fn argument_at(&self, code: &[u8], start: u64, field: u64) -> Option<usize> {
        let rest = code.get(usize::try_from(start).ok()?..)?;
        let insn = decode(rest, start).find(|insn| (insn.ip()..insn.next_ip()).contains(&field))?;
        let loads = matches!(insn.mnemonic(), Mnemonic::Mov | Mnemonic::Lea)
            && insn.op0_kind() == OpKind::Register;
        argument(insn.op0_register()).filter(|_| loads)
    }

    fn same_code(&self, orig: &Marked<'_>, patched: &Marked<'_>) -> Option<SameCode> {
        x86_64_same::same_code(orig, patched)
    }

    fn changed_constants(&self, orig: &[u8], patched: &[u8]) -> Option<Vec<ChangedConstant>> {
        if orig.len() != patched.len() {
            return None;
        }
        let mut changed = Vec::new();
        let mut block = 0;
        for (old, new) in decode(orig, 0).zip(decode(patched, 0)) {
            if old.len() != new.len() {
                return None;
            }
            let (before, after) = (bytes_of(orig, &old), bytes_of(patched, &new));
            if before != after {
                let mut constant = changed_constant(&new, before, after)?;
                constant.ways = ways::from(patched, block, &new, constant.argument.is_some());
                if constant.ways.is_empty() {
                    return None;
                }
                changed.push(constant);
            }
            if new.flow_control() != FlowControl::Next {
                block = new.next_ip();
            }
        }
        Some(changed)
    }
}

/// `mov $imm32, %reg` into a register that carries an argument, `push $imm32` or `mov $imm32, x(%rsp)`, with another
/// immediate: the last four bytes of the instruction.
fn changed_constant(insn: &Instruction, orig: &[u8], patched: &[u8]) -> Option<ChangedConstant> {
    let last = insn.op_count().checked_sub(1)?;
    let has_immediate = matches!(
        insn.op_kind(last),
        OpKind::Immediate32 | OpKind::Immediate32to64
    );
    let (head, value) = patched.split_last_chunk::<4>()?;
    let (orig_head, orig_value) = orig.split_last_chunk::<4>()?;
    if !has_immediate || head != orig_head {
        return None;
    }
    let argument = match (insn.mnemonic(), insn.op0_kind()) {
        (Mnemonic::Mov, OpKind::Register) => Some(argument(insn.op0_register())?),
        (Mnemonic::Mov, _) if insn.memory_base() == Register::RSP => None,
        (Mnemonic::Push, _) => None,
        _ => return None,
    };
    Some(ChangedConstant {
        orig: u32::from_le_bytes(*orig_value).into(),
        patched: u32::from_le_bytes(*value).into(),
        argument,
        ways: Vec::new(),
    })
}

/// Which argument a register carries, from 0 (System V ABI).
fn argument(register: Register) -> Option<usize> {
    const ARGUMENTS: [Register; 6] = [
        Register::RDI,
        Register::RSI,
        Register::RDX,
        Register::RCX,
        Register::R8,
        Register::R9,
    ];
    ARGUMENTS
        .iter()
        .position(|argument| *argument == register.full_register())
}

pub(super) fn decode(bytes: &[u8], ip: u64) -> impl Iterator<Item = Instruction> {
    let mut decoder = Decoder::with_ip(64, bytes, ip, DecoderOptions::NONE);
    std::iter::from_fn(move || decoder.can_decode().then(|| decoder.decode()))
}

fn bytes_of<'b>(bytes: &'b [u8], insn: &Instruction) -> &'b [u8] {
    bytes
        .get(insn.ip() as usize..insn.next_ip() as usize)
        .unwrap_or_default()
}

pub(super) fn is_near_branch(insn: &Instruction) -> bool {
    let branches = matches!(
        insn.flow_control(),
        FlowControl::ConditionalBranch
            | FlowControl::UnconditionalBranch
            | FlowControl::Call
            | FlowControl::XbeginXabortXend
    );
    branches && insn.op0_kind() == OpKind::NearBranch64
}

fn render(insn: Option<Instruction>) -> String {
    let Some(insn) = insn else {
        return "nothing".to_owned();
    };
    let mut text = String::new();
    IntelFormatter::new().format(&insn, &mut text);
    text
}

//! What a linked program refers to without saying so in the instruction: through slots that the dynamic linker fills,
//! through the stubs of the procedure linkage table, and from the thread pointer.
//!
//! A slot is known by the relocation that fills it, or by what the file has there. The tempting wrong way is to go by the
//! names of sections: static programs have stubs too, and a linker may call them what it likes.

use super::insn;
use super::symbols::Place;
use super::target::Target;
use iced_x86::{FlowControl, Mnemonic, OpKind};
use object::LittleEndian;
use object::elf::{self, FileHeader64};
use object::read::elf::{FileHeader as _, ProgramHeader as _, Rela as _, SectionHeader as _};
use object::read::{ReadRef, SectionIndex};

const ENDIAN: LittleEndian = LittleEndian;

/// The section of a [`Place`] in the block that each thread has: its offset counts from the block's start.
pub(super) const THREAD: u32 = u32::MAX;

/// What is known besides sections and symbols.
#[derive(Debug, Default)]
pub(super) struct Linked {
    /// What fills which address, by address.
    dynamic: Vec<(u64, Dynamic)>,
    /// The thread pointer, as an offset in the block of thread-local data.
    thread_pointer: u64,
}

/// A relocation of the dynamic linker.
#[derive(Debug, Clone)]
struct Dynamic {
    kind: elf::RelocationType,
    /// Empty for none.
    name: Vec<u8>,
    addend: i64,
}

/// What a slot is filled with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Slot {
    /// An address.
    Address,
    /// A distance from the thread pointer.
    FromThreadPointer,
    /// A module and an offset in its block (`tls_index`).
    Variable,
    /// The object itself as a module.
    Module,
}

/// What something of theirs refers to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found {
    /// A place.
    Place(Place),
    /// A symbol that is found by name, and the distance from it.
    Global(Vec<u8>, i64),
    /// The object itself as a module of thread-local storage.
    Module,
}

fn address(offset: u64) -> Found {
    Found::Place(Place { section: 0, offset })
}

impl Linked {
    /// Reads what a program has; nothing of a relocatable file.
    pub(super) fn read<'d, R: ReadRef<'d>>(
        header: &FileHeader64<LittleEndian>,
        data: R,
    ) -> object::read::Result<Self> {
        let sections = header.sections(ENDIAN, data)?;
        let mut linked = Self::default();
        for segment in header.program_headers(ENDIAN, data)? {
            if segment.p_type(ENDIAN) == elf::PT_TLS {
                let align = segment.p_align(ENDIAN).max(1);
                let size = segment.p_memsz(ENDIAN);
                linked.thread_pointer = size.checked_next_multiple_of(align).unwrap_or(size);
            }
        }
        for section in sections.iter() {
            let Some((relas, link)) = section.rela(ENDIAN, data)? else {
                continue;
            };
            if !section.sh_flags(ENDIAN).contains(elf::SHF_ALLOC) {
                continue;
            }
            let symbols = match link {
                SectionIndex(0) => None,
                link => Some(sections.symbol_table_by_index(ENDIAN, data, link)?),
            };
            for rela in relas {
                let index = rela.r_sym(ENDIAN, false) as usize;
                let named = symbols.as_ref().filter(|_| index != 0);
                let name = match named {
                    Some(table) => {
                        let symbol = table.symbol(object::SymbolIndex(index))?;
                        table.symbol_name(ENDIAN, symbol)?.to_vec()
                    }
                    None => Vec::new(),
                };
                let dynamic = Dynamic {
                    kind: rela.r_type(ENDIAN, false),
                    name,
                    addend: rela.r_addend(ENDIAN),
                };
                linked.dynamic.push((rela.r_offset(ENDIAN), dynamic));
            }
        }
        linked.dynamic.sort_by_key(|(at, _)| *at);
        Ok(linked)
    }

    /// The place in the block at a distance from the thread pointer.
    pub(super) fn at_thread_pointer(&self, distance: u64) -> Place {
        Place {
            section: THREAD,
            offset: self.thread_pointer.wrapping_add(distance),
        }
    }

    fn at(&self, address: u64) -> Option<&Dynamic> {
        let index = self.dynamic.partition_point(|(at, _)| *at < address);
        let (at, dynamic) = self.dynamic.get(index)?;
        (*at == address).then_some(dynamic)
    }

    /// What the dynamic linker writes at an address; none where it writes nothing.
    pub(super) fn written(&self, at: u64) -> Option<Found> {
        let dynamic = self.at(at)?;
        let named = || Some(Found::Global(dynamic.name.clone(), dynamic.addend));
        match dynamic.kind {
            elf::R_X86_64_RELATIVE | elf::R_X86_64_IRELATIVE => {
                Some(address(dynamic.addend as u64))
            }
            elf::R_X86_64_64 | elf::R_X86_64_GLOB_DAT | elf::R_X86_64_JUMP_SLOT => named(),
            elf::R_X86_64_TPOFF64 | elf::R_X86_64_DTPOFF64 if dynamic.name.is_empty() => {
                Some(Found::Place(Place {
                    section: THREAD,
                    offset: dynamic.addend as u64,
                }))
            }
            elf::R_X86_64_TPOFF64 => named(),
            elf::R_X86_64_DTPMOD64 if dynamic.name.is_empty() => Some(Found::Module),
            elf::R_X86_64_DTPMOD64 => named(),
            _ => None,
        }
    }
}

/// What a slot refers to.
pub(super) fn slot(target: &Target, at: u64, slot: Slot) -> Option<Found> {
    let linked = target.linked()?;
    let word = |at| {
        let place = Place {
            section: 0,
            offset: at,
        };
        let bytes = target.read(place, 8)?;
        Some(u64::from_le_bytes(bytes.try_into().ok()?))
    };
    match (slot, linked.written(at)) {
        (Slot::Variable, Some(Found::Module)) => {
            let behind = at.checked_add(8)?;
            let offset = linked.written(behind);
            offset.or_else(|| {
                Some(Found::Place(Place {
                    section: THREAD,
                    offset: word(behind)?,
                }))
            })
        }
        (Slot::Variable, found) => found,
        (Slot::Module, found) => found.filter(|found| *found == Found::Module),
        (Slot::Address | Slot::FromThreadPointer, Some(found)) => Some(found),
        (Slot::Address, None) => Some(address(word(at)?)),
        (Slot::FromThreadPointer, None) => Some(Found::Place(linked.at_thread_pointer(word(at)?))),
    }
}

/// What the code at a place goes on to at once, through a slot: a stub.
pub(super) fn stub(target: &Target, place: Place) -> Option<Found> {
    target.linked().filter(|_| place.section == 0)?;
    const LONGEST: u64 = 16;
    let code = (1..=LONGEST)
        .rev()
        .find_map(|len| target.read(place, len))?;
    let mut insns = insn::decode(&code, place.offset).into_iter();
    let mut first = insns.next()?;
    if first.instruction.mnemonic() == Mnemonic::Endbr64 {
        first = insns.next()?;
    }
    let insn = first.instruction;
    let jumps = insn.flow_control() == FlowControl::IndirectBranch
        && insn.op0_kind() == OpKind::Memory
        && insn.is_ip_rel_memory_operand();
    slot(
        target,
        jumps.then(|| insn.ip_rel_memory_address())?,
        Slot::Address,
    )
}

/// Whether their instruction is what a linker makes of one of ours that goes through a slot, where the way is short
/// enough to do without (x86-64 psABI, "Optimize GOTPCRELX Relocations", "Thread-Local Storage": initial to local exec).
pub(super) fn is_relaxed(ours: &insn::Insn, theirs: &insn::Insn, slot: Slot) -> bool {
    let (our, their) = (&ours.instruction, &theirs.instruction);
    let same_register = our.op0_kind() == OpKind::Register
        && their.op0_kind() == OpKind::Register
        && our.op0_register() == their.op0_register();
    let is_immediate = |kind| matches!(kind, OpKind::Immediate32 | OpKind::Immediate32to64);
    if !our.is_ip_rel_memory_operand() {
        return false;
    }
    match (slot, our.mnemonic(), their.mnemonic()) {
        (Slot::Address, Mnemonic::Mov, Mnemonic::Lea) => {
            same_register && their.is_ip_rel_memory_operand()
        }
        (Slot::Address, Mnemonic::Call, Mnemonic::Call) => theirs.is_branch(),
        (Slot::Address | Slot::FromThreadPointer, Mnemonic::Mov, Mnemonic::Mov)
        | (Slot::FromThreadPointer, Mnemonic::Add, Mnemonic::Add) => {
            same_register && is_immediate(their.op1_kind())
        }
        (Slot::FromThreadPointer, Mnemonic::Add, Mnemonic::Lea) => {
            same_register && their.memory_base() == their.op0_register()
        }
        _ => false,
    }
}

/// What their instruction refers to where ours goes through a slot.
pub(super) fn through(target: &Target, theirs: &insn::Insn, kind: Slot) -> Option<Found> {
    let insn = &theirs.instruction;
    let value = if insn.is_ip_rel_memory_operand() {
        let at = insn.ip_rel_memory_address();
        let is_address = insn.mnemonic() == Mnemonic::Lea && kind == Slot::Address;
        if !is_address {
            return slot(target, at, kind);
        }
        at
    } else if theirs.is_branch() {
        insn.near_branch64()
    } else if insn.mnemonic() == Mnemonic::Lea {
        insn.memory_displacement64()
    } else {
        match insn.op1_kind() {
            OpKind::Immediate32 => u64::from(insn.immediate32()),
            OpKind::Immediate32to64 => insn.immediate32to64() as u64,
            _ => return None,
        }
    };
    Some(match kind {
        Slot::Address => address(value),
        Slot::FromThreadPointer => Found::Place(target.linked()?.at_thread_pointer(value)),
        Slot::Variable | Slot::Module => return None,
    })
}

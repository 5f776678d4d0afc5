//! The sections of the output while they grow, and how they become ELF.
//!
//! Each has its relocations beside it and its symbol table behind all of them.

use object::build::elf::{Builder, Relocation, SectionData, SectionId as OutSection};
use object::elf;

/// The most bytes that are written: a damaged object can ask for any amount.
pub(super) const LARGEST: u64 = 256 << 20;

/// A section of the output while it grows.
pub(super) struct Pool {
    pub(super) name: String,
    pub(super) kind: u32,
    pub(super) flags: u64,
    /// The pool with the code that this one is about, which the linker keeps beside it (`SHF_LINK_ORDER`).
    pub(super) link: Option<usize>,
    pub(super) align: u64,
    pub(super) entsize: u64,
    pub(super) size: u64,
    pub(super) data: Vec<u8>,
    pub(super) relocs: Vec<Relocation>,
}

impl Pool {
    /// Appends bytes, or zeros that may take no bytes, at the next aligned offset. Returns the offset and the bytes by
    /// which the pool grew; of more than [`LARGEST`] in all pools, `written` so far, none are kept.
    pub(super) fn append(
        &mut self,
        bytes: &[u8],
        zeros: u64,
        align: u64,
        written: u64,
    ) -> (u64, u64) {
        let offset = self.size.next_multiple_of(align.max(1));
        self.size = offset
            .saturating_add(bytes.len() as u64)
            .saturating_add(zeros);
        if self.kind == elf::SHT_NOBITS.0 {
            return (offset, 0);
        }
        let grown = self.size.saturating_sub(self.data.len() as u64);
        if written.saturating_add(grown) <= LARGEST {
            self.data.resize(offset as usize, 0);
            self.data.extend_from_slice(bytes);
            self.data.resize(self.size as usize, 0);
        }
        (offset, grown)
    }
}

/// What its offset shows that a piece needs of its section's alignment.
pub(super) fn alignment_at(start: u64, align: u64) -> u64 {
    match start {
        0 => align,
        _ => align.min(1 << start.trailing_zeros()),
    }
}

pub(super) fn clear(data: &mut [u8], at: u64, width: u64) {
    let range = at as usize..(at + width) as usize;
    if let Some(field) = data.get_mut(range) {
        field.fill(0);
    }
}

pub(super) fn add_section(out: &mut Builder<'static>, pool: &Pool) -> OutSection {
    let section = out.sections.add();
    section.name = pool.name.clone().into_bytes().into();
    section.sh_type = elf::SectionType(pool.kind);
    section.sh_flags = elf::SectionFlags(pool.flags);
    section.sh_addralign = pool.align;
    section.sh_entsize = pool.entsize;
    section.id()
}

pub(super) fn fill_section(
    out: &mut Builder<'static>,
    id: OutSection,
    symtab: OutSection,
    pool: Pool,
) {
    let nobits = pool.kind == elf::SHT_NOBITS.0;
    out.sections.get_mut(id).data = if nobits {
        SectionData::UninitializedData(pool.size)
    } else {
        SectionData::Data(pool.data.into())
    };
    if pool.relocs.is_empty() {
        return;
    }
    let rela = out.sections.add();
    rela.name = format!(".rela{}", pool.name).into_bytes().into();
    rela.sh_type = elf::SHT_RELA;
    rela.sh_flags = elf::SHF_INFO_LINK;
    rela.sh_info_section = Some(id);
    rela.sh_link_section = Some(symtab);
    rela.sh_entsize = 24;
    rela.sh_addralign = 8;
    rela.data = SectionData::Relocation(pool.relocs);
}

/// Adds the symbol and string tables and says which section the symbols are in.
pub(super) fn add_tables(out: &mut Builder<'static>) -> OutSection {
    let mut add = |name: &'static str, kind, data, align| {
        let section = out.sections.add();
        section.name = name.as_bytes().into();
        section.sh_type = kind;
        section.sh_addralign = align;
        section.data = data;
        section.id()
    };
    let strtab = add(".strtab", elf::SHT_STRTAB, SectionData::String, 1);
    add(".shstrtab", elf::SHT_STRTAB, SectionData::SectionString, 1);
    let symtab = add(".symtab", elf::SHT_SYMTAB, SectionData::Symbol, 8);
    let section = out.sections.get_mut(symtab);
    section.sh_link_section = Some(strtab);
    section.sh_entsize = 24;
    symtab
}

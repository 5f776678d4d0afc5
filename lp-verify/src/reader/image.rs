//! A relocatable object's data as the loaded module will see it: bytes, and pointers where relocations put them.

use goblin::elf::{Elf, Sym, header, reloc, section_header, sym};
use std::collections::BTreeMap;

/// Goblin has no names for those of s390 (`arch/s390/include/asm/elf.h`).
const R_390_64: u32 = 22;

/// A place in the object: section index and bytes from its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) section: usize,
    pub(super) offset: u64,
}

impl Place {
    pub(super) fn plus(self, bytes: u64) -> Self {
        Self {
            offset: self.offset.wrapping_add(bytes),
            ..self
        }
    }
}

/// What an 8-byte field holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Pointer {
    /// Zero, and no relocation.
    Null,
    /// Somewhere in this object.
    Local(Place),
    /// A symbol of another object.
    Symbol(String),
    /// A number.
    Value(u64),
}

/// The object.
pub(super) struct Image<'d> {
    pub(super) elf: &'d Elf<'d>,
    data: &'d [u8],
    pointers: BTreeMap<Place, Pointer>,
    /// References from code: places as the relocation spells them, which a PC-relative one misses by some bytes.
    code: Vec<(Place, bool)>,
}

impl<'d> Image<'d> {
    pub(super) fn new(elf: &'d Elf<'d>, data: &'d [u8]) -> Self {
        let mut image = Self {
            elf,
            data,
            pointers: BTreeMap::new(),
            code: Vec::new(),
        };
        for (index, relocations) in &elf.shdr_relocs {
            let Some(header) = elf.section_headers.get(*index) else {
                continue;
            };
            let section = header.sh_info as usize;
            let Some(target) = elf.section_headers.get(section) else {
                continue;
            };
            let executable = target.sh_flags & u64::from(section_header::SHF_EXECINSTR) != 0;
            if target.sh_flags & u64::from(section_header::SHF_ALLOC) == 0 {
                continue;
            }
            for relocation in relocations {
                let Some(pointer) =
                    image.target(relocation.r_sym, relocation.r_addend.unwrap_or(0))
                else {
                    continue;
                };
                let kind = (elf.header.e_machine, relocation.r_type);
                match pointer {
                    Pointer::Local(place) if executable => {
                        image.code.push((place, is_absolute(kind)))
                    }
                    pointer if !executable && is_pointer(kind) => {
                        let field = Place {
                            section,
                            offset: relocation.r_offset,
                        };
                        image.pointers.insert(field, pointer);
                    }
                    _ => {}
                }
            }
        }
        image
    }

    /// All pointer fields in data, in order.
    pub(super) fn pointers(&self) -> impl Iterator<Item = (Place, &Pointer)> {
        self.pointers
            .iter()
            .map(|(place, pointer)| (*place, pointer))
    }

    /// The pointer fields in `bytes` from a place.
    pub(super) fn pointers_in(
        &self,
        start: Place,
        bytes: u64,
    ) -> impl Iterator<Item = (u64, &Pointer)> {
        let end = Place {
            section: start.section,
            offset: start.offset.saturating_add(bytes),
        };
        self.pointers
            .range(start..end.max(start))
            .map(move |(place, pointer)| (place.offset - start.offset, pointer))
    }

    /// An 8-byte field; `None` outside the section.
    pub(super) fn pointer(&self, at: Place) -> Option<Pointer> {
        if let Some(pointer) = self.pointers.get(&at) {
            return Some(pointer.clone());
        }
        Some(match self.number(at, 8)? {
            0 => Pointer::Null,
            value => Pointer::Value(value),
        })
    }

    /// A little-endian number of up to 8 bytes.
    pub(super) fn number(&self, at: Place, bytes: u64) -> Option<u64> {
        let header = self.elf.section_headers.get(at.section)?;
        if at.offset.checked_add(bytes)? > header.sh_size {
            return None;
        }
        if header.sh_type == section_header::SHT_NOBITS {
            return Some(0);
        }
        let start = usize::try_from(header.sh_offset.checked_add(at.offset)?).ok()?;
        let field = self
            .data
            .get(start..start.checked_add(usize::try_from(bytes).ok()?)?)?;
        Some(
            field
                .iter()
                .rev()
                .fold(0, |value, byte| value << 8 | u64::from(*byte)),
        )
    }

    /// So many bytes; `None` outside the section, or where it has none.
    pub(super) fn bytes(&self, at: Place, len: u64) -> Option<&'d [u8]> {
        let header = self.elf.section_headers.get(at.section)?;
        let end = at.offset.checked_add(len)?;
        if header.sh_type == section_header::SHT_NOBITS || end > header.sh_size {
            return None;
        }
        let start = usize::try_from(header.sh_offset.checked_add(at.offset)?).ok()?;
        self.data
            .get(start..start.checked_add(usize::try_from(len).ok()?)?)
    }

    /// The variables that code may write, by name with their sizes.
    pub(super) fn writable(&self) -> Vec<(Place, &'d str, u64)> {
        let is_writable = |sym: &Sym| {
            let wanted = u64::from(section_header::SHF_ALLOC | section_header::SHF_WRITE);
            let header = self.elf.section_headers.get(sym.st_shndx);
            sym.st_type() == sym::STT_OBJECT
                && header.is_some_and(|header| header.sh_flags & wanted == wanted)
        };
        let data = self.elf.syms.iter().filter(is_writable);
        data.filter_map(|sym| {
            let place = Place {
                section: sym.st_shndx,
                offset: sym.st_value,
            };
            Some((place, self.elf.strtab.get_at(sym.st_name)?, sym.st_size))
        })
        .collect()
    }

    /// A NUL-terminated text.
    pub(super) fn text(&self, at: Place) -> Option<&'d str> {
        let header = self.elf.section_headers.get(at.section)?;
        if header.sh_type == section_header::SHT_NOBITS || at.offset >= header.sh_size {
            return None;
        }
        let start = usize::try_from(header.sh_offset).ok()?;
        let section = self
            .data
            .get(start..start.checked_add(usize::try_from(header.sh_size).ok()?)?)?;
        let rest = &section[usize::try_from(at.offset).ok()?..];
        let end = rest.iter().position(|byte| *byte == 0)?;
        std::str::from_utf8(&rest[..end]).ok()
    }

    /// Whether a place is in code.
    pub(super) fn is_code(&self, at: Place) -> bool {
        let header = self.elf.section_headers.get(at.section);
        header.is_some_and(|header| header.sh_flags & u64::from(section_header::SHF_EXECINSTR) != 0)
    }

    /// Bytes of the datum that begins here, by its symbol.
    pub(super) fn size_of(&self, at: Place) -> Option<u64> {
        let symbols = self.elf.syms.iter();
        let sizes = symbols
            .filter(|sym| sym.st_shndx == at.section && sym.st_value == at.offset)
            .map(|sym| sym.st_size);
        sizes.filter(|size| *size > 0).max()
    }

    /// Whether code may read or write `start..end` bytes of the datum at a place other than by its address. A
    /// PC-relative field of x86-64 is spelt 4 bytes lower, and lower still by what follows it in its instruction.
    pub(super) fn code_reaches(&self, at: Place, start: u64, end: u64) -> bool {
        let fields = at.plus(start)..at.plus(end);
        self.code.iter().any(|(place, absolute)| {
            let biases: &[u64] = match self.elf.header.e_machine {
                header::EM_X86_64 if !absolute => &[4, 5, 6, 8],
                _ => &[0],
            };
            biases
                .iter()
                .any(|bias| fields.contains(&place.plus(*bias)))
        })
    }

    fn target(&self, symbol: usize, addend: i64) -> Option<Pointer> {
        let sym = self.elf.syms.get(symbol)?;
        if sym.st_shndx == 0 {
            return Some(Pointer::Symbol(
                self.elf.strtab.get_at(sym.st_name)?.to_owned(),
            ));
        }
        self.elf.section_headers.get(sym.st_shndx)?;
        let offset = sym.st_value.wrapping_add_signed(addend);
        Some(Pointer::Local(Place {
            section: sym.st_shndx,
            offset,
        }))
    }
}

/// 8-byte pointers, by machine and relocation type, of the architectures with livepatch.
fn is_pointer((machine, kind): (u16, u32)) -> bool {
    match machine {
        header::EM_X86_64 => kind == reloc::R_X86_64_64,
        header::EM_AARCH64 => kind == reloc::R_AARCH64_ABS64,
        header::EM_S390 => kind == R_390_64,
        header::EM_PPC64 => kind == reloc::R_PPC64_ADDR64,
        _ => false,
    }
}

/// Whether a field in code holds the address itself.
fn is_absolute((machine, kind): (u16, u32)) -> bool {
    is_pointer((machine, kind))
        || (machine == header::EM_X86_64
            && matches!(kind, reloc::R_X86_64_32 | reloc::R_X86_64_32S))
}

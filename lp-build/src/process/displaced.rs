//! Two builds of one program that differ in nothing but where data are.
//!
//! A variable that a program takes over from a library (`stdout`; R_X86_64_COPY) is aligned as that library happened to have it, and what
//! comes behind it moves with it. So the same source, built where libc is one update older, has the same code, but for the distances
//! from an instruction to a datum. All of these must tell one story: then the symbols of the one build, moved, are those of the other.
//!
//! What no reference tells of is left out. The tempting wrong way is to take any two codes for equal whose distances are masked: a
//! table that became longer moves data as well, and then the two are not of one source.

use iced_x86::{Decoder, DecoderOptions, Instruction};
use object::read::elf::{ElfFile64, FileHeader, SectionHeader, Sym};
use object::{
    Endianness, Object, ObjectSection, ObjectSymbol, ObjectSymbolTable, RelocationFlags,
    RelocationTarget, SectionFlags, elf,
};
use std::collections::BTreeMap;

/// No variable of a library is aligned to more: data move by less.
const MOST: u64 = 64;

/// An ELF file with this machine's word.
pub(super) type File<'d> = ElfFile64<'d, Endianness>;

/// Where the data of the one build are in the other.
#[derive(Debug)]
pub(super) struct Moves {
    /// Of each section that holds data, by index in our file.
    sections: BTreeMap<usize, Section>,
    /// Variables that libraries had first: addresses in both, by name.
    copies: BTreeMap<Vec<u8>, (u64, u64)>,
}

/// A section of ours.
#[derive(Debug)]
struct Section {
    range: std::ops::Range<u64>,
    /// From ours to theirs.
    by: i64,
    /// Whether it holds variables that libraries had first: then parts of it may move by something else.
    has_copies: bool,
    /// By how much what code refers to moved, by our addresses.
    told: BTreeMap<u64, i64>,
}

/// Finds how the data moved; the first place where the code differs in another way, or what does not fit, where it is not that.
pub(super) fn find(ours: &File<'_>, theirs: &File<'_>) -> Result<Moves, String> {
    let copies = copies(ours, theirs)?;
    let mut moves = Moves {
        sections: sections(ours, theirs, &copies)?,
        copies,
    };
    for section in theirs.sections().filter(is_code) {
        let name = section.name().unwrap_or_default().to_owned();
        let own = ours.section_by_name(&name);
        let own = own.filter(|own| own.address() == section.address());
        let own = own.and_then(|own| own.data().ok()).unwrap_or_default();
        let data = section.data().unwrap_or_default();
        let pairs = references((own, data), section.address())
            .map_err(|at| format!("{name} differs at +{at:#x}"))?;
        for (ours, theirs) in pairs {
            moves.tell(ours, theirs).map_err(|at| {
                format!("{name} refers to {at:#x} and to {theirs:#x}, which are not the same")
            })?;
        }
    }
    Ok(moves)
}

impl Moves {
    /// Takes a reference for what it says; our address where that cannot be.
    fn tell(&mut self, ours: u64, theirs: u64) -> Result<(), u64> {
        let by = theirs.wrapping_sub(ours).cast_signed();
        if let Some((_, place)) = self.copies.values().find(|(at, _)| *at == ours) {
            return if *place == theirs { Ok(()) } else { Err(ours) };
        }
        // The end of a section is also the beginning of the next.
        let inside =
            |section: &&mut Section| section.range.contains(&ours) || section.range.end == ours;
        let mut sections = self.sections.values_mut().filter(inside).peekable();
        if sections.peek().is_none() {
            return if by == 0 { Ok(()) } else { Err(ours) };
        }
        let fits = |section: &&mut Section| match section.has_copies {
            true => by.wrapping_sub(section.by).unsigned_abs() < MOST,
            false => by == section.by,
        };
        let section = sections.find(fits).ok_or(ours)?;
        match section.told.insert(ours, by) {
            Some(other) if other != by => Err(ours),
            _ => Ok(()),
        }
    }

    /// Where a datum of ours is in the other build; none where nothing tells.
    fn place(&self, section: usize, name: &[u8], address: u64) -> Option<u64> {
        if let Some((_, place)) = self.copies.get(name).filter(|(at, _)| *at == address) {
            return Some(*place);
        }
        let Some(section) = self.sections.get(&section) else {
            return Some(address);
        };
        if !section.has_copies {
            return Some(address.wrapping_add_signed(section.by));
        }
        let (_, below) = section.told.range(..=address).next_back()?;
        let (_, above) = section.told.range(address..).next()?;
        (below == above).then(|| address.wrapping_add_signed(*below))
    }

    /// Our file with its symbols and sections where they are in the other build; symbols of which nothing tells have no place.
    ///
    /// None where the file is damaged.
    pub(super) fn applied(&self, data: &[u8]) -> Option<Vec<u8>> {
        let mut moved = data.to_vec();
        let header = elf::FileHeader64::<Endianness>::parse(data).ok()?;
        let endian = header.endian().ok()?;
        let table = header.sections(endian, data).ok()?;
        let start = usize::try_from(header.e_shoff(endian)).ok()?;
        for (index, section) in &self.sections {
            let address = section.range.start.wrapping_add_signed(section.by);
            // `sh_addr` is the fourth field, behind 4 + 4 + 8 bytes.
            let at = start + index * size_of::<elf::SectionHeader64<Endianness>>() + 16;
            moved
                .get_mut(at..at + 8)?
                .copy_from_slice(&address.to_le_bytes());
        }
        let (_, symtab) = table
            .enumerate()
            .find(|(_, section)| section.sh_type(endian) == elf::SHT_SYMTAB)?;
        let symbols = table.symbols(endian, data, elf::SHT_SYMTAB).ok()?;
        let start = usize::try_from(symtab.sh_offset(endian)).ok()?;
        for (index, symbol) in symbols.enumerate() {
            let section = usize::from(symbol.st_shndx(endian).0);
            if symbol.is_undefined(endian) || !self.sections.contains_key(&section) {
                continue;
            }
            let name = symbol.name(endian, symbols.strings()).ok()?;
            let place = self.place(section, name, symbol.st_value(endian));
            let at = start + index.0 * size_of::<elf::Sym64<Endianness>>();
            let bytes = moved.get_mut(at..at + size_of::<elf::Sym64<Endianness>>())?;
            // `st_shndx` is behind 6 bytes, `st_value` behind 8.
            match place {
                Some(place) => bytes.get_mut(8..16)?.copy_from_slice(&place.to_le_bytes()),
                None => bytes
                    .get_mut(6..8)?
                    .copy_from_slice(&elf::SHN_UNDEF.0.to_le_bytes()),
            }
        }
        Some(moved)
    }
}

/// What both take over from libraries. The same names of the same size, or the two do not fit.
fn copies(ours: &File<'_>, theirs: &File<'_>) -> Result<BTreeMap<Vec<u8>, (u64, u64)>, String> {
    let (own, other) = (taken(ours), taken(theirs));
    let is_same = own.len() == other.len()
        && own
            .iter()
            .zip(&other)
            .all(|((name, (_, size)), (other, (_, other_size)))| {
                name == other && size == other_size
            });
    if !is_same {
        return Err("they take other variables over from libraries".to_owned());
    }
    Ok(own
        .into_iter()
        .zip(other.into_values())
        .map(|((name, (at, _)), (place, _))| (name, (at, place)))
        .collect())
}

/// Address and size of each variable that a library had first, by name.
fn taken(file: &File<'_>) -> BTreeMap<Vec<u8>, (u64, u64)> {
    let table = file.dynamic_symbol_table();
    let copied = file
        .dynamic_relocations()
        .into_iter()
        .flatten()
        .filter_map(|(at, relocation)| {
            let RelocationFlags::Elf { r_type } = relocation.flags() else {
                return None;
            };
            let RelocationTarget::Symbol(symbol) = relocation.target() else {
                return None;
            };
            let symbol = table.as_ref()?.symbol_by_index(symbol).ok()?;
            let name = symbol.name_bytes().ok()?.to_vec();
            (r_type == elf::R_X86_64_COPY).then(|| (name, (at, symbol.size())))
        });
    copied.collect()
}

/// The sections of ours that hold data, with what is known of them before any code is read.
fn sections(
    ours: &File<'_>,
    theirs: &File<'_>,
    copies: &BTreeMap<Vec<u8>, (u64, u64)>,
) -> Result<BTreeMap<usize, Section>, String> {
    let mut found = BTreeMap::new();
    for section in ours
        .sections()
        .filter(|section| is_loaded(section) && !is_code(section))
    {
        let name = section.name().unwrap_or_default();
        let range = section.address()..section.address().saturating_add(section.size());
        let has_copies = copies.values().any(|(at, _)| range.contains(at));
        let other = theirs.section_by_name(name);
        let other = other.ok_or_else(|| format!("there is no section {name}"))?;
        let grown = other.size().wrapping_sub(section.size()).cast_signed();
        if grown != 0 && (!has_copies || grown.unsigned_abs() >= MOST) {
            return Err(format!(
                "{name} has {:#x} bytes, and in the build {:#x}",
                other.size(),
                section.size()
            ));
        }
        found.insert(
            section.index().0,
            Section {
                by: other
                    .address()
                    .wrapping_sub(section.address())
                    .cast_signed(),
                range,
                has_copies,
                told: BTreeMap::new(),
            },
        );
    }
    Ok(found)
}

/// The addresses that instructions of both codes refer to from where they are; where the two differ in another way.
fn references((ours, theirs): (&[u8], &[u8]), address: u64) -> Result<Vec<(u64, u64)>, usize> {
    if ours.len() != theirs.len() {
        return Err(ours
            .iter()
            .zip(theirs)
            .take_while(|(one, other)| one == other)
            .count());
    }
    let mut decoder = Decoder::with_ip(64, theirs, address, DecoderOptions::NONE);
    let mut instruction = Instruction::default();
    let mut found = Vec::new();
    while decoder.can_decode() {
        let start = decoder.position();
        decoder.decode_out(&mut instruction);
        let range = start..decoder.position();
        let (own, other) = (
            ours.get(range.clone()).ok_or(start)?,
            theirs.get(range).ok_or(start)?,
        );
        if !instruction.is_ip_rel_memory_operand() {
            if own != other {
                return Err(start);
            }
            continue;
        }
        let offsets = decoder.get_constant_offsets(&instruction);
        let field = offsets.displacement_offset()
            ..offsets.displacement_offset() + offsets.displacement_size();
        let is_same_around = own.get(..field.start) == other.get(..field.start)
            && own.get(field.end..) == other.get(field.end..);
        if !is_same_around || field.len() != 4 {
            return Err(start);
        }
        let distance = own.get(field).and_then(|bytes| bytes.try_into().ok());
        let distance = i32::from_le_bytes(distance.ok_or(start)?);
        let target = instruction.next_ip().wrapping_add_signed(distance.into());
        found.push((target, instruction.ip_rel_memory_address()));
    }
    Ok(found)
}

/// Whether a section is in memory.
pub(super) fn is_loaded<'d>(section: &impl ObjectSection<'d>) -> bool {
    matches!(section.flags(), SectionFlags::Elf { sh_flags, .. } if sh_flags.contains(elf::SHF_ALLOC))
}

/// Whether it is run.
pub(super) fn is_code<'d>(section: &impl ObjectSection<'d>) -> bool {
    matches!(section.flags(), SectionFlags::Elf { sh_flags, .. } if sh_flags.contains(elf::SHF_ALLOC | elf::SHF_EXECINSTR))
}

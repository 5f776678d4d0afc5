//! Two builds of one program that differ in nothing but where things are.
//!
//! A variable that a program takes over from a library (`stdout`; R_X86_64_COPY) is aligned as that library happened to have it, and what
//! comes behind it moves with it. A text that says where or with which options the program was built is longer or shorter. So is what
//! says where its libraries are (RUNPATH), which goes with the installation. So the same source, built elsewhere, has the same code, but for the distances
//! from an instruction to a datum. All of these must tell one story: then the symbols of the one build, moved, are those of the other.
//!
//! What no reference tells of is left out. The tempting wrong way is to take any two codes for equal whose distances are masked: a
//! table that became longer moves data as well, and then the two are not of one source.

mod references;
mod sections;
mod texts;

use object::read::elf::{ElfFile64, FileHeader, SectionHeader, Sym};
use object::{
    Endianness, Object, ObjectSection, ObjectSymbol, ObjectSymbolTable, RelocationFlags,
    RelocationTarget, SectionFlags, elf,
};
use references::Pair;
use std::collections::BTreeMap;
use std::ops::Range;
use texts::Contents;

/// An ELF file with this machine's word.
pub(super) type File<'d> = ElfFile64<'d, Endianness>;

/// Where the data of the one build are in the other.
#[derive(Debug)]
pub(super) struct Moves {
    /// Of each section that is in memory, by index in our file.
    sections: BTreeMap<usize, Section>,
    /// Variables that libraries had first: addresses in both, by name.
    copies: BTreeMap<Vec<u8>, (u64, u64)>,
    /// A text of ours, and what it is in the other build.
    pub(super) other_text: Option<(String, String)>,
}

/// A section of ours.
#[derive(Debug)]
struct Section {
    name: String,
    range: Range<u64>,
    /// From the beginning of ours to that of theirs.
    by: i64,
    /// The same of their ends.
    end_by: i64,
    inside: Inside,
    /// By how much what is referred to moved, by our addresses.
    told: BTreeMap<u64, i64>,
    /// Where parts end that moved as a whole, and by how much; by our addresses, where they begin.
    sure: BTreeMap<u64, (u64, i64)>,
}

/// What parts of a section may have moved by something else.
#[derive(Debug)]
enum Inside {
    /// None: it moved as a whole.
    Rigid,
    /// Those between variables that libraries had first.
    Copies,
    /// Those between texts.
    Texts(Contents),
}

/// Finds how the data moved; the first place where the code differs in another way, or what does not fit, where it is not that.
pub(super) fn find(ours: &File<'_>, theirs: &File<'_>) -> Result<Moves, String> {
    let copies = copies(ours, theirs)?;
    let mut moves = Moves {
        sections: sections::pair(ours, theirs, &copies)?,
        copies,
        other_text: None,
    };
    for section in theirs.sections().filter(is_code) {
        let name = section.name().unwrap_or_default();
        let own = ours.section_by_name(name);
        let own = own.ok_or_else(|| format!("the build has no {name}"))?;
        let (address, place) = (own.address(), section.address());
        let (own, data) = (own.data(), section.data());
        let own = (own.unwrap_or_default(), address);
        let pairs = references::of_code(own, (data.unwrap_or_default(), place))
            .map_err(|at| format!("{name} differs at +{at:#x}"))?;
        moves.tell_all(name, pairs)?;
    }
    let pointers = references::of_pointers(ours, theirs);
    let pointers = pointers.ok_or("they have not as many pointers")?;
    moves.tell_all("a pointer", pointers)?;
    moves.sections.values_mut().try_for_each(Section::settle)?;
    Ok(moves)
}

impl Moves {
    fn tell_all(&mut self, who: &str, pairs: Vec<Pair>) -> Result<(), String> {
        let mut pairs = pairs.into_iter();
        pairs.try_for_each(|(ours, theirs)| {
            self.tell(ours, theirs).map_err(|at| {
                format!("{who} refers to {at:#x} and to {theirs:#x}, which are not the same")
            })
        })
    }

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
        if let Some((text, other)) = sections.peek().and_then(|it| it.texts(ours, theirs)) {
            if text != other && self.other_text.is_none() {
                self.other_text = Some((text.to_owned(), other.to_owned()));
            }
            return Ok(());
        }
        let section = sections
            .find(|section| section.may_move(ours, by))
            .ok_or(ours)?;
        match section.told.insert(ours, by) {
            Some(other) if other != by => Err(ours),
            _ => Ok(()),
        }
    }

    /// Where a symbol of ours is in the other build; none where nothing tells.
    fn place(&self, section: usize, name: &[u8], address: u64) -> Option<u64> {
        if let Some((_, place)) = self.copies.get(name).filter(|(at, _)| *at == address) {
            return Some(*place);
        }
        match self.sections.get(&section) {
            Some(section) => section.place(address),
            None => Some(address),
        }
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

/// Whether a section is in memory.
pub(super) fn is_loaded<'d>(section: &impl ObjectSection<'d>) -> bool {
    matches!(section.flags(), SectionFlags::Elf { sh_flags, .. } if sh_flags.contains(elf::SHF_ALLOC))
}

/// Whether it is run.
pub(super) fn is_code<'d>(section: &impl ObjectSection<'d>) -> bool {
    matches!(section.flags(), SectionFlags::Elf { sh_flags, .. } if sh_flags.contains(elf::SHF_ALLOC | elf::SHF_EXECINSTR))
}

//! What the dynamic linker knows of an object: its dynamic symbols with their versions, what it needs, and the slots that
//! are filled in when it is loaded.
//!
//! Found as the dynamic linker finds it, from `PT_DYNAMIC` alone. A program without (a static one) may still have
//! slots, for its IFUNCs: those are found by its sections. In memory glibc has added the bias to the table's addresses, in
//! the file it has not; both are understood.

use crate::process::read::elf::{Elf, ElfError, text_at};
use object::LittleEndian as LE;
use object::elf::{self, Dyn64, Rela64, Sym64};
use object::pod::{Pod, slice_from_all_bytes};
use std::collections::BTreeMap;

/// Bytes of an `Elf64_Rela`.
const RELA: u64 = 24;
/// Bytes of an `Elf64_Sym`.
const SYM: u64 = 24;
/// `VERSYM_HIDDEN`
const HIDDEN: u16 = 0x8000;

/// A dynamic symbol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DynamicSymbol {
    name: u32,
    /// `st_value`
    pub value: u64,
    /// `st_size`
    pub size: u64,
    /// `STT_*`
    pub kind: u8,
    /// `STB_*`
    pub bind: u8,
    /// `STV_*`
    pub visibility: u8,
    /// `st_shndx` is a section (or `SHN_ABS`).
    pub defined: bool,
    /// It is a number, not a place (`SHN_ABS`).
    pub absolute: bool,
    /// Index into the versions, without the hidden bit; 0 and 1 mean none.
    version: u16,
    /// It is not the default version of its name.
    pub hidden: bool,
}

/// A place that is filled in when the object is loaded, or when a function is first called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot {
    /// `R_X86_64_*`
    pub kind: u32,
    /// Its address, in the file's terms.
    pub address: u64,
    /// Index of the dynamic symbol; 0 where there is none.
    pub symbol: u32,
    /// `r_addend`
    pub addend: i64,
}

/// What the dynamic linker knows of an object.
#[derive(Debug, Default)]
pub struct Dynamic {
    /// `DT_SONAME`
    pub soname: Option<Vec<u8>>,
    /// `DT_NEEDED`
    pub needed: Vec<Vec<u8>>,
    /// Its own definitions come before all others' (`DT_SYMBOLIC`, `DF_SYMBOLIC`).
    pub symbolic: bool,
    /// Its code has relocations (`DT_TEXTREL`, `DF_TEXTREL`).
    pub text_relocations: bool,
    /// Where the address of the `struct r_debug` is, in the file's terms (`DT_DEBUG`).
    pub debug: Option<u64>,
    /// The dynamic symbols, by index.
    pub symbols: Vec<DynamicSymbol>,
    /// The slots.
    pub slots: Vec<Slot>,
    strings: Vec<u8>,
    versions: BTreeMap<u16, Vec<u8>>,
    /// Indexes of symbols by name.
    by_name: Vec<u32>,
}

impl Dynamic {
    /// Reads it from the file of an object that is loaded with this bias.
    ///
    /// # Errors
    /// Where a table is damaged.
    pub fn read(elf: &Elf, bias: u64) -> Result<Self, ElfError> {
        let Some(segment) = elf.segment(elf::PT_DYNAMIC) else {
            return Self::of_static(elf);
        };
        let size = segment.file_size & !15;
        let entries = records::<Dyn64<LE>>(&elf.at(segment.address, size)?)?;
        let tags = Tags::new(&entries, elf, bias);
        let mut dynamic = Self::default();
        if let (Some(at), Some(size)) = (tags.address(elf::DT_STRTAB), tags.get(elf::DT_STRSZ)) {
            dynamic.strings = elf.at(at, size)?;
        }
        let text = |offset: u64| {
            u32::try_from(offset)
                .ok()
                .map(|at| text_at(&dynamic.strings, at))
        };
        dynamic.soname = tags.get(elf::DT_SONAME).and_then(text).map(<[u8]>::to_vec);
        let needed = tags.all(elf::DT_NEEDED).filter_map(text);
        dynamic.needed = needed.map(<[u8]>::to_vec).collect();
        let flags = tags.get(elf::DT_FLAGS).unwrap_or(0);
        dynamic.symbolic = tags.get(elf::DT_SYMBOLIC).is_some() || flags & elf::DF_SYMBOLIC.0 != 0;
        dynamic.text_relocations =
            tags.get(elf::DT_TEXTREL).is_some() || flags & elf::DF_TEXTREL.0 != 0;
        let debug = entries
            .iter()
            .position(|it| it.d_tag.get(LE) == elf::DT_DEBUG);
        dynamic.debug = debug.map(|index| segment.address + 16 * index as u64 + 8);
        dynamic.read_symbols(elf, &tags)?;
        dynamic.read_versions(elf, &tags)?;
        for (table, size) in [
            (elf::DT_RELA, elf::DT_RELASZ),
            (elf::DT_JMPREL, elf::DT_PLTRELSZ),
        ] {
            if let (Some(at), Some(size)) = (tags.address(table), tags.get(size)) {
                dynamic.add_slots(&elf.at(at, size)?)?;
            }
        }
        Ok(dynamic)
    }

    fn of_static(elf: &Elf) -> Result<Self, ElfError> {
        let mut dynamic = Self::default();
        let alloc = elf::SHF_ALLOC.0;
        let is_rela = |kind: u32| kind == elf::SHT_RELA.0;
        for section in elf
            .sections()
            .iter()
            .filter(|it| is_rela(it.kind) && it.flags & alloc != 0)
        {
            dynamic.add_slots(&elf.contents(section)?)?;
        }
        Ok(dynamic)
    }

    fn read_symbols(&mut self, elf: &Elf, tags: &Tags) -> Result<(), ElfError> {
        let Some(at) = tags.address(elf::DT_SYMTAB) else {
            return Ok(());
        };
        let count = symbol_count(elf, tags)?;
        let raw = records::<Sym64<LE>>(&elf.at(at, u64::from(count) * SYM)?)?;
        let versym = match tags.address(elf::DT_VERSYM) {
            Some(at) => elf.at(at, u64::from(count) * 2)?,
            None => Vec::new(),
        };
        let versions = versym
            .as_chunks::<2>()
            .0
            .iter()
            .map(|it| u16::from_le_bytes(*it));
        // Without a table each symbol is the only version of its name.
        let versions = versions.chain(std::iter::repeat(1));
        self.symbols = raw.iter().zip(versions).map(DynamicSymbol::new).collect();
        self.by_name = (0..count).collect();
        let Self {
            by_name,
            symbols,
            strings,
            ..
        } = self;
        let name = |index: &u32| {
            symbols
                .get(*index as usize)
                .map(|it| text_at(strings, it.name))
        };
        by_name.sort_by_cached_key(|index| (name(index), *index));
        Ok(())
    }

    fn read_versions(&mut self, elf: &Elf, tags: &Tags) -> Result<(), ElfError> {
        if let (Some(at), Some(count)) = (tags.address(elf::DT_VERDEF), tags.get(elf::DT_VERDEFNUM))
        {
            let bytes = elf.at(at, elf.bytes_left(at))?;
            each_of_chain(&bytes, count, 16, |entry| {
                // vd_ndx, vd_aux; of the first Verdaux vda_name.
                let aux = word(&bytes, entry + 12)? as usize;
                let name = word(&bytes, entry.checked_add(aux)?)?;
                self.add_version(half(&bytes, entry + 4)?, name);
                Some(())
            });
        }
        if let (Some(at), Some(count)) =
            (tags.address(elf::DT_VERNEED), tags.get(elf::DT_VERNEEDNUM))
        {
            let bytes = elf.at(at, elf.bytes_left(at))?;
            each_of_chain(&bytes, count, 12, |entry| {
                // vn_cnt, vn_aux; of each Vernaux vna_other and vna_name.
                let first = entry.checked_add(word(&bytes, entry + 8)? as usize)?;
                let aux = bytes.get(first..)?;
                let count = half(&bytes, entry + 2)?;
                each_of_chain(aux, count.into(), 12, |entry| {
                    self.add_version(half(aux, entry + 6)?, word(aux, entry + 8)?);
                    Some(())
                });
                Some(())
            });
        }
        Ok(())
    }

    fn add_version(&mut self, index: u16, name: u32) {
        let name = text_at(&self.strings, name).to_vec();
        self.versions.insert(index & !HIDDEN, name);
    }

    fn add_slots(&mut self, bytes: &[u8]) -> Result<(), ElfError> {
        let raw = records::<Rela64<LE>>(&bytes[..bytes.len() - bytes.len() % RELA as usize])?;
        let slot = |raw: &Rela64<LE>| Slot {
            kind: raw.r_info.get(LE) as u32,
            address: raw.r_offset.get(LE),
            symbol: (raw.r_info.get(LE) >> 32) as u32,
            addend: raw.r_addend.get(LE),
        };
        let relative = |slot: &Slot| slot.kind == elf::R_X86_64_RELATIVE.0;
        let slots = raw.iter().map(slot).filter(|slot| !relative(slot));
        self.slots.extend(slots);
        Ok(())
    }

    /// A symbol's name.
    pub fn name(&self, symbol: &DynamicSymbol) -> &[u8] {
        text_at(&self.strings, symbol.name)
    }

    /// The version that a symbol has or asks for; none where it has none, or the object's own name stands for it.
    pub fn version(&self, symbol: &DynamicSymbol) -> Option<&[u8]> {
        match symbol.version {
            0 | 1 => None,
            index => self.versions.get(&index).map(Vec::as_slice),
        }
    }

    /// Whether the object gives any of its symbols a version.
    pub fn has_versions(&self) -> bool {
        self.symbols
            .iter()
            .any(|symbol| symbol.defined && symbol.version > 1)
    }

    /// All symbols of a name, in the order of the table.
    pub fn named<'a>(&'a self, name: &'a [u8]) -> impl Iterator<Item = &'a DynamicSymbol> {
        let at = |index: &u32| self.symbols.get(*index as usize);
        let of = move |index: &u32| at(index).map(|it| self.name(it));
        let start = self.by_name.partition_point(|index| of(index) < Some(name));
        let rest = self.by_name[start..].iter();
        rest.take_while(move |index| of(index) == Some(name))
            .filter_map(at)
    }

    /// The symbol that a slot is for.
    pub fn symbol_of(&self, slot: &Slot) -> Option<&DynamicSymbol> {
        (slot.symbol != 0).then(|| self.symbols.get(slot.symbol as usize))?
    }
}

impl DynamicSymbol {
    fn new((raw, version): (&Sym64<LE>, u16)) -> Self {
        Self {
            name: raw.st_name.get(LE),
            value: raw.st_value.get(LE),
            size: raw.st_size.get(LE),
            kind: raw.st_info.0 & 0xf,
            bind: raw.st_info.0 >> 4,
            visibility: raw.st_other.0 & 3,
            defined: raw.st_shndx.get(LE) != elf::SHN_UNDEF,
            absolute: raw.st_shndx.get(LE) == elf::SHN_ABS,
            version: version & !HIDDEN,
            hidden: version & HIDDEN != 0,
        }
    }

    /// Whether other objects may bind to it.
    pub fn is_exported(&self) -> bool {
        let hidden = [elf::STV_HIDDEN.0, elf::STV_INTERNAL.0].contains(&self.visibility);
        self.defined && self.bind != elf::STB_LOCAL.0 && self.version != 0 && !hidden
    }
}

/// The entries of the dynamic section.
struct Tags<'a> {
    entries: Vec<(i64, u64)>,
    elf: &'a Elf,
    bias: u64,
}

impl<'a> Tags<'a> {
    fn new(entries: &[Dyn64<LE>], elf: &'a Elf, bias: u64) -> Self {
        let entries = entries
            .iter()
            .map(|it| (it.d_tag.get(LE).0, it.d_val.get(LE)));
        let entries = entries
            .take_while(|(tag, _)| *tag != elf::DT_NULL.0)
            .collect();
        Self { entries, elf, bias }
    }

    fn all(&self, tag: elf::DynamicTag) -> impl Iterator<Item = u64> {
        let entries = self.entries.iter().filter(move |(it, _)| *it == tag.0);
        entries.map(|(_, value)| *value)
    }

    fn get(&self, tag: elf::DynamicTag) -> Option<u64> {
        self.all(tag).next()
    }

    fn address(&self, tag: elf::DynamicTag) -> Option<u64> {
        let value = self.get(tag).filter(|value| *value != 0)?;
        let relocated = !self.elf.span().contains(&value);
        Some(if relocated {
            value.wrapping_sub(self.bias)
        } else {
            value
        })
    }
}

/// How many dynamic symbols there are: only the hash tables say.
fn symbol_count(elf: &Elf, tags: &Tags) -> Result<u32, ElfError> {
    if let Some(section) = elf.section_of(elf::SHT_DYNSYM) {
        let count = u32::try_from(section.size / SYM);
        return count.map_err(|_| ElfError::Damaged("its dynamic symbols"));
    }
    if let Some(at) = tags.address(elf::DT_HASH) {
        let head = elf.at(at, 8)?;
        return word(&head, 4).ok_or(ElfError::Damaged("its hash table"));
    }
    match tags.address(elf::DT_GNU_HASH) {
        Some(at) => {
            let table = elf.at(at, elf.bytes_left(at))?;
            gnu_hash_count(&table).ok_or(ElfError::Damaged("its GNU hash table"))
        }
        None => Ok(0),
    }
}

/// The last chain's end is the last symbol (`dl_new_hash` tables hold the defined symbols in order, after the others).
fn gnu_hash_count(table: &[u8]) -> Option<u32> {
    let (buckets, first) = (word(table, 0)?, word(table, 4)?);
    let at_buckets = 16usize.checked_add((word(table, 8)? as usize).checked_mul(8)?)?;
    let at_chains = at_buckets.checked_add((buckets as usize).checked_mul(4)?)?;
    let heads = table.get(at_buckets..at_chains)?.as_chunks::<4>().0.iter();
    let last = heads.map(|it| u32::from_le_bytes(*it)).max().unwrap_or(0);
    if last < first {
        return Some(first);
    }
    let chain = table.get(at_chains.checked_add((last - first) as usize * 4)?..)?;
    let chain = chain.as_chunks::<4>().0.iter();
    let more = chain
        .map(|it| u32::from_le_bytes(*it))
        .position(|hash| hash & 1 == 1)?;
    last.checked_add(u32::try_from(more).ok()?)?.checked_add(1)
}

/// Visits the entries of a chain whose last word is the distance to the next one (`vd_next`, `vn_next`, `vna_next`).
fn each_of_chain(
    bytes: &[u8],
    count: u64,
    next: usize,
    mut visit: impl FnMut(usize) -> Option<()>,
) {
    let mut entry = 0usize;
    for _ in 0..count.min(0xffff) {
        if visit(entry).is_none() {
            return;
        }
        match word(bytes, entry + next) {
            Some(distance) if distance != 0 => entry += distance as usize,
            _ => return,
        }
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_le_bytes(bytes.try_into().ok()?))
}

fn half(bytes: &[u8], at: usize) -> Option<u16> {
    let bytes = bytes.get(at..at.checked_add(2)?)?;
    Some(u16::from_le_bytes(bytes.try_into().ok()?))
}

fn records<T: Pod + Clone>(bytes: &[u8]) -> Result<Vec<T>, ElfError> {
    let records = slice_from_all_bytes::<T>(bytes);
    let records = records.map_err(|()| ElfError::Damaged("a table of its dynamic section"))?;
    Ok(records.to_vec())
}

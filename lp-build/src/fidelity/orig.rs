//! Our object: its functions, and what their relocations refer to, in one form for all kinds of symbols.
//!
//! A reference is either to a global symbol, by name, or to a place in a section: the assembler writes the same
//! local thing as symbol or as section and offset, as it likes. The tempting wrong way is to look at the addend
//! alone: for PC-relative fields it counts from the field, not from the instruction's end (see `insn`).

use super::symbols::Place;
use object::elf::{self, FileHeader64};
use object::read::elf::{FileHeader as _, Rela as _, SectionHeader as _, SectionTable, Sym as _};
use object::{LittleEndian, SectionIndex, SymbolIndex};
use std::collections::BTreeSet;
use std::ops::Range;

const ENDIAN: LittleEndian = LittleEndian;

/// The object compiled from the unpatched source.
#[derive(Debug)]
pub(super) struct Orig<'data> {
    pub(super) functions: Vec<Function>,
    /// Named functions and objects that the object defines, functions among them.
    pub(super) definitions: Vec<Definition<'data>>,
    pub(super) sections: Vec<Section<'data>>,
    /// Sections and offsets of jumps that objtool makes no-operations of, in order.
    pub(super) becomes_nop: Vec<(usize, u64)>,
    /// Sections and offsets of what code refers to in read-only data.
    labels: BTreeSet<(usize, u64)>,
    /// Sections and offsets of the code that tables say something about.
    listed: BTreeSet<(usize, u64)>,
    /// The name of the FILE symbol.
    pub(super) file: Option<&'data [u8]>,
}

/// A named function or datum of ours.
#[derive(Debug, Clone, Copy)]
pub(super) struct Definition<'data> {
    /// Index in the symbol table.
    pub(super) index: usize,
    pub(super) name: &'data [u8],
    pub(super) section: usize,
    pub(super) offset: u64,
    pub(super) bind: elf::SymbolBind,
    pub(super) is_function: bool,
}

/// A function's code.
#[derive(Debug, Clone, Copy)]
pub(super) struct Function {
    /// Which definition it is.
    pub(super) definition: usize,
    pub(super) section: usize,
    pub(super) offset: u64,
    pub(super) size: u64,
}

/// One section.
#[derive(Debug, Default)]
pub(super) struct Section<'data> {
    pub(super) name: &'data [u8],
    pub(super) data: &'data [u8],
    pub(super) kind: Kind,
    /// Sorted by offset.
    pub(super) relocations: Vec<Relocation<'data>>,
}

/// How references into a section are judged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Kind {
    /// By place: all references must agree on where the section went.
    #[default]
    Place,
    /// By place, and the content must be there: what is read-only.
    Constant,
    /// By content alone: the linker merges equal strings.
    Strings,
    /// By content alone: the linker merges equal entries of so many bytes.
    Entries(u64),
    /// Not at all: it is not in the running binary.
    NotLoaded,
}

/// A relocated field.
#[derive(Debug, Clone, Copy)]
pub(super) struct Relocation<'data> {
    pub(super) offset: u64,
    pub(super) kind: u32,
    pub(super) referent: Referent<'data>,
    pub(super) addend: i64,
}

/// What a field of ours refers to, before the addend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Referent<'data> {
    /// A symbol that other files can name; a weak one may be nowhere.
    Global { name: &'data [u8], weak: bool },
    /// A place in a section of ours.
    Local { section: usize, offset: u64 },
    /// A constant.
    Absolute(u64),
}

impl<'data> Orig<'data> {
    /// Reads an object; every claim in it is checked.
    pub(super) fn parse(data: &'data [u8]) -> Result<Self, String> {
        let damaged = |error: object::read::Error| format!("cannot be read: {error}");
        let header = FileHeader64::<LittleEndian>::parse(data).map_err(damaged)?;
        if header.e_machine(ENDIAN) != elf::EM_X86_64 || header.e_type(ENDIAN) != elf::ET_REL {
            return Err("is not a relocatable x86-64 object".to_owned());
        }
        let headers = header.sections(ENDIAN, data).map_err(damaged)?;
        let symbols = headers
            .symbols(ENDIAN, data, elf::SHT_SYMTAB)
            .map_err(damaged)?;
        let mut orig = Self {
            functions: Vec::new(),
            definitions: Vec::new(),
            sections: Vec::new(),
            becomes_nop: Vec::new(),
            labels: BTreeSet::new(),
            listed: BTreeSet::new(),
            file: None,
        };
        orig.sections = read_sections(&headers, data).map_err(damaged)?;
        for (index, symbol) in symbols.enumerate().skip(1) {
            let name = unversioned(symbols.symbol_name(ENDIAN, symbol).map_err(damaged)?);
            let section = symbols
                .symbol_section(ENDIAN, symbol, index)
                .map_err(damaged)?;
            orig.add_symbol(index, symbol, name, section);
        }
        read_relocations(&headers, &symbols, data, &mut orig.sections).map_err(damaged)?;
        orig.becomes_nop = becomes_nop(&orig.sections);
        orig.labels = labels(&orig.sections);
        orig.listed = listed(&orig.sections);
        Ok(orig)
    }

    /// Whether objtool makes a no-operation of the jump at this place.
    pub(super) fn becomes_nop(&self, section: usize, offset: u64) -> bool {
        self.becomes_nop.binary_search(&(section, offset)).is_ok()
    }

    /// Whether a table says something about a place in this range: something may be written over it later.
    pub(super) fn is_listed(&self, section: usize, range: Range<u64>) -> bool {
        let places = (section, range.start)..(section, range.end);
        !range.is_empty() && self.listed.range(places).next().is_some()
    }

    /// A definition's code.
    pub(super) fn code(&self, function: &Function) -> &'data [u8] {
        let code = self.sections.get(function.section).and_then(|section| {
            let start = usize::try_from(function.offset).ok()?;
            section
                .data
                .get(start..start.checked_add(usize::try_from(function.size).ok()?)?)
        });
        code.unwrap_or_default()
    }

    /// What the linker may have merged with its equals: from an offset to the end of the string or entry.
    pub(super) fn mergeable(&self, section: usize, offset: i64) -> Option<&'data [u8]> {
        let section = self.sections.get(section)?;
        let rest = section.data.get(usize::try_from(offset).ok()?..)?;
        match section.kind {
            Kind::Strings => rest.get(..=rest.iter().position(|&byte| byte == 0)?),
            Kind::Entries(size) => {
                rest.get(..usize::try_from(size - u64::try_from(offset).ok()? % size).ok()?)
            }
            Kind::Place | Kind::Constant | Kind::NotLoaded => None,
        }
    }

    /// Where a reference to a place of ours leads, and where that is in theirs: of what the linker merges it is the symbol that is moved, and
    /// a distance from it that leads out of it (a loop that counts before it reads) stays a distance.
    pub(super) fn referred(
        &self,
        section: usize,
        (base, addend): (u64, i64),
        theirs: Place,
    ) -> Option<(i64, Place)> {
        let base = i64::try_from(base).ok()?;
        let kind = self.sections.get(section).map(|section| section.kind);
        let is_merged = matches!(kind, Some(Kind::Strings | Kind::Entries(_)));
        match is_merged && addend < 0 {
            true => Some((base, theirs.minus(addend))),
            false => Some((base.checked_add(addend)?, theirs)),
        }
    }

    /// A function's definition.
    pub(super) fn definition(&self, function: &Function) -> Option<&Definition<'data>> {
        self.definitions.get(function.definition)
    }

    /// The relocations of `size` bytes from an offset of a section.
    pub(super) fn relocations(
        &self,
        section: usize,
        offset: u64,
        size: u64,
    ) -> &[Relocation<'data>] {
        let all = self
            .sections
            .get(section)
            .map_or(&[][..], |section| &section.relocations);
        let start = all.partition_point(|relocation| relocation.offset < offset);
        let end = all.partition_point(|relocation| relocation.offset < offset.saturating_add(size));
        all.get(start..end).unwrap_or_default()
    }

    /// How far a field of data is behind the last place before it that code refers to: the start of its table.
    pub(super) fn since_label(&self, field: &Relocation<'_>, section: usize) -> u64 {
        let labels = self.labels.range(..=(section, field.offset));
        let label = labels.last().filter(|(of, _)| *of == section);
        field.offset - label.map_or(0, |(_, offset)| *offset)
    }

    /// The function whose inside, not its start, this is.
    pub(super) fn function_inside(&self, section: usize, offset: u64) -> Option<usize> {
        let inside = |function: &Function| {
            function.section == section
                && function.offset < offset
                && offset - function.offset < function.size
        };
        self.functions.iter().position(inside)
    }

    fn add_symbol(
        &mut self,
        index: SymbolIndex,
        symbol: &elf::Sym64<LittleEndian>,
        name: &'data [u8],
        section: Option<SectionIndex>,
    ) {
        let kind = symbol.st_type();
        if kind == elf::STT_FILE && self.file.is_none() {
            self.file = Some(name);
        }
        let Some(SectionIndex(section)) = section else {
            return;
        };
        let discarded = self
            .sections
            .get(section)
            .is_none_or(|section| section.kind == Kind::NotLoaded);
        let is_function = [elf::STT_FUNC, elf::STT_GNU_IFUNC].contains(&kind);
        let is_datum = [elf::STT_OBJECT, elf::STT_TLS].contains(&kind);
        if discarded || name.is_empty() || !(is_function || is_datum) {
            return;
        }
        let offset = symbol.st_value(ENDIAN);
        let size = symbol.st_size(ENDIAN);
        if is_function && size != 0 {
            self.functions.push(Function {
                definition: self.definitions.len(),
                section,
                offset,
                size,
            });
        }
        let bind = symbol.st_bind();
        self.definitions.push(Definition {
            index: index.0,
            name,
            section,
            offset,
            bind,
            is_function,
        });
    }
}

type Symbols<'data> = object::read::elf::SymbolTable<'data, FileHeader64<LittleEndian>>;
type Headers<'data> = SectionTable<'data, FileHeader64<LittleEndian>>;

fn read_sections<'data>(
    headers: &Headers<'data>,
    data: &'data [u8],
) -> object::read::Result<Vec<Section<'data>>> {
    let mut sections = Vec::new();
    for (index, header) in headers.enumerate() {
        if index == SectionIndex(0) {
            sections.push(Section::default());
            continue;
        }
        let name = headers.section_name(ENDIAN, header)?;
        let discarded = name.starts_with(b".discard");
        sections.push(Section {
            name,
            data: header.data(ENDIAN, data)?,
            kind: if discarded {
                Kind::NotLoaded
            } else {
                kind(header)
            },
            relocations: Vec::new(),
        });
    }
    Ok(sections)
}

fn kind(header: &elf::SectionHeader64<LittleEndian>) -> Kind {
    let flags = header.sh_flags(ENDIAN);
    let is_data = header.sh_type(ENDIAN) == elf::SHT_PROGBITS;
    let entry = header.sh_entsize(ENDIAN);
    if !flags.contains(elf::SHF_ALLOC) {
        Kind::NotLoaded
    } else if flags.contains(elf::SHF_MERGE | elf::SHF_STRINGS) && entry == 1 {
        Kind::Strings
    } else if flags.contains(elf::SHF_MERGE) && entry != 0 {
        Kind::Entries(entry)
    } else if is_data && !flags.contains(elf::SHF_WRITE) {
        Kind::Constant
    } else {
        Kind::Place
    }
}

/// A name without the version that `.symver` gave it: of the running binary's symbols it is left out, too, and several versions of a
/// function are told by their code.
fn unversioned(name: &[u8]) -> &[u8] {
    let end = name.iter().position(|&byte| byte == b'@');
    match end {
        Some(end @ 1..) => &name[..end],
        _ => name,
    }
}

fn read_relocations<'data>(
    headers: &Headers<'data>,
    symbols: &Symbols<'data>,
    data: &'data [u8],
    sections: &mut [Section<'data>],
) -> object::read::Result<()> {
    for header in headers.iter() {
        let Some((relas, _)) = header.rela(ENDIAN, data)? else {
            continue;
        };
        let Some(section) = sections.get_mut(header.sh_info(ENDIAN) as usize) else {
            continue;
        };
        for rela in relas {
            section.relocations.push(Relocation {
                offset: rela.r_offset(ENDIAN),
                kind: rela.r_type(ENDIAN, false).0,
                referent: referent(symbols, SymbolIndex(rela.r_sym(ENDIAN, false) as usize))?,
                addend: rela.r_addend(ENDIAN),
            });
        }
        section
            .relocations
            .sort_by_key(|relocation| relocation.offset);
    }
    Ok(())
}

/// The places in read-only data that other sections refer to. A field of code counts from its own end, four bytes on,
/// where no immediate follows it; the address of a table is never taken with one.
fn labels(sections: &[Section<'_>]) -> BTreeSet<(usize, u64)> {
    let mut labels = BTreeSet::new();
    for (index, from) in sections.iter().enumerate() {
        for relocation in &from.relocations {
            let Referent::Local { section, offset } = relocation.referent else {
                continue;
            };
            let constant = sections.get(section).map(|section| section.kind);
            if section == index || constant != Some(Kind::Constant) {
                continue;
            }
            let relative = [elf::R_X86_64_PC32, elf::R_X86_64_PLT32]
                .iter()
                .any(|kind| kind.0 == relocation.kind);
            let addend = relocation.addend.wrapping_add(if relative { 4 } else { 0 });
            labels.insert((section, offset.wrapping_add_signed(addend)));
        }
    }
    labels
}

/// The code that tables refer to: jump labels, alternatives, calls of the tracer, exceptions, and whatever else there is. Each counts
/// from its own field, or is an address. That of a `switch` counts from the table's start, and nobody writes over what it leads to.
fn listed(sections: &[Section<'_>]) -> BTreeSet<(usize, u64)> {
    // Code itself, data, and what is derived from every instruction, or read by nobody.
    const NO_TABLES: [&[u8]; 6] = [
        b".text",
        b".rodata",
        b".data",
        b".eh_frame",
        b".orc_unwind",
        b".debug",
    ];
    let is_table = |name: &[u8]| !NO_TABLES.iter().any(|prefix| name.starts_with(prefix));
    let tables = sections.iter().filter(|section| is_table(section.name));
    let fields = tables.flat_map(|table| &table.relocations);
    let places = fields.filter_map(|field| match field.referent {
        Referent::Local { section, offset } => {
            Some((section, offset.wrapping_add_signed(field.addend)))
        }
        _ => None,
    });
    places.collect()
}

/// The sites of jump labels whose key has bit 1 set (`arch_static_branch`, `asm/jump_label.h`, since Linux 5.14). Where
/// objtool goes over the linked kernel alone, our object still has the jump there.
fn becomes_nop(sections: &[Section<'_>]) -> Vec<(usize, u64)> {
    /// Offset of the key in a `struct jump_entry` (linux/jump_label.h).
    const KEY: u64 = 8;
    let mut sites = Vec::new();
    for table in sections.iter().filter(|one| one.name == b"__jump_table") {
        let keys = table.relocations.iter();
        let marked = keys.filter(|one| one.kind == elf::R_X86_64_PC64.0 && one.addend & 2 != 0);
        for start in marked.filter_map(|key| key.offset.checked_sub(KEY)) {
            let site = table
                .relocations
                .binary_search_by_key(&start, |one| one.offset);
            let site = site.ok().and_then(|index| table.relocations.get(index));
            if let Some(Relocation {
                referent: Referent::Local { section, offset },
                addend,
                ..
            }) = site
            {
                sites.push((*section, offset.wrapping_add_signed(*addend)));
            }
        }
    }
    sites.sort_unstable();
    sites
}

fn referent<'data>(
    symbols: &Symbols<'data>,
    index: SymbolIndex,
) -> object::read::Result<Referent<'data>> {
    if index == SymbolIndex(0) {
        return Ok(Referent::Absolute(0));
    }
    let symbol = symbols.symbol(index)?;
    let offset = symbol.st_value(ENDIAN);
    if symbol.st_bind() != elf::STB_LOCAL {
        let weak = symbol.st_bind() == elf::STB_WEAK && symbol.st_shndx(ENDIAN) == elf::SHN_UNDEF;
        return Ok(Referent::Global {
            name: unversioned(symbols.symbol_name(ENDIAN, symbol)?),
            weak,
        });
    }
    Ok(match symbols.symbol_section(ENDIAN, symbol, index)? {
        Some(SectionIndex(section)) => Referent::Local { section, offset },
        None => Referent::Absolute(offset),
    })
}

//! The debug information of an object, read in place and only where it is asked for.
//!
//! In an object every section begins at address 0, so an address alone says nothing. Here each section of the image
//! gets a range of virtual addresses of its own, its index in the upper half: relocations lift what the debug sections
//! say into that range, and [`DebugInfo::place`] brings it back to a section and an offset. What refers to another
//! debug section stays a plain offset. The tempting wrong way is to write relocated copies of all debug sections first:
//! they are most of an object, and mostly not needed.
//!
//! DWARF 4 and 5 of gcc and clang are read. Compressed sections (`SHF_COMPRESSED`, zlib or zstd) are unpacked, GNU's older
//! `.zdebug_*` and split debug information (`.dwo` files) count as absent.

mod folder;
pub mod function;
pub mod line;
mod scope;
pub mod types;
pub mod variable;

use crate::arch;
use crate::object::{Object, Reloc, Relocs, Section, SectionId};
use gimli::{EndianSlice, Relocate, RelocateReader, RunTimeEndian};
use object::Endianness;
use std::sync::{Arc, OnceLock};

/// Bits of an address that hold the offset in its section; larger sections have no debug information here.
const OFFSET_BITS: u32 = 32;

/// What gimli reads debug sections with.
pub type Reader<'o> = RelocateReader<EndianSlice<'o, RunTimeEndian>, Relocations<'o>>;

/// The debug information of one object.
#[derive(Debug)]
pub struct DebugInfo<'o> {
    object: &'o Object<'o>,
    dwarf: Arc<gimli::Dwarf<Reader<'o>>>,
    lines: OnceLock<line::Lines<'o>>,
    scopes: OnceLock<scope::Scopes<'o>>,
    functions: OnceLock<function::Functions>,
    variables: OnceLock<variable::Variables>,
}

/// An object's debug information, not loaded before something asks for it.
#[derive(Debug)]
pub struct LazyDebugInfo<'o> {
    object: &'o Object<'o>,
    info: OnceLock<Option<DebugInfo<'o>>>,
}

impl<'o> LazyDebugInfo<'o> {
    /// Notes where the debug information would come from.
    pub fn new(object: &'o Object<'o>) -> Self {
        Self {
            object,
            info: OnceLock::new(),
        }
    }

    /// The debug information, if the object has any.
    pub fn get(&self) -> Option<&DebugInfo<'o>> {
        self.info
            .get_or_init(|| DebugInfo::load(self.object))
            .as_ref()
    }
}

impl<'o> DebugInfo<'o> {
    /// Finds the debug sections of an object; `None` where it has neither `.debug_info` nor `.debug_line`. Nothing but
    /// section names is read, and what is compressed is unpacked.
    pub fn load(object: &'o Object<'o>) -> Option<Self> {
        let arch = arch::of(object.machine)?;
        let endian = match object.endian {
            Endianness::Little => RunTimeEndian::Little,
            Endianness::Big => RunTimeEndian::Big,
        };
        let mut found = false;
        let load = |id: gimli::SectionId| {
            let section = debug_section(object, id.name());
            found |= section.is_some() && matches!(id.name(), ".debug_info" | ".debug_line");
            let data = section.map_or(&[][..], |(_, data)| data);
            let relocations = Relocations {
                object,
                none: arch.none_kind(),
                relocs: section.map(|(section, _)| section.relocs),
            };
            Ok::<_, gimli::Error>(RelocateReader::new(
                EndianSlice::new(data, endian),
                relocations,
            ))
        };
        let dwarf = gimli::Dwarf::load(load).ok()?;
        found.then(|| Self {
            object,
            dwarf: Arc::new(dwarf),
            lines: OnceLock::new(),
            scopes: OnceLock::new(),
            functions: OnceLock::new(),
            variables: OnceLock::new(),
        })
    }

    /// The sections for gimli.
    pub fn dwarf(&self) -> &gimli::Dwarf<Reader<'o>> {
        &self.dwarf
    }

    /// Which source line each instruction comes from.
    pub fn lines(&self) -> &line::Lines<'o> {
        self.lines
            .get_or_init(|| line::Lines::index(self.object, &self.dwarf))
    }

    /// Whether clang wrote the first unit. Its `__LINE__` is not gcc's.
    pub fn is_clang(&self) -> bool {
        let producer = || {
            let unit = self.dwarf.unit(self.dwarf.units().next().ok()??).ok()?;
            let root = unit.entry(unit.header.root_offset()).ok()?;
            let value = root.attr_value(gimli::constants::DW_AT_producer)?;
            let text = self.dwarf.attr_string(&unit, value).ok()?;
            Some(String::from_utf8_lossy(text.inner().slice()).contains("clang"))
        };
        producer().unwrap_or(false)
    }

    fn scopes(&self) -> &scope::Scopes<'o> {
        self.scopes.get_or_init(|| scope::Scopes::read(self))
    }

    fn functions(&self) -> &function::Functions {
        self.functions
            .get_or_init(|| function::Functions::read(self, self.scopes()))
    }

    fn variables(&self) -> &variable::Variables {
        self.variables
            .get_or_init(|| variable::Variables::read(self, self.scopes()))
    }

    /// The place that an entry's `DW_AT_decl_file` and `DW_AT_decl_line` say.
    pub fn declared_at(
        &self,
        unit: &gimli::Unit<Reader<'o>>,
        file: u64,
        line: u32,
    ) -> Option<line::SourcePlace> {
        let header = unit.line_program.as_ref()?.header();
        let folders = folder::Folders::of(&self.dwarf, header);
        let (_, file) = folders.file(&self.dwarf, header, file)?;
        (line > 0).then_some(line::SourcePlace { file, line })
    }

    /// The virtual address of a place in a section.
    pub fn address(&self, section: SectionId, offset: u64) -> u64 {
        base(section).wrapping_add(offset)
    }

    /// The place of a virtual address; `None` where it is in no section of the image. The end of a section is still in
    /// it, since ranges end there.
    pub fn place(&self, address: u64) -> Option<(SectionId, u64)> {
        place(self.object, address)
    }
}

fn base(section: SectionId) -> u64 {
    u64::from(section.0) << OFFSET_BITS
}

fn place(object: &Object<'_>, address: u64) -> Option<(SectionId, u64)> {
    let id = SectionId(u32::try_from(address >> OFFSET_BITS).ok()?);
    let offset = address & ((1 << OFFSET_BITS) - 1);
    let section = (id.0 < object.section_count() as u32).then(|| object.section(id))?;
    (section.is_alloc() && offset <= section.size).then_some((id, offset))
}

/// The first debug section of a name with its bytes, unpacked.
fn debug_section<'o>(object: &'o Object<'o>, name: &str) -> Option<(Section<'o>, &'o [u8])> {
    let (id, section) = object
        .sections()
        .find(|(_, section)| !section.is_alloc() && section.name() == name)?;
    Some((section, object.unpacked(id)?))
}

/// The relocations of one debug section.
#[derive(Debug, Clone, Copy)]
pub struct Relocations<'o> {
    object: &'o Object<'o>,
    /// The relocation kind that writes nothing.
    none: u32,
    relocs: Option<Relocs<'o>>,
}

impl Relocations<'_> {
    /// What the field at an offset holds once it is relocated. A RELA field's own value does not count.
    fn value(&self, offset: usize, unrelocated: u64) -> u64 {
        let found = self.relocs.and_then(|relocs| relocs.at(offset as u64));
        let applies = |reloc: &Reloc| reloc.kind != self.none;
        let Some(reloc) = found.filter(applies) else {
            return unrelocated;
        };
        let symbol = self.object.symbol(reloc.symbol);
        let section = symbol
            .section()
            .filter(|id| self.object.section(*id).is_alloc());
        section
            .map_or(0, base)
            .wrapping_add(symbol.value)
            .wrapping_add_signed(reloc.addend)
    }
}

impl Relocate for Relocations<'_> {
    fn relocate_address(&self, offset: usize, value: u64) -> gimli::Result<u64> {
        Ok(self.value(offset, value))
    }

    fn relocate_offset(&self, offset: usize, value: usize) -> gimli::Result<usize> {
        usize::try_from(self.value(offset, value as u64))
            .map_err(|_| gimli::Error::UnsupportedOffset)
    }
}

//! The running binary's file: vmlinux, a module, a program or a library, of which only the pieces that are asked for are read.
//!
//! A debug vmlinux has 590 MB, of which a few hundred functions and strings matter. The tempting wrong way is to
//! read or map it whole; here the tables are read once when it is opened, code and strings where they lie.

use super::FidelityError;
use super::linked::{Linked, THREAD};
use super::symbols::{Place, Symbol, Symbols};
use lp_verify::kernel::symtab;
use object::elf::{self, FileHeader64};
use object::read::elf::{FileHeader, Rela as _, SectionHeader as _, Sym as _};
use object::{LittleEndian, ReadCache};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

const ENDIAN: LittleEndian = LittleEndian;

/// The running binary, opened once and shared by all files and threads.
#[derive(Debug)]
pub struct Target {
    path: PathBuf,
    file: File,
    /// Bytes of the file: no section is believed to have more.
    len: u64,
    relocatable: bool,
    has_sizes: bool,
    sections: Vec<Section>,
    /// Of a program or library.
    linked: Option<Linked>,
    pub(super) symbols: Symbols,
}

/// One section of the file.
#[derive(Debug)]
struct Section {
    addr: u64,
    offset: u64,
    size: u64,
    alloc: bool,
    code: bool,
    nobits: bool,
    /// The section of its relocations, 0 for none.
    rela: usize,
    /// These relocations, by offset, once they were needed.
    relocations: OnceLock<Vec<Relocation>>,
}

/// A relocation of a module.
#[derive(Debug, Clone, Copy)]
pub(super) struct Relocation {
    /// Where in the section.
    pub(super) offset: u64,
    /// What kind.
    pub(super) kind: u32,
    /// Against which symbol of the table.
    pub(super) symbol: u32,
    /// Plus this.
    pub(super) addend: i64,
}

impl Target {
    /// Opens a vmlinux with its symbol table.
    pub fn vmlinux(path: impl AsRef<Path>) -> Result<Self, FidelityError> {
        let target = Self::open(path.as_ref(), None)?;
        if target.relocatable {
            return Err(target.wrong("is relocatable: give the linked vmlinux of the debug package, or use it as a module"));
        }
        Ok(target)
    }

    /// Opens a module, as it lies under `/lib/modules`.
    pub fn module(path: impl AsRef<Path>) -> Result<Self, FidelityError> {
        let target = Self::open(path.as_ref(), None)?;
        if !target.relocatable {
            return Err(target.wrong("is not relocatable: give the module's .ko"));
        }
        Ok(target)
    }

    /// Opens a program or library; its symbols are in a second file where it is stripped: a debug file, or a build of the
    /// same code.
    pub fn program(
        path: impl AsRef<Path>,
        symbols: impl AsRef<Path>,
    ) -> Result<Self, FidelityError> {
        let target = Self::open(path.as_ref(), Some(symbols.as_ref()))?;
        if target.relocatable {
            return Err(target.wrong(
                "is relocatable: give the executable or shared library that processes run",
            ));
        }
        Ok(target)
    }

    /// The bytes at an address of a linked file.
    pub fn code(&self, address: u64, size: u64) -> Option<Vec<u8>> {
        let place = Place {
            section: 0,
            offset: address,
        };
        self.read(place, size)
    }

    /// The address and bytes of each section with code of a linked file.
    pub(super) fn pieces(&self) -> Vec<(u64, Vec<u8>)> {
        let sections = self.sections.iter();
        let code = sections.filter(|section| section.alloc && section.code && !section.nobits);
        code.filter_map(|section| Some((section.addr, self.code(section.addr, section.size)?)))
            .collect()
    }

    /// What a program or library refers to besides.
    pub(super) fn linked(&self) -> Option<&Linked> {
        self.linked.as_ref()
    }

    /// Whether it is a module.
    pub(super) fn is_module(&self) -> bool {
        self.relocatable
    }

    /// Whether a symbol is as large as it says; where not, it ends before the next one.
    pub(super) fn has_sizes(&self) -> bool {
        self.has_sizes
    }

    fn open(path: &Path, symbols: Option<&Path>) -> Result<Self, FidelityError> {
        let file = open(path)?;
        let len = file.metadata().map_err(|source| io(path, source))?.len();
        let cache = ReadCache::new(file.try_clone().map_err(|source| io(path, source))?);
        let damaged = |path: &Path, message| FidelityError::Target {
            path: path.to_owned(),
            message,
        };
        let tables = read_tables(&cache, symbols.is_some());
        let tables = tables.map_err(|message| damaged(path, message))?;
        let symbols = match symbols {
            Some(other) if other != path => {
                let cache = ReadCache::new(open(other)?);
                read_symbols(&cache, true).map_err(|message| damaged(other, message))?
            }
            program => {
                read_symbols(&cache, program.is_some()).map_err(|message| damaged(path, message))?
            }
        };
        Ok(Self {
            path: path.to_owned(),
            file,
            len,
            relocatable: tables.relocatable,
            has_sizes: tables.has_sizes,
            sections: tables.sections,
            linked: tables.linked,
            symbols,
        })
    }

    fn wrong(&self, message: &str) -> FidelityError {
        FidelityError::Target {
            path: self.path.clone(),
            message: message.to_owned(),
        }
    }

    /// The bytes at a place; none when the file has not so many there.
    pub(super) fn read(&self, place: Place, size: u64) -> Option<Vec<u8>> {
        let (section, start) = self.section_at(place)?;
        let size = usize::try_from(size).ok()?;
        let end = start.checked_add(size as u64)?;
        if end > section.size || end > self.len {
            return None;
        }
        let mut bytes = vec![0; size];
        if !section.nobits {
            self.file
                .read_exact_at(&mut bytes, section.offset.checked_add(start)?)
                .ok()?;
        }
        Some(bytes)
    }

    /// A module's relocations of `size` bytes from a place; vmlinux has none that matter.
    pub(super) fn relocations(&self, place: Place, size: u64) -> &[Relocation] {
        let Some(section) = self
            .sections
            .get(place.section as usize)
            .filter(|_| self.relocatable)
        else {
            return &[];
        };
        let all = section
            .relocations
            .get_or_init(|| self.read_relocations(section.rela).unwrap_or_default());
        let start = all.partition_point(|relocation| relocation.offset < place.offset);
        let end =
            all.partition_point(|relocation| relocation.offset < place.offset.saturating_add(size));
        all.get(start..end).unwrap_or_default()
    }

    /// The section of a place and the offset in it.
    fn section_at(&self, place: Place) -> Option<(&Section, u64)> {
        if self.relocatable {
            return self
                .sections
                .get(place.section as usize)
                .map(|section| (section, place.offset));
        }
        if place.section == THREAD {
            return None;
        }
        let holds = |section: &&Section| {
            section.alloc
                && place
                    .offset
                    .checked_sub(section.addr)
                    .is_some_and(|start| start < section.size)
        };
        self.sections
            .iter()
            .find(holds)
            .map(|section| (section, place.offset - section.addr))
    }

    fn read_relocations(&self, rela: usize) -> Option<Vec<Relocation>> {
        let section = self.sections.get(rela).filter(|_| rela != 0)?;
        let place = Place {
            section: u32::try_from(rela).ok()?,
            offset: 0,
        };
        let bytes = self.read(place, section.size)?;
        let count = bytes.len() / size_of::<elf::Rela64<LittleEndian>>();
        let (relas, _) =
            object::pod::slice_from_bytes::<elf::Rela64<LittleEndian>>(&bytes, count).ok()?;
        let relocation = |rela: &elf::Rela64<LittleEndian>| Relocation {
            offset: rela.r_offset(ENDIAN),
            kind: rela.r_type(ENDIAN, false).0,
            symbol: rela.r_sym(ENDIAN, false),
            addend: rela.r_addend(ENDIAN),
        };
        let mut relocations: Vec<_> = relas.iter().map(relocation).collect();
        relocations.sort_by_key(|relocation| relocation.offset);
        Some(relocations)
    }
}

fn io(path: &Path, source: std::io::Error) -> FidelityError {
    FidelityError::Io {
        path: path.to_owned(),
        source,
    }
}

fn open(path: &Path) -> Result<File, FidelityError> {
    File::open(path).map_err(|source| io(path, source))
}

/// What is read at once, besides symbols.
struct Tables {
    relocatable: bool,
    has_sizes: bool,
    sections: Vec<Section>,
    linked: Option<Linked>,
}

fn damaged(error: object::read::Error) -> String {
    format!("cannot be read: {error}")
}

fn header(cache: &ReadCache<File>) -> Result<&FileHeader64<LittleEndian>, String> {
    let header = FileHeader64::<LittleEndian>::parse(cache)
        .map_err(|_| "is not a 64-bit ELF file: unpack it if it is compressed".to_owned())?;
    if header.e_machine(ENDIAN) != elf::EM_X86_64 || !header.is_little_endian() {
        return Err("is not for x86-64".to_owned());
    }
    Ok(header)
}

fn read_tables(cache: &ReadCache<File>, program: bool) -> Result<Tables, String> {
    let header = header(cache)?;
    let headers = header.sections(ENDIAN, cache).map_err(damaged)?;
    let linked = program.then(|| Linked::read(header, cache)).transpose();
    Ok(Tables {
        relocatable: header.e_type(ENDIAN) == elf::ET_REL,
        has_sizes: headers
            .section_by_name(ENDIAN, symtab::STRINGS.as_bytes())
            .is_none(),
        sections: sections(headers.iter()),
        linked: linked.map_err(damaged)?,
    })
}

fn read_symbols(cache: &ReadCache<File>, program: bool) -> Result<Symbols, String> {
    let header = header(cache)?;
    let relocatable = header.e_type(ENDIAN) == elf::ET_REL;
    let headers = header.sections(ENDIAN, cache).map_err(damaged)?;
    let table = headers
        .symbols(ENDIAN, cache, elf::SHT_SYMTAB)
        .map_err(damaged)?;
    if table.len() < 2 {
        return Err(
            "has no symbol table: give the file with symbols, as the debug package has it"
                .to_owned(),
        );
    }
    let strings = headers.section(table.string_section()).map_err(damaged)?;
    let strings = strings.data(ENDIAN, cache).map_err(damaged)?.to_vec();
    let symbols = table
        .iter()
        .map(|symbol| target_symbol(symbol, relocatable, program))
        .collect();
    Ok(Symbols::new(strings, program, symbols))
}

fn sections<'a>(
    headers: impl Iterator<Item = &'a elf::SectionHeader64<LittleEndian>> + Clone,
) -> Vec<Section> {
    let mut sections: Vec<_> = headers.clone().map(section).collect();
    for (index, header) in headers.enumerate() {
        let target = header.sh_info(ENDIAN) as usize;
        if header.sh_type(ENDIAN) == elf::SHT_RELA
            && let Some(section) = sections.get_mut(target)
        {
            section.rela = index;
        }
    }
    sections
}

fn section(header: &elf::SectionHeader64<LittleEndian>) -> Section {
    Section {
        addr: header.sh_addr(ENDIAN),
        offset: header.sh_offset(ENDIAN),
        size: header.sh_size(ENDIAN),
        alloc: header.sh_flags(ENDIAN).contains(elf::SHF_ALLOC),
        code: header.sh_flags(ENDIAN).contains(elf::SHF_EXECINSTR),
        nobits: header.sh_type(ENDIAN) == elf::SHT_NOBITS,
        rela: 0,
        relocations: OnceLock::new(),
    }
}

fn target_symbol(symbol: &elf::Sym64<LittleEndian>, relocatable: bool, program: bool) -> Symbol {
    let section = symbol.st_shndx(ENDIAN);
    let defined = section != elf::SHN_UNDEF;
    let thread_local = program && symbol.st_type() == elf::STT_TLS;
    let place = Place {
        section: match (relocatable, thread_local) {
            (true, _) => section.0.into(),
            (false, true) => THREAD,
            (false, false) => 0,
        },
        offset: symbol.st_value(ENDIAN),
    };
    Symbol {
        name: symbol.st_name(ENDIAN),
        info: symbol.st_info(),
        place: defined.then_some(place),
        size: symbol.st_size(ENDIAN),
        file: 0,
    }
}

//! A patch file: what is to be loaded of it, what it refers to, and what it says of itself.
//!
//! An ET_REL object in the kernel's module ABI, see `docs/architecture.md`. It may come from anywhere, and who reads it may
//! be root: every offset, size and index is a claim; what is not known is an error here, so that later steps meet only what
//! they know. The tempting wrong way is to skip what is not understood: a constructor that does not run, or a relocation that is
//! not applied, is a wrong patch that loads.

mod error;
mod tables;

pub use error::PatchError;

use crate::process::kept::area::Area;
use crate::process::prepare::relocation::Kind;
use crate::process::read::elf::{self as elf_file, Elf};
use lp_klp::manifest::{Manifest, TargetKind};
use lp_klp::name::{KlpSymName, ObjName};
use lp_klp::note::{NOTE_SECTION, NoteError, decode};
use object::elf;
use std::collections::BTreeMap;

/// Bytes of the largest file that is taken.
pub const LARGEST_FILE: u64 = 256 << 20;
/// Bytes of the largest patch, in the process.
pub const LARGEST_LOADED: u64 = 64 << 20;
/// No section asks for more than a page.
const LARGEST_ALIGN: u64 = 4096;
/// `SHT_X86_64_UNWIND`, which some assemblers give `.eh_frame`.
const UNWIND: u32 = 0x7000_0001;

/// A section that is loaded, by its place in [`PatchFile::sections`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SectionId(pub usize);

/// A symbol, by its index in the patch's symbol table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SymbolId(pub usize);

/// A section that is loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// Its name.
    pub name: String,
    /// Where it goes.
    pub area: Area,
    /// A power of two, at most a page.
    pub align: u64,
    /// Bytes.
    pub size: u64,
    /// What it holds before it is relocated; empty where it is all zero (`.bss`).
    pub bytes: Vec<u8>,
}

/// What a symbol stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Meaning {
    /// A place in the patch.
    Inside {
        /// The section.
        section: SectionId,
        /// Bytes from its start.
        offset: u64,
    },
    /// A number.
    Absolute(u64),
    /// A symbol of the patched object.
    Klp(KlpSymName),
    /// A dynamic symbol of the process.
    Undefined {
        /// It may be missing, and is then 0.
        weak: bool,
    },
    /// Something that is not loaded: no relocation may refer to it.
    Nothing,
}

/// A symbol of the patch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Symbol {
    /// Its name; a section's has none.
    pub name: String,
    /// What it stands for.
    pub meaning: Meaning,
    /// `STT_*`
    pub kind: u8,
    /// Bytes.
    pub size: u64,
}

/// A relocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Relocation {
    /// The section that is relocated.
    pub section: SectionId,
    /// Bytes from its start.
    pub offset: u64,
    /// What is written.
    pub kind: Kind,
    /// What it refers to.
    pub symbol: SymbolId,
    /// `r_addend`
    pub addend: i64,
}

/// Symbols for objects that are stripped ([`lp_klp::lent`]): `Elf64_Sym` one after the other, and their names.
pub type LentTables = BTreeMap<ObjName, (Vec<u8>, Vec<u8>)>;

/// A patch file that was read.
#[derive(Debug)]
pub struct PatchFile {
    /// What it says of itself.
    pub manifest: Manifest,
    /// What is loaded.
    pub sections: Vec<Section>,
    /// Its symbols.
    pub symbols: Vec<Symbol>,
    /// What is to be written once addresses are known, by section and offset.
    pub relocations: Vec<Relocation>,
    /// The symbol and string tables that it has for stripped objects.
    pub lent: LentTables,
    /// The file.
    pub bytes: Vec<u8>,
}

impl PatchFile {
    /// Reads a patch file's bytes.
    ///
    /// # Errors
    /// Where they are not a patch for a process of this architecture, or something in it is not known.
    pub fn parse(bytes: &[u8]) -> Result<Self, PatchError> {
        let (size, limit) = (bytes.len() as u64, LARGEST_FILE);
        if size > limit {
            return Err(PatchError::TooLarge { size, limit });
        }
        let file = Elf::of_bytes(bytes.to_vec())?;
        if file.kind != elf::ET_REL.0 {
            return Err(PatchError::NotRelocatable(file.kind));
        }
        if file.sections().is_empty() {
            return Err(PatchError::Missing("section headers"));
        }
        let manifest = manifest(&file)?;
        let (sections, ids) = sections(&file)?;
        let symbols = tables::symbols(&file, &ids, &sections)?;
        let relocations = tables::relocations(&file, &ids, &sections, &symbols)?;
        let lent = lent(&file, &manifest)?;
        let patch = Self {
            lent,
            manifest,
            sections,
            symbols,
            relocations,
            bytes: bytes.to_vec(),
        };
        patch.check_functions()?;
        Ok(patch)
    }

    /// The new code of a function or a callback, by the name of its symbol.
    pub fn function(&self, name: &str) -> Option<&Symbol> {
        let mut found = self.symbols.iter().filter(|symbol| {
            let in_text = |section: SectionId| self.section(section).area == Area::Text;
            let inside =
                matches!(symbol.meaning, Meaning::Inside { section, .. } if in_text(section));
            inside && symbol.name == name && symbol.kind == elf::STT_FUNC.0
        });
        let first = found.next();
        first.filter(|_| found.next().is_none())
    }

    /// A section.
    pub fn section(&self, id: SectionId) -> &Section {
        &self.sections[id.0]
    }

    /// A symbol.
    pub fn symbol(&self, id: SymbolId) -> &Symbol {
        &self.symbols[id.0]
    }

    /// The section of a name.
    pub fn section_named(&self, name: &str) -> Option<SectionId> {
        self.sections
            .iter()
            .position(|it| it.name == name)
            .map(SectionId)
    }

    fn check_functions(&self) -> Result<(), PatchError> {
        let missing = |name: &str| PatchError::NoFunction(name.to_owned());
        for object in &self.manifest.objects {
            for function in &object.functions {
                let name = new_name(function);
                self.function(name).ok_or_else(|| missing(name))?;
            }
            let callbacks = &object.callbacks;
            let names = [
                &callbacks.pre_patch,
                &callbacks.post_patch,
                &callbacks.pre_unpatch,
                &callbacks.post_unpatch,
            ];
            for name in names.into_iter().flatten() {
                self.function(name).ok_or_else(|| missing(name))?;
            }
        }
        Ok(())
    }
}

/// The symbol of a function's new code.
pub fn new_name(function: &lp_klp::manifest::Function) -> &str {
    match function.new_name.as_str() {
        "" => &function.name,
        name => name,
    }
}

fn manifest(file: &Elf) -> Result<Manifest, PatchError> {
    let mut notes = file
        .sections()
        .iter()
        .filter(|it| file.section_name(it) == NOTE_SECTION);
    let note = notes.next().ok_or(NoteError::Missing)?;
    if notes.next().is_some() {
        return Err(NoteError::Several(2).into());
    }
    let manifest = decode(&file.contents(note)?)?;
    if manifest.target.kind != TargetKind::Process {
        return Err(PatchError::ForKernel);
    }
    if manifest.target.arch != "x86_64" {
        return Err(PatchError::Architecture(manifest.target.arch));
    }
    Ok(manifest)
}

fn lent(file: &Elf, manifest: &Manifest) -> Result<LentTables, PatchError> {
    let mut lent = LentTables::new();
    for object in &manifest.objects {
        let (symbols, strings) = lp_klp::lent::section_names(&object.name);
        let both = (file.section_named(&symbols), file.section_named(&strings));
        if let (Some(symbols), Some(strings)) = both {
            let both = (file.contents(symbols)?, file.contents(strings)?);
            lent.insert(object.name.clone(), both);
        }
    }
    Ok(lent)
}

/// For each section of the file, which of the loaded ones it is.
type Ids = Vec<Option<SectionId>>;

fn sections(file: &Elf) -> Result<(Vec<Section>, Ids), PatchError> {
    let mut loaded = Vec::new();
    let mut ids = Vec::with_capacity(file.sections().len());
    let mut total = 0u64;
    for section in file.sections() {
        let name = file.section_name(section);
        refuse_unknown(&name, section)?;
        if !is_loaded(section) {
            ids.push(None);
            continue;
        }
        total = total
            .saturating_add(section.size)
            .saturating_add(section.align);
        let (size, limit) = (total, LARGEST_LOADED);
        if size > limit {
            return Err(PatchError::TooLarge { size, limit });
        }
        ids.push(Some(SectionId(loaded.len())));
        loaded.push(Section {
            area: area(section),
            align: section.align.max(1),
            size: section.size,
            bytes: file.contents(section)?,
            name,
        });
    }
    Ok((loaded, ids))
}

/// Notes are for us and for linkers, relocations are applied from the file.
fn is_loaded(section: &elf_file::Section) -> bool {
    let loaded = [elf::SHT_PROGBITS.0, elf::SHT_NOBITS.0, UNWIND];
    has(section, elf::SHF_ALLOC) && loaded.contains(&section.kind)
}

fn area(section: &elf_file::Section) -> Area {
    if has(section, elf::SHF_EXECINSTR) {
        Area::Text
    } else if has(section, elf::SHF_WRITE) {
        Area::Data
    } else {
        Area::ReadOnly
    }
}

fn has(section: &elf_file::Section, flag: elf::SectionFlags) -> bool {
    section.flags & flag.0 != 0
}

fn refuse_unknown(name: &str, section: &elf_file::Section) -> Result<(), PatchError> {
    if !has(section, elf::SHF_ALLOC) {
        return Ok(());
    }
    let known = [elf::SHT_NOTE.0, elf::SHT_RELA.0, elf::SHT_NULL.0];
    let starts = |starts: &[&str]| starts.iter().any(|start| name.starts_with(start));
    let reason = if has(section, elf::SHF_WRITE) && has(section, elf::SHF_EXECINSTR) {
        "is writable and executable, which no memory of a process should be"
    } else if has(section, elf::SHF_TLS) {
        "has variables of threads (__thread): a thread that runs cannot get new ones; use a shadow variable"
    } else if starts(&[
        ".init_array",
        ".fini_array",
        ".preinit_array",
        ".ctors",
        ".dtors",
    ]) || [".init", ".fini"].contains(&name)
    {
        "has constructors or destructors, which a patch cannot run: use a callback"
    } else if starts(&[".gcc_except_table"]) {
        "has handlers of C++ exceptions, which the program's unwinder would not find"
    } else if has(section, elf::SHF_COMPRESSED) {
        "is compressed and loaded: no compiler writes that"
    } else if !is_loaded(section) && !known.contains(&section.kind) {
        "is loaded and of a type that is not known"
    } else if section.align > LARGEST_ALIGN || !section.align.max(1).is_power_of_two() {
        "has an alignment that cannot be had"
    } else {
        return Ok(());
    };
    Err(PatchError::Section {
        section: name.to_owned(),
        reason,
    })
}

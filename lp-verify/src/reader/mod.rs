//! A finished module, read with goblin: what it says of itself, and what it leaves to the livepatch core.
//!
//! Nothing is judged here. A file that cannot be read at all is an error; a name that is wrong is kept as it is,
//! for the rules to find. The tempting wrong way is to stop at the first oddity and hide the others.

mod btf;
mod code;
mod image;
pub mod imports;
pub mod layout;
mod process;
pub mod tables;

use crate::patch::Patch;
use goblin::elf::{Elf, SectionHeader, Sym, header, section_header};
use image::Image;
use imports::Imports;
use layout::Layout;
use lp_klp::core::KlpObject;
use lp_klp::manifest::{Manifest, TargetKind};
use lp_klp::name::{SHF_RELA_LIVEPATCH, SHN_LIVEPATCH};
use lp_klp::note::{self, NOTE_SECTION, NoteError};
use std::path::{Path, PathBuf};
use tables::{Known, TableObject, Tables};
use thiserror::Error;

/// What a signed module ends with (`MODULE_SIG_STRING`, `include/linux/module_signature.h`).
const SIGNATURE_MARK: &[u8] = b"~Module signature appended~\n";

/// Why a file is not a livepatch module.
#[derive(Debug, Error)]
pub enum ReadError {
    /// It cannot be read.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// It is not an ELF file, or a damaged one.
    #[error("{}: not a module: {message}", path.display())]
    Elf {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
    /// It is some other module.
    #[error("{}: not a livepatch: its .modinfo has no livepatch=Y and it has no section {NOTE_SECTION}", path.display())]
    NoLivepatch {
        /// The file.
        path: PathBuf,
    },
    /// It has a note of ours that cannot be read.
    #[error("{}: {source}", path.display())]
    Note {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: NoteError,
    },
}

/// A finished module.
#[derive(Debug, Clone)]
pub struct Module {
    /// The file.
    pub path: PathBuf,
    /// What it says of itself, if lp-build made it.
    pub manifest: Option<Manifest>,
    /// What the livepatch core will read.
    pub tables: Tables,
    /// The `KEY=VALUE` entries of `.modinfo`.
    pub modinfo: Vec<(String, String)>,
    /// Whether a signature is appended to it.
    pub signed: bool,
    /// `e_machine`, by the name that `uname -m` has for it; empty where we have none.
    pub arch: &'static str,
    /// The symbols that the livepatch core resolves, or that are named as if it did.
    pub klp_symbols: Vec<KlpSymbol>,
    /// The relocation sections that the livepatch core applies, or that are named as if it did.
    pub klp_sections: Vec<KlpSection>,
    /// The ordinary symbols that it takes from the kernel and from modules.
    pub imports: Imports,
}

/// A symbol by its raw name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KlpSymbol {
    /// Its name.
    pub name: String,
    /// Whether its section index is `SHN_LIVEPATCH`.
    pub is_marked: bool,
}

/// A relocation section by its raw name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KlpSection {
    /// Its name.
    pub name: String,
    /// Whether it has `SHF_RELA_LIVEPATCH`.
    pub is_marked: bool,
    /// Whether the kernel loads it (`SHF_ALLOC`).
    pub is_alloc: bool,
    /// The section it relocates.
    pub target: String,
    /// The symbols its relocations are against.
    pub symbols: Vec<KlpSymbol>,
}

impl Module {
    /// Reads a module file; `layout` is that of the kernel's structs, where its types are at hand.
    pub fn open(path: &Path, layout: Option<&Layout>) -> Result<Self, ReadError> {
        let data = std::fs::read(path).map_err(|source| ReadError::Io {
            path: path.to_owned(),
            source,
        })?;
        Self::parse(path, &data, layout)
    }

    /// Reads a module's bytes; `path` is what errors call it.
    pub fn parse(path: &Path, data: &[u8], layout: Option<&Layout>) -> Result<Self, ReadError> {
        let wrong = |message: String| ReadError::Elf {
            path: path.to_owned(),
            message,
        };
        let elf = Elf::parse(data).map_err(|error| wrong(error.to_string()))?;
        if elf.header.e_type != header::ET_REL {
            return Err(wrong("it is no relocatable object".to_owned()));
        }
        let note = section(&elf, data, NOTE_SECTION)
            .map(note::decode)
            .transpose();
        let manifest = note.map_err(|source| ReadError::Note {
            path: path.to_owned(),
            source,
        })?;
        let modinfo = modinfo(section(&elf, data, ".modinfo").unwrap_or_default());
        if manifest.is_none() && first(&modinfo, "livepatch") != Some("Y") {
            return Err(ReadError::NoLivepatch {
                path: path.to_owned(),
            });
        }
        let release = release(&modinfo).unwrap_or_default();
        let assumed = Layout::of_release(release);
        let contents = |name: &str| section(&elf, data, name).map(<[u8]>::to_vec);
        let image = Image::new(&elf, data);
        let tables = match &manifest {
            Some(manifest) if manifest.target.kind == TargetKind::Process => {
                Tables::of_process(&image, manifest)
            }
            _ => Tables::read(&image, layout.unwrap_or(&assumed)),
        };
        Ok(Self {
            path: path.to_owned(),
            manifest,
            imports: imports::read(&elf, contents),
            tables,
            modinfo,
            signed: data.ends_with(SIGNATURE_MARK),
            arch: match elf.header.e_machine {
                header::EM_X86_64 => "x86_64",
                header::EM_AARCH64 => "aarch64",
                header::EM_S390 => "s390x",
                header::EM_PPC64 => "ppc64le",
                _ => "",
            },
            klp_symbols: elf
                .syms
                .iter()
                .map(|sym| symbol(&elf, &sym))
                .filter(KlpSymbol::is_klp)
                .collect(),
            klp_sections: elf
                .section_headers
                .iter()
                .enumerate()
                .filter_map(|(index, _)| klp(&elf, index))
                .collect(),
        })
    }

    /// What it is loaded into.
    pub fn kind(&self) -> TargetKind {
        let manifest = self.manifest.as_ref();
        manifest.map_or(TargetKind::Kernel, |manifest| manifest.target.kind)
    }

    /// The value of a `.modinfo` key; the first one, as the kernel takes it.
    pub fn info(&self, key: &str) -> Option<&str> {
        first(&self.modinfo, key)
    }

    /// The release that `vermagic` begins with.
    pub fn release(&self) -> Option<&str> {
        release(&self.modinfo)
    }

    /// The patch that it holds: what its manifest says, else its tables.
    pub fn patch(&self) -> Patch {
        let place = self.path.display().to_string();
        if let Some(manifest) = &self.manifest {
            return Patch::of_manifest(manifest, &place);
        }
        let name = self.info("name").map(str::to_owned);
        Patch {
            place,
            name: name.unwrap_or_else(|| file_stem(&self.path)),
            version: self.info("version").unwrap_or_default().to_owned(),
            kind: TargetKind::Kernel,
            release: self.release().unwrap_or_default().to_owned(),
            build_id: String::new(),
            replace: self.tables.replace,
            states: self.tables.states.clone(),
            objects: self.patch_of_tables(),
            callbacks: self.tables.callbacks(),
            transition: false,
        }
    }

    /// The objects that the livepatch core will read.
    pub(crate) fn patch_of_tables(&self) -> Known<Vec<KlpObject>> {
        let object = |object: &TableObject| {
            Ok(KlpObject {
                name: object.name.clone(),
                funcs: object.funcs.clone()?,
            })
        };
        self.tables
            .objects
            .as_ref()
            .map_err(|why| *why)?
            .iter()
            .map(object)
            .collect()
    }
}

fn first<'m>(modinfo: &'m [(String, String)], key: &str) -> Option<&'m str> {
    let mut entries = modinfo.iter().filter(|(name, _)| name == key);
    entries.next().map(|(_, value)| value.as_str())
}

fn release(modinfo: &[(String, String)]) -> Option<&str> {
    first(modinfo, "vermagic")?.split(' ').next()
}

fn file_stem(path: &Path) -> String {
    let stem = path.file_stem().unwrap_or_default();
    stem.to_string_lossy().replace('-', "_")
}

impl KlpSymbol {
    fn is_klp(&self) -> bool {
        self.is_marked || self.name.starts_with(".klp.sym.")
    }
}

fn section_name<'a>(elf: &Elf<'a>, header: &SectionHeader) -> &'a str {
    elf.shdr_strtab.get_at(header.sh_name).unwrap_or_default()
}

fn section<'a>(elf: &Elf<'_>, data: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let header = elf
        .section_headers
        .iter()
        .find(|header| section_name(elf, header) == name)?;
    let start = usize::try_from(header.sh_offset).ok()?;
    data.get(start..start.checked_add(usize::try_from(header.sh_size).ok()?)?)
}

fn modinfo(section: &[u8]) -> Vec<(String, String)> {
    let entries = section
        .split(|&byte| byte == 0)
        .map(String::from_utf8_lossy);
    let pair = |entry: std::borrow::Cow<'_, str>| {
        let (key, value) = entry.split_once('=')?;
        Some((key.to_owned(), value.to_owned()))
    };
    entries.filter_map(pair).collect()
}

fn symbol(elf: &Elf<'_>, sym: &Sym) -> KlpSymbol {
    KlpSymbol {
        name: elf
            .strtab
            .get_at(sym.st_name)
            .unwrap_or_default()
            .to_owned(),
        is_marked: sym.st_shndx == usize::from(SHN_LIVEPATCH),
    }
}

/// The relocation section of this index, if it is the livepatch core's.
fn klp(elf: &Elf<'_>, index: usize) -> Option<KlpSection> {
    let header = elf.section_headers.get(index)?;
    let name = section_name(elf, header);
    let is_marked = header.sh_flags & SHF_RELA_LIVEPATCH != 0;
    if !is_marked && !name.starts_with(".klp.rela.") {
        return None;
    }
    let target = elf
        .section_headers
        .get(usize::try_from(header.sh_info).ok()?);
    let relocations = elf
        .shdr_relocs
        .iter()
        .find(|(section, _)| *section == index);
    let symbols = relocations.map(|(_, relocations)| {
        let syms = relocations
            .iter()
            .filter_map(|relocation| elf.syms.get(relocation.r_sym));
        syms.map(|sym| symbol(elf, &sym)).collect()
    });
    Some(KlpSection {
        name: name.to_owned(),
        is_marked,
        is_alloc: header.sh_flags & u64::from(section_header::SHF_ALLOC) != 0,
        target: target
            .map(|target| section_name(elf, target))
            .unwrap_or_default()
            .to_owned(),
        symbols: symbols.unwrap_or_default(),
    })
}

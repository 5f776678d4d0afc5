//! The symbols and relocations of a patch file.

use super::{
    Ids, LARGEST_FILE, Meaning, PatchError, Relocation, Section, SectionId, Symbol, SymbolId,
};
use crate::process::prepare::relocation::Kind;
use crate::process::read::elf::{self as elf_file, Elf, text_at};
use lp_klp::name::{KlpRelaName, KlpSymName, SHF_RELA_LIVEPATCH, SHN_LIVEPATCH};
use object::LittleEndian as LE;
use object::elf::{self, Rela64, Sym64};
use object::pod::{Pod, slice_from_all_bytes};

/// The symbols, all of them: relocations count them.
pub(super) fn symbols(
    file: &Elf,
    ids: &Ids,
    loaded: &[Section],
) -> Result<Vec<Symbol>, PatchError> {
    let section = file
        .section_of(elf::SHT_SYMTAB)
        .ok_or(PatchError::Missing("symbol table"))?;
    let names = file.sections().get(section.link as usize);
    let names = file.contents(names.ok_or(PatchError::Missing("names of its symbols"))?)?;
    let raw = records::<Sym64<LE>>(file, section, "symbol table")?;
    let mut symbols = Vec::with_capacity(raw.len());
    let mut spelt = 0;
    for raw in &raw {
        let name = text_at(&names, raw.st_name.get(LE));
        // Many symbols may share one long name in the file; each has its own here.
        spelt += name.len() as u64;
        if spelt > LARGEST_FILE {
            return Err(PatchError::TooLarge {
                size: spelt,
                limit: LARGEST_FILE,
            });
        }
        let name = String::from_utf8_lossy(name).into_owned();
        let meaning = meaning(raw, &name, ids, loaded)?;
        let (kind, size) = (raw.st_info.0 & 0xf, raw.st_size.get(LE));
        symbols.push(Symbol {
            name,
            meaning,
            kind,
            size,
        });
    }
    Ok(symbols)
}

fn meaning(
    raw: &Sym64<LE>,
    name: &str,
    ids: &Ids,
    loaded: &[Section],
) -> Result<Meaning, PatchError> {
    let wrong = |reason: &'static str| PatchError::Symbol {
        symbol: name.to_owned(),
        reason,
    };
    let offset = raw.st_value.get(LE);
    match raw.st_shndx.get(LE) {
        elf::SHN_UNDEF if name.is_empty() => Ok(Meaning::Nothing),
        elf::SHN_UNDEF if name.parse::<KlpSymName>().is_ok() => Err(wrong(
            "names a symbol of the patched object, but is not marked as one (SHN_LIVEPATCH)",
        )),
        elf::SHN_UNDEF => Ok(Meaning::Undefined {
            weak: raw.st_info.0 >> 4 == elf::STB_WEAK.0,
        }),
        elf::SHN_ABS if raw.st_info.0 & 0xf == elf::STT_FILE.0 => Ok(Meaning::Nothing),
        elf::SHN_ABS => Ok(Meaning::Absolute(offset)),
        elf::SHN_COMMON => Err(wrong("is a common one: compile with -fno-common")),
        elf::SymbolSection(SHN_LIVEPATCH) => Ok(Meaning::Klp(name.parse()?)),
        elf::SymbolSection(index) => {
            let section = ids
                .get(usize::from(index))
                .ok_or_else(|| wrong("is in a section that is not there"))?;
            let Some(section) = *section else {
                return Ok(Meaning::Nothing);
            };
            let end = offset.checked_add(raw.st_size.get(LE));
            if end.is_none_or(|end| end > loaded[section.0].size) {
                return Err(wrong("goes beyond its section"));
            }
            Ok(Meaning::Inside { section, offset })
        }
    }
}

/// The relocations of what is loaded, by section and offset.
pub(super) fn relocations(
    file: &Elf,
    ids: &Ids,
    loaded: &[Section],
    symbols: &[Symbol],
) -> Result<Vec<Relocation>, PatchError> {
    let mut all = Vec::new();
    for section in file.sections() {
        let Some(target) = relocated(file, section, ids)? else {
            continue;
        };
        let klp = klp_name(file, section, &loaded[target.0])?;
        for raw in records::<Rela64<LE>>(file, section, "relocations")? {
            let context = Context {
                target,
                loaded: &loaded[target.0],
                symbols,
                klp: klp.as_ref(),
            };
            all.extend(context.relocation(&raw)?);
        }
    }
    all.sort_by_key(|it| (it.section, it.offset));
    Ok(all)
}

/// The loaded section that a section of relocations is about.
fn relocated(
    file: &Elf,
    section: &elf_file::Section,
    ids: &Ids,
) -> Result<Option<SectionId>, PatchError> {
    let reason = match section.kind {
        kind if kind == elf::SHT_RELA.0 => match ids.get(section.info as usize) {
            Some(id) => return Ok(*id),
            None => "relocates a section that is not there",
        },
        kind if kind == elf::SHT_REL.0 => {
            "has relocations without addends, which x86-64 does not use"
        }
        _ => return Ok(None),
    };
    Err(PatchError::Section {
        section: file.section_name(section),
        reason,
    })
}

/// The object whose symbols the relocations are against; none where they are ordinary ones.
fn klp_name(
    file: &Elf,
    section: &elf_file::Section,
    target: &Section,
) -> Result<Option<KlpRelaName>, PatchError> {
    if section.flags & SHF_RELA_LIVEPATCH == 0 {
        return Ok(None);
    }
    let name = file.section_name(section);
    let klp: KlpRelaName = name.parse()?;
    if klp.section != target.name {
        let reason = "relocates another section than its name says";
        return Err(PatchError::Section {
            section: name,
            reason,
        });
    }
    Ok(Some(klp))
}

struct Context<'a> {
    target: SectionId,
    loaded: &'a Section,
    symbols: &'a [Symbol],
    klp: Option<&'a KlpRelaName>,
}

impl Context<'_> {
    fn relocation(&self, raw: &Rela64<LE>) -> Result<Option<Relocation>, PatchError> {
        let (offset, info) = (raw.r_offset.get(LE), raw.r_info.get(LE));
        let (kind, index) = (info as u32, (info >> 32) as usize);
        let wrong = |reason: &'static str| PatchError::Relocation {
            section: self.loaded.name.clone(),
            offset,
            kind,
            reason,
        };
        if kind == elf::R_X86_64_NONE.0 {
            return Ok(None);
        }
        let Some(known) = Kind::of(kind) else {
            return Err(wrong(
                "is of a kind that is not known: compile the patch without what needs it",
            ));
        };
        let symbol = self
            .symbols
            .get(index)
            .ok_or_else(|| wrong("refers to a symbol that is not there"))?;
        let end = offset.checked_add(known.width());
        if end.is_none_or(|end| end > self.loaded.bytes.len() as u64) {
            return Err(wrong("is outside of its section"));
        }
        match (&symbol.meaning, self.klp) {
            (Meaning::Nothing, _) if index != 0 => {
                return Err(wrong("refers to what is not loaded"));
            }
            (Meaning::Klp(name), Some(klp)) if name.object != klp.object => {
                return Err(wrong("is filed under another object than its symbol's"));
            }
            (Meaning::Klp(_), None) => {
                return Err(wrong(
                    "refers to the patched object from an ordinary section",
                ));
            }
            (Meaning::Klp(_), Some(_)) | (_, None) => {}
            (_, Some(_)) => {
                return Err(wrong(
                    "does not refer to the patched object, though its section says so",
                ));
            }
        }
        let (section, symbol, addend) = (self.target, SymbolId(index), raw.r_addend.get(LE));
        Ok(Some(Relocation {
            section,
            offset,
            kind: known,
            symbol,
            addend,
        }))
    }
}

fn records<T: Pod + Clone>(
    file: &Elf,
    section: &elf_file::Section,
    what: &'static str,
) -> Result<Vec<T>, PatchError> {
    let bytes = file.contents(section)?;
    let records = slice_from_all_bytes::<T>(&bytes);
    Ok(records.map_err(|()| PatchError::Missing(what))?.to_vec())
}

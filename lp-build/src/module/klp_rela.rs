//! Which relocations the livepatch core must apply, and in which section it looks for them.
//!
//! A relocation against a `.klp.sym` symbol goes to `.klp.rela.OBJECT.SECTION`, where OBJECT is the symbol's: the
//! kernel writes `vmlinux` ones when the patch module loads, before its special sections are used, and a module's
//! when that module is there (`klp_apply_section_relocs`, `kernel/livepatch/core.c` 6.1). The tempting wrong way is
//! to file everything under the object that is patched: the kernel refuses a vmlinux symbol in a module's section.

use super::post_link::PostLinkError;
use lp_klp::name::{KlpRelaName, KlpSymName, ObjName, SHF_RELA_LIVEPATCH, SHN_LIVEPATCH};
use object::build::elf::{Builder, Relocation, Section, SectionData, SectionId, Symbols};
use object::elf;
use std::collections::BTreeMap;

/// Sections that the kernel reads when the patch module loads (`module_finalize`, `jump_label_add_module`,
/// `static_call_add_module`), so before a module's own relocations may be there.
const READ_AT_LOAD: [&str; 7] = [
    "__jump_table",
    "__ex_table",
    ".static_call_sites",
    ".altinstructions",
    ".altinstr_replacement",
    ".parainstructions",
    "__tracepoints_ptrs",
];

/// When a kernel writes livepatch relocations against its own symbols.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// Before it reads the special sections of the patch, since Linux 5.8.
    Early,
    /// When the patch is enabled.
    Late,
}

impl When {
    /// That of a kernel's release. What is not a version counts as new; a distribution may have taken the change over
    /// into an older one, where a patch is then refused that would do.
    pub fn of(release: &str) -> Self {
        let mut numbers = release.split(|c: char| !c.is_ascii_digit());
        let mut number = || numbers.next().and_then(|text| text.parse::<u32>().ok());
        match (number(), number()) {
            (Some(major), Some(minor)) if (major, minor) < (5, 8) => When::Late,
            _ => When::Early,
        }
    }
}

#[test]
fn since_5_8_the_kernels_own_symbols_are_early() {
    for (release, when) in [
        ("5.4.0-150-generic", When::Late),
        ("5.7.19", When::Late),
        ("5.8.0", When::Early),
        ("5.10.0-30-amd64", When::Early),
        ("6.1.0-53-cloud-amd64", When::Early),
        ("4.19.0", When::Late),
    ] {
        assert_eq!(When::of(release), when, "{release}");
    }
}

/// Bytes of an `Elf64_Rela`.
const RELA_SIZE: u64 = 24;

/// The relocations of one section by the object whose symbols they refer to, each with the symbol's name.
type Moved = BTreeMap<ObjName, Vec<(KlpSymName, Relocation)>>;

/// Moves the relocations against `SHN_LIVEPATCH` symbols to livepatch sections, and drops sections of ordinary
/// ones that become empty.
pub(super) fn split(builder: &mut Builder<'_>, when: When) -> Result<(), PostLinkError> {
    let symtab = builder
        .sections
        .iter()
        .find(|section| matches!(section.data, SectionData::Symbol));
    let symtab = symtab.map(Section::id).ok_or(PostLinkError::NoSymbols)?;
    let mut new = Vec::new();
    for id in builder.sections.iter().map(Section::id).collect::<Vec<_>>() {
        let Some(target) = relocated_section(builder, id) else {
            continue;
        };
        let section = builder.sections.get_mut(id);
        let SectionData::Relocation(relocations) = &mut section.data else {
            continue;
        };
        let moved = take_klp(relocations, &builder.symbols)?;
        section.delete = !moved.is_empty() && relocations.is_empty();
        let name = section_name(builder, target)?;
        for (object, relocations) in moved {
            refuse_late(&name, &relocations, when)?;
            let relocations = relocations
                .into_iter()
                .map(|(_, relocation)| relocation)
                .collect();
            new.push((
                KlpRelaName {
                    object,
                    section: name.clone(),
                },
                target,
                relocations,
            ));
        }
    }
    for (name, target, relocations) in new {
        add_section(builder, &name, symtab, target, relocations);
    }
    Ok(())
}

/// The section that a RELA section relocates, when the kernel would load it: the livepatch core, as the module
/// loader, leaves what is not allocated (debug information) alone.
fn relocated_section(builder: &Builder<'_>, id: SectionId) -> Option<SectionId> {
    let section = builder.sections.get(id);
    let target = section.sh_info_section?;
    let alloc = builder
        .sections
        .get(target)
        .sh_flags
        .contains(elf::SHF_ALLOC);
    (section.sh_type == elf::SHT_RELA && alloc).then_some(target)
}

fn section_name(builder: &Builder<'_>, id: SectionId) -> Result<String, PostLinkError> {
    let name = &builder.sections.get(id).name;
    String::from_utf8(name.to_vec()).map_err(|_| PostLinkError::Name(name.to_string()))
}

/// Takes the relocations against livepatch symbols out, by object, in the order they had.
fn take_klp(
    relocations: &mut Vec<Relocation>,
    symbols: &Symbols<'_>,
) -> Result<Moved, PostLinkError> {
    let mut moved = Moved::new();
    let mut kept = Vec::with_capacity(relocations.len());
    for relocation in relocations.drain(..) {
        match klp_symbol(symbols, &relocation)? {
            Some(name) => moved
                .entry(name.object.clone())
                .or_default()
                .push((name, relocation)),
            None => kept.push(relocation),
        }
    }
    *relocations = kept;
    Ok(moved)
}

fn klp_symbol(
    symbols: &Symbols<'_>,
    relocation: &Relocation,
) -> Result<Option<KlpSymName>, PostLinkError> {
    let symbol = relocation.symbol.map(|id| symbols.get(id));
    let klp = symbol.filter(|symbol| symbol.st_shndx.0 == SHN_LIVEPATCH);
    Ok(klp
        .map(|symbol| String::from_utf8_lossy(&symbol.name).parse())
        .transpose()?)
}

fn refuse_late(
    section: &str,
    relocations: &[(KlpSymName, Relocation)],
    when: When,
) -> Result<(), PostLinkError> {
    if let (When::Late, Some((name, _)), true) =
        (when, relocations.first(), READ_AT_LOAD.contains(&section))
    {
        return Err(PostLinkError::Unexported {
            section: section.to_owned(),
            symbol: name.symbol.clone(),
        });
    }
    let late = relocations
        .iter()
        .find(|(name, _)| !name.object.is_vmlinux());
    match late.filter(|_| READ_AT_LOAD.contains(&section)) {
        Some((name, _)) => Err(PostLinkError::Late {
            section: section.to_owned(),
            object: name.object.clone(),
            symbol: name.symbol.clone(),
        }),
        None => Ok(()),
    }
}

fn add_section(
    builder: &mut Builder<'_>,
    name: &KlpRelaName,
    symtab: SectionId,
    target: SectionId,
    relocations: Vec<Relocation>,
) {
    let livepatch = elf::SectionFlags(SHF_RELA_LIVEPATCH);
    let section = builder.sections.add();
    section.name = name.to_string().into_bytes().into();
    section.sh_type = elf::SHT_RELA;
    section.sh_flags = elf::SHF_ALLOC | elf::SHF_INFO_LINK | livepatch;
    section.sh_link_section = Some(symtab);
    section.sh_info_section = Some(target);
    section.sh_addralign = 8;
    section.sh_entsize = RELA_SIZE;
    section.data = SectionData::Relocation(relocations);
}

//! Addresses of functions that the kernel has sealed.
//!
//! With indirect branch tracking a function may be called through a pointer only if it begins with ENDBR64. objtool lists
//! those that nothing points at in `.ibt_endbr_seal`, and the kernel takes their ENDBR64 away as it boots
//! (`apply_seal_endbr`, arch/x86/kernel/alternative.c, 6.12). New code that takes such an address would fault at the call. The tempting wrong
//! way is to look at the first bytes of the function in the file, where the instruction still is.

use super::image::{self, Place};
use crate::report::RefusalReport;
use anyhow::Result;
use lp_klp::name::{KlpSymName, ObjName};
use object::read::ReadRef;
use object::{
    Object, ObjectSection, ObjectSymbol, Relocation, RelocationFlags, RelocationTarget, elf,
};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

const SEAL: &str = ".ibt_endbr_seal";
/// The list's entries: 32-bit distances from themselves.
const ENTRY: usize = 4;

/// A place in the running binary; a linked one needs no section.
type At = (Option<usize>, u64);

/// The functions of `binary` that the new code in `diff` takes the address of and that are sealed.
pub fn check(
    source: &str,
    object: &ObjName,
    diff: &[u8],
    binary: &Path,
) -> Result<Vec<RefusalReport>> {
    let taken = taken(object, diff)?;
    if taken.is_empty() {
        return Ok(Vec::new());
    }
    let cache = image::open(binary)?;
    let file = image::parse(&cache, binary)?;
    let sealed = sealed(&file)?;
    if sealed.is_empty() {
        return Ok(Vec::new());
    }
    let places = image::places(&file, taken.keys().map(|name| name.symbol.as_str()));
    let is_linked = file.kind() != object::ObjectKind::Relocatable;
    let at = |place: Place| (Some(place.section.0).filter(|_| !is_linked), place.address);
    let is_sealed = |name: &KlpSymName| {
        let place = places.get(name.symbol.as_str());
        let place = place.and_then(|places| image::pick(places, name.sympos));
        place.is_some_and(|place| sealed.contains(&at(place)))
    };
    let found = taken.iter().filter(|(name, _)| is_sealed(name));
    Ok(found
        .map(|(name, section)| refusal(source, &name.symbol, section))
        .collect())
}

fn refusal(source: &str, function: &str, section: &str) -> RefusalReport {
    RefusalReport {
        code: "sealed-function".to_owned(),
        place: format!("{source}: {section}"),
        message: format!(
            "it takes the address of {function}, which the running kernel lets nobody call through a pointer (it took the \
             ENDBR64 at its entry away): point at a new function that calls {function}"
        ),
        source: None,
    }
}

/// The symbols of the running binary whose address is used other than by a call or jump, and a section that does.
fn taken(object: &ObjName, diff: &[u8]) -> Result<BTreeMap<KlpSymName, String>> {
    let file = object::File::parse(diff)?;
    let mut taken = BTreeMap::new();
    for section in file.sections() {
        let data = section.data()?;
        for (offset, relocation) in section.relocations() {
            let RelocationTarget::Symbol(index) = relocation.target() else {
                continue;
            };
            let Ok(name) = file.symbol_by_index(index)?.name()?.parse::<KlpSymName>() else {
                continue;
            };
            if name.object == *object && !is_branch(&relocation, offset, data) {
                taken.entry(name).or_insert(section.name()?.to_owned());
            }
        }
    }
    Ok(taken)
}

/// Whether the relocation is the operand of `call`, `jmp` or `jcc`: older assemblers write them as other references.
fn is_branch(relocation: &Relocation, offset: u64, data: &[u8]) -> bool {
    let RelocationFlags::Elf { r_type } = relocation.flags() else {
        return false;
    };
    let before = usize::try_from(offset).ok().and_then(|at| data.get(..at));
    let before = before.unwrap_or_default();
    r_type == elf::R_X86_64_PLT32
        || (r_type == elf::R_X86_64_PC32
            && (matches!(before, [.., 0xe8 | 0xe9]) || matches!(before, [.., 0x0f, 0x80..=0x8f])))
}

/// The places that the list names.
fn sealed<'a, R: ReadRef<'a>>(file: &object::File<'a, R>) -> Result<BTreeSet<At>> {
    let Some(list) = file.section_by_name(SEAL) else {
        return Ok(BTreeSet::new());
    };
    if file.kind() != object::ObjectKind::Relocatable {
        let entries = list.data()?.chunks_exact(ENTRY).zip(0_u64..);
        return Ok(entries
            .filter_map(|(entry, index)| {
                let distance = i32::from_le_bytes(entry.try_into().ok()?);
                let own = list.address().wrapping_add(index * ENTRY as u64);
                Some((None, own.wrapping_add_signed(distance.into())))
            })
            .collect());
    }
    let at = |relocation: &Relocation| {
        let RelocationTarget::Symbol(index) = relocation.target() else {
            return None;
        };
        let symbol = file.symbol_by_index(index).ok()?;
        let address = symbol.address().wrapping_add_signed(relocation.addend());
        Some((Some(symbol.section_index()?.0), address))
    };
    Ok(list
        .relocations()
        .filter_map(|(_, relocation)| at(&relocation))
        .collect())
}

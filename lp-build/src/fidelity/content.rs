//! Whether read-only content of ours is at a place of the running binary.
//!
//! Bytes must be equal outside relocated fields, and these must refer to the same things: globals by name, strings by
//! content, locals by the name at the place. That is how a CPU feature test in `.altinstr_aux` is told from another
//! one. The tempting wrong way is to mask the fields: the feature tested is in one.

use super::insn::{self, FieldKind};
use super::linked::Found;
use super::orig::{Orig, Referent, Relocation};
use super::symbols::Place;
use super::target::Target;

/// Whether a section of ours is there.
pub(super) fn is_there(orig: &Orig<'_>, target: &Target, section: usize, base: Place) -> bool {
    let Some(ours) = orig.sections.get(section) else {
        return false;
    };
    let Some(theirs) = target.read(base, ours.data.len() as u64) else {
        return false;
    };
    let mut masked = ours.data.to_vec();
    for relocation in &ours.relocations {
        let Some(field) = usize::try_from(relocation.offset)
            .ok()
            .and_then(|at| insn::field(relocation.kind, at))
        else {
            return false;
        };
        let end = field.at.saturating_add(field.size);
        let (Some(ours), Some(theirs)) = (masked.get_mut(field.at..end), theirs.get(field.at..end))
        else {
            return false;
        };
        ours.copy_from_slice(theirs);
    }
    let same = |relocation: &Relocation<'_>| {
        is_same(orig, target, base, (section, &theirs), relocation).is_some()
    };
    masked == theirs && ours.relocations.iter().all(same)
}

/// `Some` when the field at the same place of theirs refers to what ours does.
fn is_same(
    orig: &Orig<'_>,
    target: &Target,
    base: Place,
    (section, theirs): (usize, &[u8]),
    ours: &Relocation<'_>,
) -> Option<()> {
    let field = insn::field(ours.kind, usize::try_from(ours.offset).ok()?)?;
    let at = base.plus(ours.offset);
    // What a PC-relative field means counts from its end: code refers to the next instruction, data never does.
    let correction = if field.kind == FieldKind::PcRelative {
        field.size as i64
    } else {
        0
    };
    // An entry of a switch table is the distance from the table's start, not from the field.
    let correction = match target.linked() {
        Some(_) if field.kind == FieldKind::PcRelative => {
            -(orig.since_label(ours, section).cast_signed())
        }
        _ => correction,
    };
    let addend = ours.addend.checked_add(correction)?;
    let written = target.linked().filter(|_| at.section == 0);
    let written = written.and_then(|linked| linked.written(at.offset));
    if let Some(Found::Global(found, by)) = &written {
        return matches!(ours.referent, Referent::Global { name, .. } if name == found && addend == *by)
            .then_some(());
    }
    let place = match (target.relocations(at, 1).first(), written) {
        (Some(theirs), _) => {
            let symbol = target.symbols.get(theirs.symbol)?;
            let by = theirs.addend.checked_add(correction)?;
            match (ours.referent, symbol.place.filter(|_| symbol.is_local())) {
                (_, Some(place)) => place.plus(by as u64),
                (Referent::Global { name, .. }, None) => {
                    return (name == target.symbols.name(theirs.symbol) && by == addend)
                        .then_some(());
                }
                (Referent::Local { .. } | Referent::Absolute(_), None) => return None,
            }
        }
        (None, Some(Found::Place(place))) => place,
        (None, _) if field.kind == FieldKind::PcRelative => {
            at.plus(insn::value(theirs, field)?.wrapping_add(correction as u64))
        }
        (None, _) if target.is_module() => return None,
        (None, _) => Place {
            section: 0,
            offset: insn::value(theirs, field)?,
        },
    };
    let same = match ours.referent {
        Referent::Global { name, .. } => {
            target.symbols.named_at(name, place.minus(addend)).is_some()
        }
        Referent::Absolute(value) => place.offset == value.wrapping_add(addend as u64),
        Referent::Local { section, offset } => {
            let (offset, place) = orig.referred(section, (offset, addend), place)?;
            is_local(orig, target, section, offset, place)
        }
    };
    same.then_some(())
}

/// Whether a local thing of ours can be at this place: by content, or by the name that covers it.
fn is_local(orig: &Orig<'_>, target: &Target, section: usize, offset: i64, place: Place) -> bool {
    if let Some(content) = orig.mergeable(section, offset) {
        return target
            .read(place, content.len() as u64)
            .is_some_and(|theirs| theirs == content);
    }
    let Ok(offset) = u64::try_from(offset) else {
        return false;
    };
    let before = orig
        .definitions
        .iter()
        .filter(|one| one.section == section && one.offset <= offset);
    let Some(definition) = before.max_by_key(|one| one.offset) else {
        return true;
    };
    let covers = |start: Place, size: u64| {
        let inside = place.offset.wrapping_sub(start.offset);
        // Distances within functions may differ: short jumps.
        let same = if definition.is_function {
            inside < size
        } else {
            inside == offset - definition.offset
        };
        start.section == place.section && same
    };
    let mut named = target.symbols.named(definition.name);
    named.any(|(_, symbol)| symbol.place.is_some_and(|start| covers(start, symbol.size)))
}

//! What a plan must know of objects that may go (`dlclose`), before they do.
//!
//! A part that other parts refer to stays in memory when its object goes. A callback that refers to its object cannot run then: what
//! lies there may be anything. And code that stays must not refer to an object that goes. The tempting wrong way is to
//! find out when the object has gone: nothing is left to look at.

use super::Inputs;
use crate::process::prepare::layout::Part;
use crate::process::prepare::patch_file::{Meaning, PatchFile, SectionId, SymbolId};
use crate::process::read::image::Image;
use lp_klp::manifest::Object;
use lp_klp::name::ObjName;
use lp_klp::target::Callback;
use std::collections::{BTreeMap, BTreeSet};

/// The parts that another part refers to, by their places.
pub(super) fn shared(patch: &PatchFile, parts: &[Part]) -> BTreeSet<usize> {
    let mut part_of: BTreeMap<SectionId, usize> = BTreeMap::new();
    for (index, part) in parts.iter().enumerate() {
        let ids = part.pieces.iter().filter_map(|piece| piece.id);
        part_of.extend(ids.map(|id| (id, index)));
    }
    let mut shared = BTreeSet::new();
    for (index, part) in parts.iter().enumerate() {
        let relocations = part.pieces.iter().flat_map(|piece| &piece.relocations);
        for relocation in relocations {
            let target = section_of(patch, relocation.symbol);
            let to = target.and_then(|section| part_of.get(&section).copied());
            shared.extend(to.filter(|to| *to != index));
        }
    }
    shared
}

/// The object that one of these symbols is of, where that may go while code of another one stays: `of` is the object that
/// the code is for.
pub(super) fn other_object<'a, M: ?Sized>(
    inputs: Inputs<'_, M>,
    of: &ObjName,
    meaning: &'a Meaning,
) -> Option<&'a ObjName> {
    let Meaning::Klp(name) = meaning else {
        return None;
    };
    let found = inputs.images.find(&name.object).ok().flatten();
    let may_go = found.is_some_and(|image| !inputs.images.stays(image));
    (name.object != *of && may_go).then_some(&name.object)
}

/// The callbacks of an object whose code, with all that it reaches in the patch, refers to the object itself.
pub(super) fn needing(patch: &PatchFile, object: &Object, image: &Image) -> Vec<Callback> {
    let callbacks = &object.callbacks;
    let names = [
        (Callback::PrePatch, &callbacks.pre_patch),
        (Callback::PostPatch, &callbacks.post_patch),
        (Callback::PreUnpatch, &callbacks.pre_unpatch),
        (Callback::PostUnpatch, &callbacks.post_unpatch),
    ];
    let refers = |name: &String| {
        let start = patch.function(name).and_then(|it| inside(&it.meaning));
        start.is_some_and(|start| reaches(patch, start, &object.name, image))
    };
    let needing = names
        .into_iter()
        .filter(|(_, name)| name.as_ref().is_some_and(refers));
    needing.map(|(callback, _)| callback).collect()
}

fn reaches(patch: &PatchFile, start: SectionId, object: &ObjName, image: &Image) -> bool {
    let mut seen = BTreeSet::from([start]);
    let mut next = vec![start];
    while let Some(section) = next.pop() {
        // Relocations are sorted by section.
        let first = patch.relocations.partition_point(|it| it.section < section);
        let own = patch.relocations[first..].iter();
        for relocation in own.take_while(|it| it.section == section) {
            let symbol = patch.symbol(relocation.symbol);
            match &symbol.meaning {
                Meaning::Klp(name) if name.object == *object => return true,
                Meaning::Undefined { .. } if defines(image, &symbol.name) => return true,
                meaning => {
                    let found = inside(meaning).filter(|it| seen.insert(*it));
                    next.extend(found);
                }
            }
        }
    }
    false
}

fn defines(image: &Image, name: &str) -> bool {
    let name = name.split_once('@').map_or(name, |(name, _)| name);
    image.dynamic.named(name.as_bytes()).any(|it| it.defined)
}

fn section_of(patch: &PatchFile, symbol: SymbolId) -> Option<SectionId> {
    inside(&patch.symbol(symbol).meaning)
}

fn inside(meaning: &Meaning) -> Option<SectionId> {
    match meaning {
        Meaning::Inside { section, .. } => Some(*section),
        _ => None,
    }
}

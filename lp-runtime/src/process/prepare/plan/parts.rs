//! The parts of a patch in memory: which objects are there, where their parts go, and their bytes.

use super::gone::{other_object, shared};
use super::{Inputs, Plan, PlannedArea, PlannedUnwind, Refusal};
use crate::process::prepare::layout::{Part, lay_out};
use crate::process::prepare::patch_file::{PatchFile, SymbolId};
use crate::process::prepare::place::{Want, place};
use crate::process::prepare::relocate::{relocate, sections_of, unwind_of};
use crate::process::prepare::resolve::{Resolver, Value};
use crate::process::read::image::Image;
use crate::process::read::memory::ReadMemory;
use crate::process::read::symbols::SymbolError;
use lp_klp::manifest::Object;
use lp_klp::name::ObjName;
use std::collections::{BTreeMap, BTreeSet};

/// For each object of the patch, or the one that is asked for alone, the one in the process; none where it is not loaded.
pub(super) fn find_objects<'a, M: ?Sized>(
    inputs: Inputs<'a, M>,
    only: Option<&ObjName>,
    refusals: &mut Vec<Refusal>,
) -> Vec<Option<&'a Image>> {
    let mut names = BTreeSet::new();
    let mut images = Vec::new();
    for object in &inputs.patch.manifest.objects {
        if !names.insert(&object.name) {
            refusals.push(Refusal::ObjectTwice {
                object: object.name.clone(),
            });
        }
        let wanted = only.is_none_or(|only| *only == object.name);
        let found = if wanted {
            inputs.images.find(&object.name)
        } else {
            Ok(None)
        };
        let image = found.unwrap_or_else(|error| {
            refusals.push(error.into());
            None
        });
        let other = image.and_then(|image| check_build_id(object, image));
        if let (None, Some(image)) = (&other, image) {
            refusals.extend(lend(inputs.patch, image, &object.name));
        }
        refusals.extend(other);
        images.push(image);
    }
    images
}

/// Gives a stripped object the symbols that the patch has for it.
fn lend(patch: &PatchFile, image: &Image, object: &ObjName) -> Option<Refusal> {
    let (symbols, strings) = patch.lent.get(object)?;
    let source = image.lend(symbols, strings).err()?;
    let object = object.to_string();
    Some(SymbolError::Unreadable { object, source }.into())
}

fn check_build_id(object: &Object, image: &Image) -> Option<Refusal> {
    let found = image.build_id_text();
    let same = object.build_id.eq_ignore_ascii_case(&found);
    (!same || found.is_empty()).then(|| Refusal::BuildId {
        object: object.name.clone(),
        wanted: object.build_id.clone(),
        found,
    })
}

impl Plan {
    /// Chooses places for the parts of these images, and writes their bytes.
    pub(super) fn place_parts<M: ReadMemory + ?Sized>(
        &mut self,
        inputs: Inputs<'_, M>,
        images: &[Option<&Image>],
        refusals: &mut Vec<Refusal>,
    ) {
        let parts = match lay_out(inputs.patch, &self.at_first) {
            Ok(parts) => parts,
            Err(error) => return refusals.push(error.into()),
        };
        let objects = &inputs.patch.manifest.objects;
        let shared = shared(inputs.patch, &parts).into_iter();
        self.shared = shared.map(|it| objects[it].name.clone()).collect();
        let present: Vec<(&Part, &Image, &ObjName)> = parts
            .iter()
            .zip(images)
            .zip(objects)
            .filter_map(|((part, image), object)| Some((part, (*image)?, &object.name)))
            .collect();
        let wants: Vec<Want> = present
            .iter()
            .map(|(part, image, _)| want(part, image))
            .collect();
        let places = match place(inputs.maps, &wants) {
            Ok(places) => places,
            Err(error) => return refusals.push(error.into()),
        };
        for ((part, _, object), base) in present.iter().zip(&places) {
            self.sections.extend(sections_of(part, *base));
            if part.size() > 0 {
                self.bases.insert((*object).clone(), *base);
            }
        }
        for ((part, image, object), base) in present.into_iter().zip(places) {
            let values = resolve(inputs, (object, image), part, refusals);
            // What could not be resolved has been said; the rest of the relocations may still be wrong.
            match relocate(inputs.patch, part, base, &values, &self.sections) {
                Ok(areas) => self.areas.extend(areas.into_iter().map(|it| PlannedArea {
                    object: object.clone(),
                    area: it.area,
                    address: it.address,
                    bytes: it.bytes,
                })),
                Err(errors) => {
                    let unresolved = |symbol: &str| refusals.iter().any(|it| it.is_about(symbol));
                    let new: Vec<_> = errors
                        .into_iter()
                        .filter(|it| !unresolved(&it.symbol))
                        .collect();
                    refusals.extend(new.into_iter().map(Refusal::from));
                }
            }
            let unwind = unwind_of(part, base).map(|(address, size)| PlannedUnwind {
                object: object.clone(),
                address,
                size,
            });
            self.unwind.extend(unwind);
        }
    }
}

fn want(part: &Part, image: &Image) -> Want {
    Want {
        object: image.name.clone(),
        near: image.range.clone(),
        size: part.size(),
        low: part.low,
    }
}

/// What the symbols that a part refers to stand for, as its object sees them.
fn resolve<M: ReadMemory + ?Sized>(
    inputs: Inputs<'_, M>,
    (object, image): (&ObjName, &Image),
    part: &Part,
    refusals: &mut Vec<Refusal>,
) -> BTreeMap<SymbolId, Value> {
    let resolver = Resolver::new(inputs.images, inputs.memory, vec![image], inputs.reserved);
    let relocations = part.pieces.iter().flat_map(|piece| &piece.relocations);
    let symbols: BTreeSet<SymbolId> = relocations.map(|it| it.symbol).collect();
    let mut values = BTreeMap::new();
    for id in symbols {
        let symbol = inputs.patch.symbol(id);
        if let Some(other) = other_object(inputs, object, &symbol.meaning) {
            refusals.push(Refusal::MayGo {
                object: object.clone(),
                symbol: symbol.name.clone(),
                other: other.clone(),
            });
            continue;
        }
        match resolver.resolve(symbol) {
            Ok(value) => values.extend(value.map(|value| (id, value))),
            Err(error) => refusals.push(Refusal::Symbol {
                symbol: symbol.name.clone(),
                error,
            }),
        }
    }
    values
}

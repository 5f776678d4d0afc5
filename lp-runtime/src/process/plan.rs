//! Everything that is known before a process is touched: what goes where, what each function's jump replaces and where it
//! leads. Or all the reasons why not.
//!
//! A plan is made from what was read; making one changes nothing. An object of the patch that is not loaded is no error: it
//! is listed, and when it comes [`Plan::late`] plans its part, with what is already there.

mod refusal;

pub use refusal::{Refusal, Warning};

use super::branches::Branches;
use super::entry::{self, Entry, Expected, Sites};
use super::image::Image;
use super::images::Images;
use super::layout::{LayoutError, Part, lay_out};
use super::maps::Maps;
use super::memory::ReadMemory;
use super::patch_file::{Area, Meaning, PatchFile, SymbolId, new_name};
use super::place::{Want, place};
use super::relocate::{Sections, inside, relocate, sections_of, unwind_of};
use super::resolve::{Resolver, Value};
use lp_klp::manifest::{Function, Object};
use lp_klp::name::{ObjName, Sympos};
use lp_klp::target::Callback;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// What a plan is made from.
#[derive(Debug)]
pub struct Inputs<'a, M: ?Sized> {
    /// The patch.
    pub patch: &'a PatchFile,
    /// The process's objects.
    pub images: &'a Images,
    /// Its mappings.
    pub maps: &'a Maps,
    /// Its memory.
    pub memory: &'a M,
    /// Where our jumps are now, and what they replaced.
    pub sites: &'a Sites,
    /// Names that the loader gives a meaning (`__lp_states`, `__lp_shadow_root`), and their addresses. Code of one part
    /// reaches them by slots or 64-bit addresses, wherever they are.
    pub reserved: &'a BTreeMap<String, u64>,
}

impl<M: ?Sized> Clone for Inputs<'_, M> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<M: ?Sized> Copy for Inputs<'_, M> {}

/// Memory that the patch needs, and what goes into it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedArea {
    /// The object that it is near.
    pub object: ObjName,
    /// What may be done with it.
    pub area: Area,
    /// Where it goes: the start of a page.
    pub address: u64,
    /// Whole pages.
    pub bytes: Vec<u8>,
}

/// A function to be redirected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedFunction {
    /// Its object.
    pub object: ObjName,
    /// Its name.
    pub name: String,
    /// Which of that name.
    pub sympos: Sympos,
    /// Where the jump goes.
    pub entry: Entry,
    /// Where its code is now: a thread in it is in the function. With the fragments that the compiler moved away.
    pub old: Vec<Range<u64>>,
    /// Where the new code is: the jump leads to its start.
    pub new: Range<u64>,
}

/// A callback in the patch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedCallback {
    /// Its object.
    pub object: ObjName,
    /// When it runs.
    pub callback: Callback,
    /// Its address.
    pub address: u64,
}

/// The unwind table of a part of the patch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedUnwind {
    /// The object that the part is near.
    pub object: ObjName,
    /// Where the table is; it ends with a zero word.
    pub address: u64,
    /// Bytes.
    pub size: u64,
}

/// What is to be done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// Memory to be mapped and written.
    pub areas: Vec<PlannedArea>,
    /// Functions to be redirected.
    pub functions: Vec<PlannedFunction>,
    /// Callbacks.
    pub callbacks: Vec<PlannedCallback>,
    /// Unwind tables.
    pub unwind: Vec<PlannedUnwind>,
    /// The objects that this is for.
    pub objects: Vec<ObjName>,
    /// Objects of the patch that are not loaded now.
    pub late: Vec<ObjName>,
    /// What the operator should know.
    pub warnings: Vec<Warning>,
    /// Where each object's part begins, for [`Plan::resume`]. A part without memory is not among them.
    pub bases: BTreeMap<ObjName, u64>,
    /// Where the sections of the patch are, those of earlier plans included.
    sections: Sections,
    /// Which of the patch's objects were there at first: what two of them share went to one of those.
    at_first: Vec<bool>,
}

impl Plan {
    /// Plans a patch for the objects that are loaded now.
    ///
    /// # Errors
    /// All reasons why the patch cannot go into this process.
    pub fn new<M: ReadMemory + ?Sized>(inputs: Inputs<'_, M>) -> Result<Self, Vec<Refusal>> {
        let mut refusals = Vec::new();
        let images = find_objects(inputs, None, &mut refusals);
        let at_first = images.iter().map(Option::is_some).collect();
        let start = Self {
            at_first,
            ..Self::default()
        };
        start.extend(inputs, &images, refusals)
    }

    /// Plans the part of a patch for an object that was loaded later than the rest.
    ///
    /// # Errors
    /// As [`Self::new`]; also where the object is not there, or is not the patch's.
    pub fn late<M: ReadMemory + ?Sized>(
        &self,
        inputs: Inputs<'_, M>,
        object: &ObjName,
    ) -> Result<Self, Vec<Refusal>> {
        let mut refusals = Vec::new();
        let images = find_objects(inputs, Some(object), &mut refusals);
        if images.iter().all(Option::is_none) && refusals.is_empty() {
            refusals.push(Refusal::NotLoaded {
                object: object.clone(),
            });
        }
        let (sections, at_first) = (self.sections.clone(), self.at_first.clone());
        let start = Self {
            sections,
            at_first,
            ..Self::default()
        };
        start.extend(inputs, &images, refusals)
    }

    /// What [`Self::late`] needs of a plan that was carried out before, maybe by a process that has ended since: the objects
    /// that were there at first, and where the parts begin that are in place.
    ///
    /// # Errors
    /// Where the patch cannot be laid out; it is then not the one that was planned.
    pub fn resume(
        patch: &PatchFile,
        at_first: &BTreeSet<ObjName>,
        bases: BTreeMap<ObjName, u64>,
    ) -> Result<Self, LayoutError> {
        let objects = &patch.manifest.objects;
        let at_first: Vec<bool> = objects
            .iter()
            .map(|it| at_first.contains(&it.name))
            .collect();
        let parts = lay_out(patch, &at_first)?;
        let mut sections = Sections::new();
        for (part, object) in parts.iter().zip(objects) {
            if let Some(base) = bases.get(&object.name) {
                sections.extend(sections_of(part, *base));
            }
        }
        Ok(Self {
            bases,
            sections,
            at_first,
            ..Self::default()
        })
    }

    fn extend<M: ReadMemory + ?Sized>(
        mut self,
        inputs: Inputs<'_, M>,
        images: &[Option<&Image>],
        mut refusals: Vec<Refusal>,
    ) -> Result<Self, Vec<Refusal>> {
        let objects = &inputs.patch.manifest.objects;
        for (object, image) in objects.iter().zip(images) {
            let list = if image.is_some() {
                &mut self.objects
            } else {
                &mut self.late
            };
            list.push(object.name.clone());
        }
        self.place_parts(inputs, images, &mut refusals);
        for (object, image) in objects.iter().zip(images) {
            if let Some(image) = image {
                self.add_functions(inputs, object, image, &mut refusals);
                self.add_callbacks(inputs.patch, object);
            }
        }
        self.refuse_twice(&mut refusals);
        if refusals.is_empty() {
            Ok(self)
        } else {
            Err(refusals)
        }
    }

    fn place_parts<M: ReadMemory + ?Sized>(
        &mut self,
        inputs: Inputs<'_, M>,
        images: &[Option<&Image>],
        refusals: &mut Vec<Refusal>,
    ) {
        let parts = match lay_out(inputs.patch, &self.at_first) {
            Ok(parts) => parts,
            Err(error) => return refusals.push(error.into()),
        };
        let present: Vec<(&Part, &Image, &ObjName)> = parts
            .iter()
            .zip(images)
            .zip(&inputs.patch.manifest.objects)
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
            let values = resolve(inputs, image, part, refusals);
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

    fn add_functions<M: ReadMemory + ?Sized>(
        &mut self,
        inputs: Inputs<'_, M>,
        object: &Object,
        image: &Image,
        refusals: &mut Vec<Refusal>,
    ) {
        let branches = match Branches::of(image) {
            Ok(branches) if !object.functions.is_empty() => branches,
            Ok(_) => return,
            Err(error) => {
                let object = object.name.clone();
                return refusals.push(Refusal::Code { object, error });
            }
        };
        for function in &object.functions {
            match plan_function(inputs, image, &branches, &self.sections, (object, function)) {
                Ok(Some(planned)) => self.functions.push(planned),
                // Its part has no place; that has been said.
                Ok(None) => {}
                Err(refusal) => refusals.push(refusal),
            }
        }
        self.warn_of_aliases(object);
    }

    fn warn_of_aliases(&mut self, object: &Object) {
        for function in self.functions.iter().filter(|it| it.object == object.name) {
            let replaced = |name: &String| object.functions.iter().any(|it| it.name == *name);
            let others = function.entry.aliases.iter().filter(|name| !replaced(name));
            let others: Vec<String> = others.cloned().collect();
            if !others.is_empty() {
                self.warnings.push(Warning::Aliases {
                    object: object.name.clone(),
                    name: function.name.clone(),
                    others,
                });
            }
        }
    }

    fn add_callbacks(&mut self, patch: &PatchFile, object: &Object) {
        let callbacks = &object.callbacks;
        let names = [
            (Callback::PrePatch, &callbacks.pre_patch),
            (Callback::PostPatch, &callbacks.post_patch),
            (Callback::PreUnpatch, &callbacks.pre_unpatch),
            (Callback::PostUnpatch, &callbacks.post_unpatch),
        ];
        for (callback, name) in names {
            let code = name
                .as_deref()
                .and_then(|name| new_code(patch, name, &self.sections));
            self.callbacks.extend(code.map(|code| PlannedCallback {
                object: object.name.clone(),
                callback,
                address: code.start,
            }));
        }
    }

    /// Two functions of a patch at one entry, with different new code: only one jump can be there.
    fn refuse_twice(&self, refusals: &mut Vec<Refusal>) {
        let mut seen: BTreeMap<u64, &PlannedFunction> = BTreeMap::new();
        for function in &self.functions {
            let other = seen.insert(function.entry.address, function);
            if let Some(other) = other.filter(|it| it.new != function.new) {
                refusals.push(Refusal::SameEntry {
                    object: function.object.clone(),
                    first: other.name.clone(),
                    second: function.name.clone(),
                });
            }
        }
    }
}

/// For each object of the patch, or the one that is asked for alone, the one in the process; none where it is not loaded.
fn find_objects<'a, M: ?Sized>(
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
        refusals.extend(image.and_then(|image| check_build_id(object, image)));
        images.push(image);
    }
    images
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
    image: &Image,
    part: &Part,
    refusals: &mut Vec<Refusal>,
) -> BTreeMap<SymbolId, Value> {
    let resolver = Resolver::new(inputs.images, inputs.memory, vec![image], inputs.reserved);
    let relocations = part.pieces.iter().flat_map(|piece| &piece.relocations);
    let symbols: BTreeSet<SymbolId> = relocations.map(|it| it.symbol).collect();
    let mut values = BTreeMap::new();
    for id in symbols {
        let symbol = inputs.patch.symbol(id);
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

fn plan_function<M: ReadMemory + ?Sized>(
    inputs: Inputs<'_, M>,
    image: &Image,
    branches: &Branches,
    sections: &Sections,
    (object, function): (&Object, &Function),
) -> Result<Option<PlannedFunction>, Refusal> {
    let (name, sympos) = (function.name.clone(), function.sympos);
    let found = image.find(&name, sympos)?;
    let expected = Expected {
        name: &name,
        size: function.old_size,
        hash: &function.old_hash,
    };
    let refused = |reason| Refusal::Entry {
        object: object.name.clone(),
        name: name.clone(),
        reason,
    };
    let entry = entry::check(
        image,
        branches,
        inputs.memory,
        inputs.sites,
        found,
        expected,
    )
    .map_err(refused)?;
    let old = entry::ranges(image, found, entry.size, &name);
    let old = old.map_err(|error| Refusal::Code {
        object: object.name.clone(),
        error,
    })?;
    let Some(new) = new_code(inputs.patch, new_name(function), sections) else {
        return Ok(None);
    };
    Ok(Some(PlannedFunction {
        object: object.name.clone(),
        sympos,
        entry,
        old,
        new,
        name: name.clone(),
    }))
}

/// Where the code of a function of the patch is.
fn new_code(patch: &PatchFile, name: &str, sections: &Sections) -> Option<Range<u64>> {
    let symbol = patch.function(name)?;
    let Meaning::Inside { section, offset } = symbol.meaning else {
        return None;
    };
    let start = sections.get(&section)?.checked_add(offset)?;
    Some(start..start.checked_add(symbol.size)?)
}

/// The address of any symbol of the patch that is placed.
pub fn address_of(plan: &Plan, patch: &PatchFile, name: &str) -> Option<u64> {
    let index = patch
        .symbols
        .iter()
        .position(|symbol| symbol.name == name)?;
    inside(patch, SymbolId(index), &plan.sections)
}

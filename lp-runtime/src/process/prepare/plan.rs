//! Everything that is known before a process is touched: what goes where, what each function's jump replaces and where it
//! leads. Or all the reasons why not.
//!
//! A plan is made from what was read; making one changes nothing. An object of the patch that is not loaded is no error: it
//! is listed, and when it comes [`Plan::late`] plans its part, with what is already there.
//!
//! What callers assume of the code of a function that they can see is not checked here: gcc keeps values in registers that the
//! callee does not change (`-fipa-ra`), or leaves the stack unaligned for one that does not mind. Such callers compile to other code
//! once the callee has changed, so the differ finds them changed and they come along. A patch that was written by hand must see to it.

mod exceptions;
mod fragments;
mod functions;
mod gone;
mod parts;
mod refusal;

pub use refusal::{Refusal, Warning};

use crate::process::kept::area::Area;
use crate::process::prepare::entry::{Entry, Sites};
use crate::process::prepare::layout::{LayoutError, lay_out};
use crate::process::prepare::patch_file::{PatchFile, SymbolId};
use crate::process::prepare::relocate::{Sections, inside, sections_of};
use crate::process::read::image::Image;
use crate::process::read::images::Images;
use crate::process::read::maps::Maps;
use crate::process::read::memory::ReadMemory;
use lp_klp::name::{ObjName, Sympos};
use lp_klp::target::Callback;
use parts::find_objects;
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
    /// What the compiler moved away from the new code.
    pub fragments: Vec<Range<u64>>,
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
    /// Objects to whose parts other parts refer: such a part stays when its object goes.
    pub shared: BTreeSet<ObjName>,
    /// Callbacks that refer to their own object, and cannot run when that has gone.
    pub needing: Vec<(ObjName, Callback)>,
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
                if exceptions::pass_through(image) {
                    let object = object.name.clone();
                    refusals.push(Refusal::Exceptions { object });
                }
                self.add_functions(inputs, object, image, &mut refusals);
                self.add_callbacks(inputs.patch, object);
                let needing = gone::needing(inputs.patch, object, image).into_iter();
                self.needing
                    .extend(needing.map(|it| (object.name.clone(), it)));
            }
        }
        self.refuse_twice(&mut refusals);
        if refusals.is_empty() {
            Ok(self)
        } else {
            Err(refusals)
        }
    }
}

/// The address of any symbol of the patch that is placed.
pub fn address_of(plan: &Plan, patch: &PatchFile, name: &str) -> Option<u64> {
    let index = patch
        .symbols
        .iter()
        .position(|symbol| symbol.name == name)?;
    inside(patch, SymbolId(index), &plan.sections)
}

//! The functions and callbacks of a plan: where each jump goes, and where it leads.

use super::fragments::Fragments;
use super::{Inputs, Plan, PlannedCallback, PlannedFunction, Refusal, Warning};
use crate::process::prepare::branches;
use crate::process::prepare::entry::{self, Expected};
use crate::process::prepare::patch_file::{Meaning, PatchFile, new_name};
use crate::process::prepare::relocate::Sections;
use crate::process::read::image::Image;
use crate::process::read::memory::ReadMemory;
use lp_klp::entry::Branches;
use lp_klp::manifest::{Function, Object};
use lp_klp::target::Callback;
use std::collections::BTreeMap;
use std::ops::Range;

impl Plan {
    /// Plans the functions of an object that are replaced.
    pub(super) fn add_functions<M: ReadMemory + ?Sized>(
        &mut self,
        inputs: Inputs<'_, M>,
        object: &Object,
        image: &Image,
        refusals: &mut Vec<Refusal>,
    ) {
        let branches = match branches::of(image) {
            Ok(branches) if !object.functions.is_empty() => branches,
            Ok(_) => return,
            Err(error) => {
                let object = object.name.clone();
                return refusals.push(Refusal::Code { object, error });
            }
        };
        let fragments = Fragments::of(inputs.patch);
        let at = (&self.sections, &fragments);
        for function in &object.functions {
            match plan_function(inputs, image, &branches, at, (object, function)) {
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

    /// Finds the callbacks of an object.
    pub(super) fn add_callbacks(&mut self, patch: &PatchFile, object: &Object) {
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
    pub(super) fn refuse_twice(&self, refusals: &mut Vec<Refusal>) {
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

fn plan_function<M: ReadMemory + ?Sized>(
    inputs: Inputs<'_, M>,
    image: &Image,
    branches: &Branches,
    (sections, fragments): (&Sections, &Fragments<'_>),
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
        fragments: inputs
            .patch
            .function(new_name(function))
            .map(|symbol| fragments.of_function(symbol, sections))
            .unwrap_or_default(),
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

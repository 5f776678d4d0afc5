//! What the core says of objects that are not there: callbacks of one that has gone, and functions that a patch names and could
//! not redirect.

use std::collections::BTreeSet;

use lp_klp::core::KlpFunc;
use lp_klp::name::ObjName;
use lp_klp::patch::Version;
use lp_klp::target::Callback;

use super::{Live, Site, range};
use crate::process::kept::control::{InstalledPatch, ObjectRecord};
use crate::process::read::memory::ReadMemory;
use crate::process::touch::jump::JUMP_SIZE;

/// A callback of an object that has gone, which was not run to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::process) struct Skipped {
    /// The patch.
    pub(in crate::process) patch: String,
    /// Which one.
    pub(in crate::process) callback: Callback,
}

/// The callbacks of a patch that refer to their objects.
pub(super) fn needing(patch: &InstalledPatch) -> BTreeSet<(ObjName, Callback)> {
    let objects = patch.objects.iter().filter(|object| object.is_patched());
    let of = |object: &ObjectRecord, name: &String| {
        let callback = Callback::ALL.into_iter().find(|it| it.name() == name)?;
        Some((object.name.clone(), callback))
    };
    objects
        .flat_map(|object| object.needing.iter().filter_map(|it| of(object, it)))
        .collect()
}

impl Live<'_, '_> {
    /// Whether a callback's object has gone.
    pub(super) fn has_gone(&self, object: &ObjName) -> bool {
        self.gone.as_ref() == Some(object)
    }

    /// Whether a callback refers to its object, which has gone.
    pub(super) fn cannot_run(&self, patch: &str, object: &ObjName, callback: Callback) -> bool {
        let key = (object.clone(), callback);
        let mut patches = self.patches.values();
        self.has_gone(object) && patches.any(|of| of.name == patch && of.needing.contains(&key))
    }

    pub(super) fn skip(&mut self, patch: &str, callback: Callback) {
        self.skipped.push(Skipped {
            patch: patch.to_owned(),
            callback,
        });
    }

    /// A function that no jump is written for, though a patch that is replaced names it: its object could not be patched. It
    /// leads back to itself.
    pub(super) fn untouched(&mut self, object: &ObjName, func: &KlpFunc) -> Option<u64> {
        let image = self.at.images.find(object).ok().flatten()?;
        let found = image.find(&func.old_name, func.sympos).ok()?;
        let address = image.address(found.value);
        let mut original = [0; JUMP_SIZE];
        self.at.memory.read(address, &mut original).ok()?;
        self.sites.entry(address).or_insert_with(|| Site {
            name: func.old_name.clone(),
            original,
            old: vec![range(address, found.size)],
            stack: Vec::new(),
            active: Version::Original,
        });
        Some(address)
    }
}

//! A patch as far as it is known, whatever it was read from: a manifest, the tables of a module, a running system.

use crate::reader::tables::{Known, Unknown};
use lp_klp::core::{KlpFunc, KlpObject, KlpPatch};
use lp_klp::inventory::InstalledPatch;
use lp_klp::manifest::{Manifest, TargetKind};
use lp_klp::name::ObjName;
use lp_klp::state::KlpState;
use lp_klp::target::Callback;
use std::collections::BTreeSet;

/// A patch, some of whose parts may not be known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Patch {
    /// The file or machine that says so.
    pub place: String,
    /// The module's name.
    pub name: String,
    /// The author's version of it; empty where nobody gave one.
    pub version: String,
    /// What it is loaded into.
    pub kind: TargetKind,
    /// The kernel release that it is for; empty where that is not known.
    pub release: String,
    /// The build-id of the vmlinux that it is for; empty where that is not known.
    pub build_id: String,
    /// Whether it replaces what is installed before it.
    pub replace: Known<bool>,
    /// The system states that it changes.
    pub states: Known<Vec<KlpState>>,
    /// What it patches.
    pub objects: Known<Vec<KlpObject>>,
    /// The callbacks that it is known to have.
    pub callbacks: Vec<(ObjName, Callback)>,
    /// Whether some tasks have not switched to or from it yet.
    pub transition: bool,
}

impl Patch {
    /// What a manifest says.
    pub fn of_manifest(manifest: &Manifest, place: &str) -> Self {
        let patch = manifest.patch();
        let callbacks = manifest.objects.iter().flat_map(|object| {
            let kinds = object.callbacks.kinds();
            kinds.into_iter().map(|kind| (object.name.clone(), kind))
        });
        Self {
            place: place.to_owned(),
            name: patch.name,
            version: patch.version,
            kind: manifest.target.kind,
            release: manifest.target.release.clone(),
            build_id: manifest.target.build_id.clone(),
            replace: Ok(patch.replace),
            states: Ok(patch.states),
            objects: Ok(patch.objects),
            callbacks: callbacks.collect(),
            transition: false,
        }
    }

    /// What a running kernel shows: the note if there is one; functions, but no states, if not.
    pub fn of_installed(installed: &InstalledPatch, release: &str, place: &str) -> Self {
        let shown = installed.objects.iter().map(|object| KlpObject {
            name: object.name.clone(),
            funcs: object.functions.clone(),
        });
        let mut patch = match &installed.manifest {
            Some(manifest) => Self::of_manifest(manifest, place),
            None => Self {
                place: place.to_owned(),
                name: installed.name.clone(),
                version: String::new(),
                kind: TargetKind::Kernel,
                release: release.to_owned(),
                build_id: String::new(),
                replace: installed.replace.ok_or(Unknown::NotShown),
                states: Err(Unknown::NotShown),
                objects: Ok(shown.collect()),
                callbacks: Vec::new(),
                transition: false,
            },
        };
        patch.name.clone_from(&installed.name);
        patch.transition = installed.transition;
        patch
    }

    /// The patches that this one may turn out to be: one, or two where `replace` is set when it is loaded.
    ///
    /// # Errors
    /// Where its states cannot be known, and why.
    pub fn possible(&self) -> Result<Vec<KlpPatch>, Unknown> {
        let states = self.states.clone()?;
        let patch = |replace| KlpPatch {
            name: self.name.clone(),
            version: self.version.clone(),
            replace,
            states: states.clone(),
            objects: self.objects.clone().unwrap_or_default(),
        };
        Ok(match self.replace {
            Ok(replace) => vec![patch(replace)],
            Err(_) => vec![patch(false), patch(true)],
        })
    }

    /// What would happen if it were loaded all the same; the kernel has a number for it.
    pub fn answer(&self, errno: &str) -> String {
        match self.kind {
            TargetKind::Kernel => format!("the kernel would answer {errno}"),
            TargetKind::Process => "lp-ctl would refuse to load it".to_owned(),
        }
    }

    /// The functions that it redirects, as far as they are known; a position of 0 is 1.
    pub fn functions(&self) -> BTreeSet<(ObjName, String, u32)> {
        let objects = self.objects.iter().flatten();
        let funcs =
            objects.flat_map(|object| object.funcs.iter().map(|func| (object.name.clone(), func)));
        funcs
            .map(|(object, KlpFunc { old_name, sympos })| {
                (object, old_name.clone(), sympos.0.max(1))
            })
            .collect()
    }
}

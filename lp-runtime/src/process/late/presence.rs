//! Which objects of the installed patches are there still, which have gone, and which have come.
//!
//! An object is the one that was patched if it has the same build-id at the same address, and our jumps are in it: one that was
//! unloaded and loaded again at its old place has none. What has nothing but callbacks is told by the first two alone.
//! The tempting wrong way is to look whether something is mapped at the address.

use std::collections::BTreeSet;
use std::fmt;

use serde::Serialize;

use lp_klp::name::ObjName;

use crate::process::kept::control::{Contents, InstalledPatch, ObjectRecord, ObjectState};
use crate::process::read::image::Image;
use crate::process::read::images::Images;
use crate::process::read::memory::ReadMemory;
use crate::process::touch::jump::JUMP_SIZE;

/// How an object of an installed patch stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Standing {
    /// The patch.
    pub patch: String,
    /// The object.
    pub object: ObjName,
    /// How it stands.
    pub state: State,
}

/// How an object stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Its functions are replaced.
    Patched,
    /// It is not loaded. When it comes it will be patched.
    Waiting,
    /// It is loaded and not patched: it came when nobody watched. The next load, unload or watch patches it.
    Unpatched,
    /// Its pre_patch said no.
    Refused,
    /// It is loaded more than once (`dlmopen`): which one is meant cannot be said.
    Several,
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state {
            State::Patched => "patched",
            State::Waiting => "waiting: it is not loaded",
            State::Unpatched => {
                "NOT patched: it was loaded when nobody watched; lp-ctl watch, and the next load or unload, patch it"
            }
            State::Refused => "NOT patched: its pre_patch said no",
            State::Several => "NOT patched: it is loaded more than once (dlmopen)",
        };
        write!(f, "{}  {state}", self.object)
    }
}

/// What has changed since the control area was written.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::process) struct Changes {
    /// Objects that have gone.
    pub(in crate::process) gone: Vec<ObjName>,
    /// Objects that are there and not patched.
    pub(in crate::process) come: Vec<ObjName>,
    /// Something is left in memory of objects that went before.
    pub(in crate::process) left: bool,
}

impl Changes {
    /// Compares what is installed with what is there.
    pub(in crate::process) fn of(
        contents: &Contents,
        images: &Images,
        memory: &dyn ReadMemory,
    ) -> Self {
        let gone = gone(contents, images, memory);
        let come = contents.enabled().flat_map(|patch| {
            let names = names(patch).into_iter();
            names.filter(|name| {
                let loaded = !matches!(images.find(name), Ok(None));
                let known = known(patch, name).is_some() && !gone.contains(name);
                loaded && !known
            })
        });
        let mut come: Vec<ObjName> = come.collect();
        come.sort();
        come.dedup();
        let mut objects = contents.patches.iter().flat_map(|patch| &patch.objects);
        Self {
            come,
            gone: gone.into_iter().collect(),
            left: objects.any(|it| it.state == ObjectState::Gone && !it.shared),
        }
    }

    /// Whether there is something to be done.
    pub(in crate::process) fn any(&self) -> bool {
        !self.gone.is_empty() || !self.come.is_empty() || self.left
    }
}

/// How each object of each patch in use stands.
pub(in crate::process) fn standing(
    contents: &Contents,
    images: &Images,
    memory: &dyn ReadMemory,
) -> Vec<Standing> {
    let gone = gone(contents, images, memory);
    let of_patch = |patch: &InstalledPatch| {
        let state = |object: &ObjName| {
            let record = known(patch, object).filter(|_| !gone.contains(object));
            match (record.map(|it| it.state), images.find(object)) {
                (Some(ObjectState::Patched), _) => State::Patched,
                (Some(ObjectState::Refused), _) => State::Refused,
                (_, Ok(None)) => State::Waiting,
                (_, Ok(Some(_))) => State::Unpatched,
                (_, Err(_)) => State::Several,
            }
        };
        let standing = |object: ObjName| Standing {
            patch: patch.name.clone(),
            state: state(&object),
            object,
        };
        names(patch).into_iter().map(standing).collect::<Vec<_>>()
    };
    contents.enabled().flat_map(of_patch).collect()
}

/// The objects of a patch.
fn names(patch: &InstalledPatch) -> Vec<ObjName> {
    let manifest = patch.described();
    let objects = manifest.into_iter().flat_map(|it| it.objects);
    objects.map(|it| it.name).collect()
}

/// What is known of an object that was there.
fn known<'a>(patch: &'a InstalledPatch, object: &ObjName) -> Option<&'a ObjectRecord> {
    let mut objects = patch.objects.iter();
    objects.find(|it| it.name == *object && it.state != ObjectState::Gone)
}

fn gone(contents: &Contents, images: &Images, memory: &dyn ReadMemory) -> BTreeSet<ObjName> {
    let patches = contents.patches.iter();
    let records = patches.flat_map(|patch| &patch.objects);
    let here = records.filter(|it| it.state != ObjectState::Gone);
    let has_gone = |it: &&ObjectRecord| {
        let image = images.iter().find(|image| is_it(it, image));
        image.is_none_or(|image| it.is_patched() && is_new(contents, image, memory))
    };
    here.filter(has_gone).map(|it| it.name.clone()).collect()
}

/// Whether an image is the object that a record is about.
pub(in crate::process) fn is_it(record: &ObjectRecord, image: &Image) -> bool {
    image.object.as_ref() == Some(&record.name)
        && image.bias == record.bias
        && image.build_id_text() == record.build_id
}

/// Whether all our jumps are gone from an object: it was mapped anew.
fn is_new(contents: &Contents, image: &Image, memory: &dyn ReadMemory) -> bool {
    let sites = contents.enabled().flat_map(|patch| &patch.sites);
    let mut sites = sites
        .filter(|site| image.range.contains(&site.address))
        .peekable();
    sites.peek().is_some()
        && sites.all(|site| {
            let mut now = [0; JUMP_SIZE];
            memory.read(site.address, &mut now).is_ok() && now == site.original
        })
}

//! Reads `/sys/kernel/livepatch` (Documentation/ABI/testing/sysfs-kernel-livepatch).
//!
//! Layout: `PATCH/{enabled,transition,force}`, `PATCH/OBJECT/FUNCTION,SYMPOS/`; later kernels add `PATCH/replace` (6.11),
//! `PATCH/stack_order` (6.13) and `PATCH/OBJECT/patched` (6.2), so these are optional. A patch's folder goes away by itself when its
//! disabling ends or another one replaces it, between any two reads: that is not an error, the patch is then just gone.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;

use serde::Serialize;

use super::host::Host;
use super::name::PatchName;
use super::transition::Direction;
use crate::error::Error;

/// One installed patch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Patch {
    /// The module's name.
    pub name: String,
    /// Enabled, or on its way to be.
    pub enabled: bool,
    /// Some tasks have not switched yet.
    pub transition: bool,
    /// It replaced all patches before it; `None` where the kernel does not say.
    pub replace: Option<bool>,
    /// Its place in the order of installation, from 1; `None` where the kernel does not say.
    pub stack_order: Option<u32>,
    /// What it patches, sorted by name.
    pub objects: Vec<Object>,
}

/// The kernel image (`vmlinux`) or a module, as far as a patch changes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Object {
    /// `vmlinux` or the module's name.
    pub name: String,
    /// The object is loaded and patched; `None` where the kernel does not say.
    pub patched: Option<bool>,
    /// Its changed functions, sorted by name.
    pub functions: Vec<PatchedFunction>,
}

/// A function that a patch redirects.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct PatchedFunction {
    /// The function's symbol.
    pub name: String,
    /// Which of the symbols of that name, from 1.
    pub sympos: u32,
}

impl Patch {
    /// Where its tasks are going while it is in transition.
    pub fn direction(&self) -> Direction {
        if self.enabled {
            Direction::Patching
        } else {
            Direction::Unpatching
        }
    }

    /// The number of functions in all objects.
    pub fn function_count(&self) -> usize {
        self.objects
            .iter()
            .map(|object| object.functions.len())
            .sum()
    }
}

/// All installed patches: in their order of installation where the kernel tells it, else by name.
pub fn patches(host: &Host) -> Result<Vec<Patch>, Error> {
    let folder = host.livepatch();
    let names = folders(&folder).map_err(|source| match source.kind() {
        ErrorKind::NotFound => Error::NoLivepatchSupport {
            path: folder.clone(),
        },
        _ => Error::Read {
            path: folder.clone(),
            source,
        },
    })?;
    let mut found = Vec::new();
    for name in names {
        found.extend(read_patch(&folder.join(&name), name)?);
    }
    found.sort_by(|a, b| (a.stack_order, &a.name).cmp(&(b.stack_order, &b.name)));
    Ok(found)
}

/// One patch, or `None` when it is not installed.
pub fn patch(host: &Host, name: &PatchName) -> Result<Option<Patch>, Error> {
    let folder = host.livepatch();
    if !folder.is_dir() {
        return Err(Error::NoLivepatchSupport { path: folder });
    }
    read_patch(&folder.join(name.as_str()), name.as_str().to_owned())
}

/// Writes an attribute of a patch: `enabled` or `force`.
pub(super) fn write(host: &Host, name: &PatchName, attribute: &str, value: &str) -> io::Result<()> {
    let path = host.livepatch().join(name.as_str()).join(attribute);
    // Not `fs::write`: it would create a plain file where the kernel's is missing.
    let mut file = fs::OpenOptions::new().write(true).open(path)?;
    io::Write::write_all(&mut file, value.as_bytes())
}

fn read_patch(folder: &Path, name: String) -> Result<Option<Patch>, Error> {
    let Some(enabled) = attribute(&folder.join("enabled"))? else {
        return Ok(None);
    };
    let Some(transition) = attribute(&folder.join("transition"))? else {
        return Ok(None);
    };
    Ok(Some(Patch {
        name,
        enabled: enabled != 0,
        transition: transition != 0,
        replace: attribute(&folder.join("replace"))?.map(|value| value != 0),
        stack_order: attribute(&folder.join("stack_order"))?,
        objects: objects(folder)?,
    }))
}

fn objects(patch: &Path) -> Result<Vec<Object>, Error> {
    let mut objects = Vec::new();
    for name in folders_or_none(patch)? {
        let folder = patch.join(&name);
        let functions = folders_or_none(&folder)?;
        objects.push(Object {
            name,
            patched: attribute(&folder.join("patched"))?.map(|value| value != 0),
            functions: functions
                .iter()
                .filter_map(|entry| function(entry))
                .collect(),
        });
    }
    Ok(objects)
}

/// `FUNCTION,SYMPOS`
fn function(entry: &str) -> Option<PatchedFunction> {
    let (name, sympos) = entry.rsplit_once(',')?;
    Some(PatchedFunction {
        name: name.to_owned(),
        sympos: sympos.parse().ok()?,
    })
}

/// An attribute's number; `None` when the kernel has no such attribute or the patch has gone meanwhile.
fn attribute(path: &Path) -> Result<Option<u32>, Error> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if is_gone(&error) => return Ok(None),
        Err(source) => {
            return Err(Error::Read {
                path: path.into(),
                source,
            });
        }
    };
    let number = text.trim().parse();
    number.map(Some).map_err(|_| Error::BadAttribute {
        path: path.into(),
        text: text.trim().to_owned(),
    })
}

fn folders_or_none(path: &Path) -> Result<Vec<String>, Error> {
    match folders(path) {
        Err(error) if is_gone(&error) => Ok(Vec::new()),
        other => other.map_err(|source| Error::Read {
            path: path.into(),
            source,
        }),
    }
}

fn folders(path: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}

/// A file of a kernel object that is being removed gives ENODEV to those who already have it open.
fn is_gone(error: &io::Error) -> bool {
    error.kind() == ErrorKind::NotFound
        || error.raw_os_error() == Some(rustix::io::Errno::NODEV.raw_os_error())
}

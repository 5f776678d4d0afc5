//! The modules of a kernel: a folder such as `/lib/modules/RELEASE`, each read when it is asked for.
//!
//! Distributions compress them (`CONFIG_MODULE_COMPRESS`); a module is named by its file, with `_` for `-`. The tempting
//! wrong way is to take the first file of a name: `updates/` goes before `kernel/`, as depmod has it by default.

use super::binary::Binary;
use super::image;
use lp_klp::name::ObjName;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use walkdir::WalkDir;

/// The files of modules by the modules' names.
#[derive(Debug)]
pub struct Modules {
    folder: PathBuf,
    files: BTreeMap<String, PathBuf>,
}

impl Modules {
    /// Lists a folder.
    ///
    /// # Errors
    /// Where it cannot be read or holds no module.
    pub fn open(folder: &Path) -> io::Result<Self> {
        let mut files = BTreeMap::new();
        for entry in WalkDir::new(folder).sort_by_file_name() {
            let entry = entry?;
            let Some(name) = module_name(entry.path()) else {
                continue;
            };
            let preferred = entry.path().starts_with(folder.join("updates"));
            match files.contains_key(&name) && !preferred {
                true => {}
                false => {
                    files.insert(name, entry.into_path());
                }
            }
        }
        if files.is_empty() {
            return Err(io::Error::other(
                "no module (.ko) in it: give the folder of a kernel's modules, such as /lib/modules/RELEASE",
            ));
        }
        Ok(Self {
            folder: folder.to_owned(),
            files,
        })
    }

    /// Where they are.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Reads a module; none if there is no such one.
    ///
    /// # Errors
    /// Where its file cannot be read, with the file's name.
    pub fn read(&self, name: &ObjName) -> io::Result<Option<Binary>> {
        let Some(path) = self.files.get(name.as_str()) else {
            return Ok(None);
        };
        let binary = image::open(path).and_then(Binary::read);
        binary
            .map(Some)
            .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))
    }
}

/// The module that a file is, if it is one.
fn module_name(path: &Path) -> Option<String> {
    let file = path.file_name()?.to_str()?;
    let stem = [".ko", ".ko.gz", ".ko.xz", ".ko.zst"]
        .iter()
        .find_map(|suffix| file.strip_suffix(suffix))?;
    Some(stem.replace('-', "_"))
}

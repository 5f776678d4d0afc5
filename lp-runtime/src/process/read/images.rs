//! The ELF objects of a process: found by what is mapped, in the order in which the dynamic linker searches them.
//!
//! What is mapped is the truth about which objects there are, whether a dynamic linker loaded them, the kernel, or a program
//! by itself. Their order is the dynamic linker's own list (`struct r_debug`), where it can be read; without it, the
//! order of addresses. Which of them a reference may bind to follows `DT_NEEDED`: see [`Images::scope`].

use crate::process::read::elf::ElfError;
use crate::process::read::image::{Image, in_root};
use crate::process::read::maps::{Mapping, Maps};
use crate::process::read::memory::{ReadMemory, read_u64};
use lp_klp::name::ObjName;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// `AT_PHDR`
const AT_PHDR: u64 = 3;
/// No process has as many objects; a damaged list is followed no further.
const LONGEST_LIST: usize = 1 << 16;

/// Why a process's objects are not known.
#[derive(Debug, Error)]
pub enum ImagesError {
    /// Where its program headers are.
    #[error("/proc/{pid}/auxv cannot be read: {source}")]
    Auxv {
        /// The process.
        pid: i32,
        /// What the kernel said.
        source: std::io::Error,
    },
    /// Nothing is mapped that could be what it executes.
    #[error("process {0} has no executable that can be found in its memory")]
    NoExecutable(i32),
    /// One file, loaded more than once (`dlmopen`).
    #[error(
        "{object} is loaded {count} times in the process: which one is meant cannot be said, so it cannot be patched"
    )]
    Several {
        /// The object.
        object: ObjName,
        /// How often.
        count: usize,
    },
}

/// The objects of a process.
#[derive(Debug)]
pub struct Images {
    /// The executable first, then in the order of the search.
    images: Vec<Image>,
    /// Objects that are there and cannot be read, and why.
    pub unreadable: Vec<(PathBuf, ElfError)>,
    root: PathBuf,
}

impl Images {
    /// Finds them.
    ///
    /// # Errors
    /// Where there is no executable among them.
    pub fn read(pid: i32, maps: &Maps, memory: &dyn ReadMemory) -> Result<Self, ImagesError> {
        let auxv = std::fs::read(format!("/proc/{pid}/auxv"));
        let auxv = auxv.map_err(|source| ImagesError::Auxv { pid, source })?;
        let headers = auxv_value(&auxv, AT_PHDR).unwrap_or(0);
        let mut images = Vec::new();
        let mut unreadable = Vec::new();
        let first_bytes = |mapping: &&Mapping| mapping.file.is_some() && mapping.offset == 0;
        for mapping in maps.iter().filter(first_bytes) {
            match Image::of_mapping(pid, mapping, maps, memory, headers) {
                Ok(image) => images.extend(image),
                Err(error) => unreadable.push((mapping.path.clone(), error)),
            }
        }
        // The dynamic linker tells the program alone where its list is; a static program has none. The kernel may have
        // started the linker itself, with the program as its argument.
        let listed = images.iter().map(|image| link_map(image, memory));
        let listed = listed
            .enumerate()
            .find_map(|(index, list)| Some((index, list?)));
        let started = images
            .iter()
            .position(|image| image.range.contains(&headers));
        let (index, order) = match (listed, started) {
            (Some(listed), _) => listed,
            (None, Some(started)) => (started, Vec::new()),
            (None, None) => return Err(ImagesError::NoExecutable(pid)),
        };
        images[index].set_executable();
        images.sort_by_key(|image| {
            let place = order.iter().position(|bias| *bias == image.bias);
            (
                !image.executable,
                place.unwrap_or(usize::MAX),
                image.range.start,
            )
        });
        let root = PathBuf::from(format!("/proc/{pid}/root"));
        Ok(Self {
            images,
            unreadable,
            root,
        })
    }

    /// All of them.
    pub fn iter(&self) -> std::slice::Iter<'_, Image> {
        self.images.iter()
    }

    /// The one that a patch calls so; none where it is not loaded.
    ///
    /// # Errors
    /// Where there are several.
    pub fn find(&self, object: &ObjName) -> Result<Option<&Image>, ImagesError> {
        let is_it = |image: &&Image| image.object.as_ref() == Some(object);
        let mut found = self.images.iter().filter(is_it);
        let first = found.next();
        match found.count() {
            0 => Ok(first),
            more => Err(ImagesError::Several {
                object: object.clone(),
                count: more + 1,
            }),
        }
    }

    /// The one that has an address.
    pub fn at(&self, address: u64) -> Option<&Image> {
        self.images
            .iter()
            .find(|image| image.range.contains(&address))
    }

    /// What the process executes.
    pub fn executable(&self) -> Option<&Image> {
        self.images.iter().find(|image| image.executable)
    }

    /// The objects in which a reference of one of them is looked up, in order: the executable and what it needs, breadth
    /// first, with what is preloaded, then the object itself and what that needs.
    ///
    /// An object that was loaded for itself alone (`RTLD_LOCAL`) is not among them, though the linker's list has it.
    pub fn scope<'a>(&'a self, of: &'a Image) -> Vec<&'a Image> {
        let mut scope: Vec<&Image> = self.executable().into_iter().collect();
        scope.extend(self.preloaded());
        self.add_needed(&mut scope, 0);
        let start = scope.len();
        if !scope.iter().any(|image| std::ptr::eq(*image, of)) {
            scope.push(of);
            self.add_needed(&mut scope, start);
        }
        scope
    }

    /// Whether an object cannot go while the process runs this program: it is the program, or that needs it.
    pub fn stays(&self, image: &Image) -> bool {
        let executable = self.executable();
        let scope = executable.map_or_else(Vec::new, |it| self.scope(it));
        scope.iter().any(|it| std::ptr::eq(*it, image))
    }

    /// Adds what the images from `start` on need, and what those need.
    fn add_needed<'a>(&'a self, scope: &mut Vec<&'a Image>, start: usize) {
        let mut next = start;
        while let Some(image) = scope.get(next).copied() {
            for needed in &image.dynamic.needed {
                let found = self.needed(needed);
                let new = found.filter(|it| !scope.iter().any(|old| std::ptr::eq(*old, *it)));
                scope.extend(new);
            }
            next += 1;
        }
    }

    fn needed(&self, name: &[u8]) -> Option<&Image> {
        let by_name = |image: &&Image| image.name.as_bytes() == name;
        // A name with a slash is a path, and then a soname counts for nothing.
        let by_path = |image: &&Image| image.path.as_os_str().as_encoded_bytes() == name;
        self.images
            .iter()
            .find(by_name)
            .or_else(|| self.images.iter().find(by_path))
    }

    /// Objects that come right behind the executable in the list and that it does not need: `LD_PRELOAD`.
    fn preloaded(&self) -> impl Iterator<Item = &Image> {
        let needed = self.executable().map(|it| it.dynamic.needed.as_slice());
        let is_needed = move |image: &&Image| {
            let mut names = needed.unwrap_or_default().iter();
            names.any(|name| *name == image.name.as_bytes())
        };
        // Without the linker's list the order says nothing.
        let listed = needed.is_some_and(|needed| !needed.is_empty());
        let rest = self.images.iter().skip(1).filter(move |_| listed);
        rest.take_while(move |image| !is_needed(image))
    }

    /// A file of the process, seen from us.
    pub fn path_in_root(&self, path: &Path) -> PathBuf {
        in_root(&self.root, path)
    }
}

/// The biases of the dynamic linker's list (`struct r_debug`, `struct link_map` of `<link.h>`), in its order.
fn link_map(executable: &Image, memory: &dyn ReadMemory) -> Option<Vec<u64>> {
    let debug = executable.address(executable.dynamic.debug?);
    let r_debug = read_u64(memory, debug).ok().filter(|it| *it != 0)?;
    let mut next = read_u64(memory, r_debug.checked_add(8)?).ok()?;
    let mut order = Vec::new();
    while next != 0 && order.len() < LONGEST_LIST {
        // l_addr, then l_name, l_ld, l_next.
        order.push(read_u64(memory, next).ok()?);
        next = read_u64(memory, next.checked_add(24)?).ok()?;
    }
    Some(order)
}

fn auxv_value(auxv: &[u8], wanted: u64) -> Option<u64> {
    let words = auxv
        .as_chunks::<8>()
        .0
        .iter()
        .map(|word| u64::from_le_bytes(*word));
    let words: Vec<u64> = words.collect();
    let pairs = words.as_chunks::<2>().0.iter();
    pairs
        .map(|[tag, value]| (*tag, *value))
        .find(|(tag, _)| *tag == wanted)
        .map(|it| it.1)
}

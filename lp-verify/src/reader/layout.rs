//! The layout of the livepatch core's structs in one kernel (`include/linux/livepatch.h`).
//!
//! The members that an author fills in come first and have not moved since Linux 5.5; how large a `klp_object` and a
//! `klp_func` are differs with the configuration, since both hold a kobject. So sizes come from the kernel's types, or
//! from the tables themselves where those tell. The tempting wrong way is to take the sizes of one's own kernel.

use super::btf::find_struct;
use crate::kernel::image;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Bytes; that of a kernel has some five million.
const LARGEST_BTF: u64 = 1 << 30;

/// Offsets and sizes, in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// `klp_patch.objs`, `.states` (none before Linux 5.5) and `.replace`.
    pub patch: PatchLayout,
    /// Size of `struct klp_object`, where it is known.
    pub object_size: Option<u64>,
    /// Size of `struct klp_func`, where it is known.
    pub func_size: Option<u64>,
}

/// Offsets in `struct klp_patch`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PatchLayout {
    /// `objs`.
    pub objs: u64,
    /// `states`.
    pub states: Option<u64>,
    /// `replace`.
    pub replace: u64,
}

/// The magic of BTF (`struct btf_header`, include/uapi/linux/btf.h), little-endian.
const BTF: [u8; 2] = [0x9f, 0xeb];

impl Layout {
    /// The layout out of a vmlinux, a vmlinuz or a file of BTF alone, such as `/sys/kernel/btf/vmlinux`; `None` without one.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub fn read(path: &Path) -> io::Result<Option<Self>> {
        let mut magic = [0; 4];
        let mut file = File::open(path)?;
        file.read_exact(&mut magic)?;
        if !magic.starts_with(&BTF) {
            let btf = image::open(path)?.section(".BTF")?;
            return Ok(btf.and_then(|btf| Self::from_btf(&btf)));
        }
        let mut btf = magic.to_vec();
        file.take(LARGEST_BTF).read_to_end(&mut btf)?;
        Ok(Self::from_btf(&btf))
    }

    /// The layout that the kernel's own types give, from the contents of its `.BTF`; `None` where that has none.
    pub fn from_btf(btf: &[u8]) -> Option<Self> {
        let patch = find_struct(btf, "klp_patch")?;
        Some(Self {
            patch: PatchLayout {
                objs: *patch.members.get("objs")?,
                states: patch.members.get("states").copied(),
                replace: *patch.members.get("replace")?,
            },
            object_size: find_struct(btf, "klp_object").map(|object| object.size),
            func_size: find_struct(btf, "klp_func").map(|func| func.size),
        })
    }

    /// The layout of a 64-bit kernel of this release, as far as the release tells it.
    pub fn of_release(release: &str) -> Self {
        let mut numbers = release
            .split(['.', '-'])
            .map_while(|word| word.parse::<u32>().ok());
        let version = (
            numbers.next().unwrap_or(u32::MAX),
            numbers.next().unwrap_or(0),
        );
        let patch = if version < (5, 5) {
            PatchLayout {
                objs: 8,
                states: None,
                replace: 16,
            }
        } else {
            PatchLayout {
                objs: 8,
                states: Some(16),
                replace: 24,
            }
        };
        Self {
            patch,
            object_size: None,
            func_size: None,
        }
    }
}

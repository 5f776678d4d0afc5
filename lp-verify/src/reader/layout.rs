//! The layout of the livepatch core's structs in one kernel (`include/linux/livepatch.h`).
//!
//! The members that an author fills in come first and have not moved since Linux 5.5; how large a `klp_object` and a
//! `klp_func` are differs with the configuration, since both hold a kobject. So sizes come from the kernel's types, or
//! from the tables themselves where those tell. The tempting wrong way is to take the sizes of one's own kernel.

use super::btf::find_struct;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
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

impl Layout {
    /// The layout out of a vmlinux or a file of BTF alone, such as `/sys/kernel/btf/vmlinux`; `None` without one.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub fn read(path: &Path) -> io::Result<Option<Self>> {
        let mut file = File::open(path)?;
        let mut head = [0; 64];
        let len = file.read(&mut head)?;
        if head.starts_with(b"\x7fELF") {
            return Ok(elf_section(&mut file, &head, ".BTF")?.and_then(|btf| Self::from_btf(&btf)));
        }
        let mut btf = head[..len].to_vec();
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

/// A section of a little-endian 64-bit ELF file, of which nothing else is read.
fn elf_section(file: &mut File, head: &[u8; 64], name: &str) -> io::Result<Option<Vec<u8>>> {
    let number = |bytes: &[u8]| {
        bytes
            .iter()
            .rev()
            .fold(0u64, |value, byte| value << 8 | u64::from(*byte))
    };
    let (table, count, names) = (
        number(&head[40..48]),
        number(&head[60..62]),
        number(&head[62..64]),
    );
    let headers = read_at(file, table, count.saturating_mul(64))?;
    let place = |index: u64| {
        let at = usize::try_from(index).ok()?.checked_mul(64)?;
        let header = headers.get(at..at + 64)?;
        Some((
            number(&header[..4]),
            number(&header[24..32]),
            number(&header[32..40]),
        ))
    };
    let Some((_, offset, len)) = place(names) else {
        return Ok(None);
    };
    let strings = read_at(file, offset, len)?;
    let is_named = |at: u64| {
        let rest = usize::try_from(at).ok().and_then(|at| strings.get(at..));
        rest.is_some_and(|rest| rest.split(|byte| *byte == 0).next() == Some(name.as_bytes()))
    };
    let found = (0..count).filter_map(place).find(|(at, ..)| is_named(*at));
    found
        .map(|(_, offset, len)| read_at(file, offset, len))
        .transpose()
}

fn read_at(file: &mut File, offset: u64, len: u64) -> io::Result<Vec<u8>> {
    file.seek(SeekFrom::Start(offset))?;
    let mut bytes = Vec::new();
    file.take(len.min(LARGEST_BTF)).read_to_end(&mut bytes)?;
    Ok(bytes)
}

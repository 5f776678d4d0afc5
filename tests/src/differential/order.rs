//! The order of the installed patches, from the kernel's own list: before Linux 6.14 nothing else tells it.
//!
//! `/proc/kcore` shows the kernel's memory as an ELF core file. The list is `klp_patches` (`kernel/livepatch/core.c`); a
//! `klp_patch` begins with its module and holds the list's links at 32, a module's name is at 24 (6.1, x86-64).

use std::fs::{self, File};
use std::os::unix::fs::FileExt;

use anyhow::{Context, Result, bail, ensure};

const LIST_IN_PATCH: u64 = 32;
const NAME_IN_MODULE: u64 = 24;
/// `MODULE_NAME_LEN`
const NAME: usize = 56;
/// More than can be loaded; a list that was misread has no end.
const MOST: usize = 200;

/// The kernel's memory.
#[derive(Debug)]
pub struct Memory {
    core: File,
    /// Address, offset and size of each part.
    parts: Vec<(u64, u64, u64)>,
    list: u64,
}

impl Memory {
    /// Finds the list.
    pub fn open() -> Result<Self> {
        let core = File::open("/proc/kcore").context("open /proc/kcore")?;
        let mut head = [0; 64];
        core.read_exact_at(&mut head, 0)
            .context("read /proc/kcore")?;
        let (table, count) = (word(&head, 32), word(&head, 56) & 0xffff);
        let mut parts = Vec::new();
        for number in 0..count {
            let mut header = [0; 56];
            core.read_exact_at(&mut header, table + number * 56)
                .context("read /proc/kcore")?;
            // Type, offset, address, size in the file.
            if word(&header, 0) & 0xffff_ffff == 1 {
                parts.push((word(&header, 16), word(&header, 8), word(&header, 32)));
            }
        }
        Ok(Self {
            core,
            parts,
            list: symbol("klp_patches")?,
        })
    }

    /// The installed patches' modules, from the oldest to the newest.
    pub fn patches(&self) -> Result<Vec<String>> {
        let mut names = Vec::new();
        let mut link = self.pointer(self.list)?;
        while link != self.list {
            ensure!(names.len() < MOST, "the list of patches has no end");
            let module = self.pointer(link - LIST_IN_PATCH)?;
            let mut name = [0; NAME];
            self.read(module + NAME_IN_MODULE, &mut name)?;
            let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
            names.push(String::from_utf8_lossy(name).into_owned());
            link = self.pointer(link)?;
        }
        Ok(names)
    }

    fn pointer(&self, address: u64) -> Result<u64> {
        let mut bytes = [0; 8];
        self.read(address, &mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn read(&self, address: u64, bytes: &mut [u8]) -> Result<()> {
        for (start, offset, size) in &self.parts {
            if let Some(into) = address.checked_sub(*start).filter(|into| into < size) {
                let read = self.core.read_exact_at(bytes, offset + into);
                return read.with_context(|| format!("read the kernel's memory at {address:#x}"));
            }
        }
        bail!("{address:#x} is no address of the kernel")
    }
}

fn word(bytes: &[u8], at: usize) -> u64 {
    let word = bytes.get(at..at + 8).and_then(|word| word.try_into().ok());
    word.map_or(0, u64::from_le_bytes)
}

/// The address of a symbol of the kernel.
fn symbol(name: &str) -> Result<u64> {
    let text = fs::read_to_string("/proc/kallsyms").context("read /proc/kallsyms")?;
    let line = text
        .lines()
        .find(|line| line.split(' ').nth(2) == Some(name));
    let address = line.and_then(|line| u64::from_str_radix(line.split(' ').next()?, 16).ok());
    address.with_context(|| format!("the kernel has no {name}"))
}

//! What a module file says of itself: the `key=value` strings of its `.modinfo` section.
//!
//! Read before loading, because two mistakes are better told by us than by an errno: a file that is not a kernel module at
//! all, and a module that is none of a livepatch's kind and would simply be loaded for good.

use std::path::Path;

use goblin::elf::Elf;

use super::name::PatchName;
use crate::error::Error;

/// The entries of `.modinfo` that matter here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModInfo {
    /// `name=`, which is the name in `/sys/kernel/livepatch`.
    pub name: PatchName,
    /// `livepatch=Y` is there.
    pub livepatch: bool,
    /// `vermagic=`, whose first word is the kernel release the module was built for.
    pub vermagic: Option<String>,
}

impl ModInfo {
    /// The kernel release the module was built for.
    pub fn release(&self) -> Option<&str> {
        self.vermagic.as_deref()?.split_whitespace().next()
    }
}

/// Reads the `.modinfo` of a module file.
pub fn read(file: &Path) -> Result<ModInfo, Error> {
    let bytes = std::fs::read(file).map_err(|source| Error::Read {
        path: file.into(),
        source,
    })?;
    parse(&bytes).map_err(|why| match why {
        Flaw::Name(error) => error,
        Flaw::Elf(why) => Error::BadModule {
            file: file.into(),
            why,
        },
    })
}

enum Flaw {
    Elf(String),
    Name(Error),
}

fn parse(bytes: &[u8]) -> Result<ModInfo, Flaw> {
    let section = modinfo_section(bytes).map_err(Flaw::Elf)?;
    let find = |key: &str| {
        section
            .split(|byte| *byte == 0)
            .filter_map(|entry| std::str::from_utf8(entry).ok()?.split_once('='))
            .find(|(found, _)| *found == key)
            .map(|(_, value)| value.to_owned())
    };
    let name = find("name").ok_or_else(|| Flaw::Elf("its .modinfo has no `name=`".into()))?;
    Ok(ModInfo {
        name: name.parse().map_err(Flaw::Name)?,
        livepatch: find("livepatch").is_some_and(|value| value.eq_ignore_ascii_case("y")),
        vermagic: find("vermagic"),
    })
}

fn modinfo_section(bytes: &[u8]) -> Result<&[u8], String> {
    let elf = Elf::parse(bytes).map_err(|error| format!("not a readable ELF file: {error}"))?;
    let header = elf
        .section_headers
        .iter()
        .find(|header| elf.shdr_strtab.get_at(header.sh_name) == Some(".modinfo"))
        .ok_or("it has no .modinfo section, so it is no kernel module")?;
    let range = header.file_range().ok_or(".modinfo has no content")?;
    bytes
        .get(range)
        .ok_or_else(|| "its .modinfo lies beyond the end of the file".into())
}

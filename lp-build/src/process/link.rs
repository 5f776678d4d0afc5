//! Makes the patch file of what was joined: one relocatable object with the manifest.

use super::lent::Lent;
use crate::module::klp_rela::When;
use crate::module::post_link;
use anyhow::{Context, Result};
use lp_klp::name::ObjName;
use lp_klp::{lent, note};
use object::build::elf::{Builder, SectionData};
use object::elf;

/// Moves what the loader relocates to sections of its own, adds the manifest and what symbols stripped binaries are lent.
pub(super) fn link(joined: &[u8], manifest: &[u8], lent: Vec<(&ObjName, Lent)>) -> Result<Vec<u8>> {
    // The note first: what has livepatch symbols cannot be taken apart again.
    let patch = with_note(joined, manifest, lent)?;
    Ok(post_link::run(&patch, When::Early)?)
}

fn with_note(patch: &[u8], manifest: &[u8], lent: Vec<(&ObjName, Lent)>) -> Result<Vec<u8>> {
    let mut builder = Builder::read(patch).context("the patch that was linked")?;
    let section = builder.sections.add();
    section.name = note::NOTE_SECTION.as_bytes().into();
    section.sh_type = elf::SHT_NOTE;
    section.sh_flags = elf::SHF_ALLOC;
    section.sh_addralign = note::NOTE_ALIGN as u64;
    section.data = SectionData::Data(manifest.to_vec().into());
    for (object, lent) in lent {
        let (symbols, strings) = lent::section_names(object);
        for (name, bytes) in [(symbols, lent.symbols), (strings, lent.strings)] {
            let section = builder.sections.add();
            section.name = name.into_bytes().into();
            section.sh_type = elf::SHT_PROGBITS;
            section.sh_addralign = 8;
            section.data = SectionData::Data(bytes.into());
        }
    }
    builder.set_section_sizes();
    let mut out = Vec::new();
    builder
        .write(&mut out)
        .context("the patch cannot be written")?;
    Ok(out)
}

//! Makes the patch file of the differ's objects: one relocatable object with the manifest.

use super::lent::Lent;
use crate::module::klp_rela::When;
use crate::module::post_link;
use anyhow::{Context, Result, ensure};
use lp_klp::name::ObjName;
use lp_klp::{lent, note};
use object::build::elf::{Builder, SectionData};
use object::elf;
use std::fs;
use std::path::Path;
use std::process::Command;

/// Links the objects, moves what the loader relocates to sections of its own, adds the manifest and what symbols a stripped
/// binary is lent.
pub(super) fn link(
    objects: &[Vec<u8>],
    (manifest, lent): (&[u8], Option<(&ObjName, Lent)>),
    folder: &Path,
) -> Result<Vec<u8>> {
    let linked = match objects {
        [only] => only.clone(),
        several => join(several, folder)?,
    };
    // The note first: what has livepatch symbols cannot be taken apart again.
    let patch = with_note(&linked, manifest, lent)?;
    Ok(post_link::run(&patch, When::Early)?)
}

/// `ld -r`, which pads the unwind table of none: its records are whole words.
fn join(objects: &[Vec<u8>], folder: &Path) -> Result<Vec<u8>> {
    let output = folder.join("linked.o");
    let mut ld = Command::new("ld");
    ld.args(["-r", "--no-warn-execstack", "-o"]).arg(&output);
    for (number, object) in objects.iter().enumerate() {
        let path = folder.join(format!("{number}.o"));
        fs::write(&path, object)?;
        ld.arg(path);
    }
    let done = ld.output().context("cannot run ld")?;
    ensure!(
        done.status.success(),
        "ld cannot link the patch: {}",
        String::from_utf8_lossy(&done.stderr)
    );
    fs::read(&output).with_context(|| format!("cannot read {}", output.display()))
}

fn with_note(patch: &[u8], manifest: &[u8], lent: Option<(&ObjName, Lent)>) -> Result<Vec<u8>> {
    let mut builder = Builder::read(patch).context("the patch that was linked")?;
    let section = builder.sections.add();
    section.name = note::NOTE_SECTION.as_bytes().into();
    section.sh_type = elf::SHT_NOTE;
    section.sh_flags = elf::SHF_ALLOC;
    section.sh_addralign = note::NOTE_ALIGN as u64;
    section.data = SectionData::Data(manifest.to_vec().into());
    if let Some((object, lent)) = lent {
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

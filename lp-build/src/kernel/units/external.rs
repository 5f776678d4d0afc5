//! The units of a module that is not in the kernel's tree: `make M=` of its own folder says all of them.
//!
//! Such modules are small, so every object is compiled in both folders and what stays the same is dropped: no includes are
//! searched. The proof works on the module's installed file. The tempting wrong way is to build the module and to take that for
//! what runs: a vendor's build may have used another compiler.

use super::Units;
use super::rebuilt;
use crate::kernel::changed::followed::{self, Followed};
use crate::kernel::changed::{Changed, Sources};
use crate::kernel::inputs::Inputs;
use crate::kernel::kbuild::commands::CompileCommand;
use crate::kernel::kbuild::make::Make;
use anyhow::{Context, Result, ensure};
use object::{Object, ObjectSection};
use std::collections::BTreeSet;
use std::path::Path;

/// The objects of the module's two folders, and what its Makefiles change.
pub fn find(
    inputs: &Inputs,
    changed: &Changed,
    sources: &Sources,
    make: Make<'_>,
) -> Result<Units> {
    let folders = (inputs.root(), changed.patched.as_path());
    let (mut followed, all) = followed::module(make, folders).context(
        "the module's build does not tell how it compiles: does `make -C KERNEL M=FOLDER` work for it?",
    )?;
    let mut found = Units::default();
    found.refusals.append(&mut followed.refusals);
    for command in &all {
        found.add_units(command, Some("the module's source"));
    }
    for command in &followed.added {
        rebuilt::add_new(command, &inputs.files, &mut found);
    }
    for (before, after) in &followed.changed {
        rebuilt::add_changed(before, after, &mut found);
    }
    rebuilt::drop_removed(&followed, &mut found);
    tell_unused(sources, (&followed, &all), &mut found);
    found.sort();
    Ok(found)
}

/// Changed sources that no object is made of.
fn tell_unused(
    sources: &Sources,
    (followed, all): (&Followed, &[CompileCommand]),
    found: &mut Units,
) {
    let made = all.iter().chain(&followed.added);
    let made: BTreeSet<&String> = made.map(|command| &command.source).collect();
    let sources = [&sources.files, &sources.added];
    for source in sources
        .into_iter()
        .flatten()
        .filter(|source| !made.contains(source))
    {
        found.notes.push(format!(
            "{source} is no object of the module: it counts where another file includes it"
        ));
    }
}

/// Checks that a module's file is one, and of this kernel.
pub fn check_release(path: &Path, release: &str) -> Result<()> {
    let bytes = std::fs::read(path)
        .with_context(|| format!("--module {}: cannot read it", path.display()))?;
    let magic = vermagic(&bytes).with_context(|| {
        format!(
            "--module {}: not a kernel module (no vermagic in it); unpack it, if it is compressed",
            path.display()
        )
    })?;
    ensure!(
        magic.split(' ').next() == Some(release),
        "--module {} is for the kernel {magic}, not {release}: give the module that is installed for {release}",
        path.display()
    );
    Ok(())
}

/// The kernel and options that a module was built for.
fn vermagic(bytes: &[u8]) -> Option<String> {
    let file = object::File::parse(bytes).ok()?;
    let modinfo = file.section_by_name(".modinfo")?;
    let mut fields = modinfo.data().ok()?.split(|byte| *byte == 0);
    let magic = fields.find_map(|field| field.strip_prefix(b"vermagic="))?;
    Some(String::from_utf8_lossy(magic).into_owned())
}

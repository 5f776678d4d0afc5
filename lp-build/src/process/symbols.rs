//! Where the symbols of the binary are: in it, or, where it is stripped, in a debug file or a build of the same code.
//!
//! A debug file is believed by its build-id. A build of ours must have the same code at the same addresses, for which it
//! is made once more without what the shims add. The tempting wrong way is to take any build's symbols: a function that
//! is a few bytes longer moves all that follow.

use anyhow::{Context, Result, bail, ensure};
use object::{Object, ObjectSection, SectionFlags, elf};
use std::fs;
use std::path::{Path, PathBuf};

/// Where distributions put debug files.
const DEBUG: &str = "/usr/lib/debug/.build-id";

/// The file with the symbols of a binary, if there is one without building anything.
pub(super) fn find(binary: &Path, data: &[u8], given: Option<&Path>) -> Result<Option<PathBuf>> {
    let file = object::File::parse(data)?;
    let build_id = file.build_id().ok().flatten().unwrap_or_default();
    if let Some(given) = given {
        check_debug(given, build_id)
            .with_context(|| format!("--debug-file {}", given.display()))?;
        return Ok(Some(given.to_owned()));
    }
    if file.symbols().next().is_some() {
        return Ok(Some(binary.to_owned()));
    }
    let id = super::binary::hex(build_id);
    let installed = id
        .split_at_checked(2)
        .map(|(first, rest)| Path::new(DEBUG).join(first).join(format!("{rest}.debug")));
    Ok(installed.filter(|path| check_debug(path, build_id).is_ok()))
}

fn check_debug(path: &Path, build_id: &[u8]) -> Result<()> {
    let data = fs::read(path).context("it cannot be read")?;
    let file = object::File::parse(&*data).context("it is no ELF file")?;
    let own = file.build_id().ok().flatten().unwrap_or_default();
    ensure!(
        own == build_id && !own.is_empty(),
        "it is of another build: its build-id is not that of the binary"
    );
    ensure!(file.symbols().next().is_some(), "it has no symbols");
    Ok(())
}

/// Whether a build of ours may lend its symbols: its code is that of the binary, byte for byte, address for address.
pub(super) fn check_same_code(binary: &Path, built: &Path) -> Result<()> {
    let (ours, theirs) = (fs::read(built)?, fs::read(binary)?);
    let (ours, theirs) = (object::File::parse(&*ours)?, object::File::parse(&*theirs)?);
    let way_out = "give the binary before it was stripped, or its debug file with --debug-file";
    if ours.symbols().next().is_none() {
        bail!(
            "{} is stripped, and so is what the build makes: {way_out}",
            binary.display()
        );
    }
    for section in theirs.sections() {
        if !is_code(&section) {
            continue;
        }
        let name = section.name()?;
        let own = ours.section_by_name(name);
        let same = match &own {
            Some(own) => own.address() == section.address() && own.data()? == section.data()?,
            None => false,
        };
        if !same {
            let data = own.map(|own| own.data()).transpose()?.unwrap_or_default();
            let at = section
                .data()?
                .iter()
                .zip(data)
                .take_while(|(one, other)| one == other);
            bail!(
                "{} is stripped, and a build of the original tree has other code: {name} differs at +{:#x}{}. Use the \
                 source, the commands and the compiler that it was built with; or {way_out}",
                binary.display(),
                at.count(),
                other_size(&theirs, &ours)?
            );
        }
    }
    Ok(())
}

/// The first section that is not as large as the build's, which has moved what comes behind it: that is where the cause is.
fn other_size(theirs: &object::File<'_>, ours: &object::File<'_>) -> Result<String> {
    for section in theirs.sections().filter(is_loaded) {
        let name = section.name()?;
        let built = ours.section_by_name(name).map_or(0, |own| own.size());
        if built != section.size() {
            let size = section.size();
            return Ok(format!(
                " ({name} has {size:#x} bytes, and in the build {built:#x})"
            ));
        }
    }
    Ok(String::new())
}

fn is_loaded(section: &object::Section<'_, '_>) -> bool {
    matches!(section.flags(), SectionFlags::Elf { sh_flags, .. } if sh_flags.contains(elf::SHF_ALLOC))
}

fn is_code(section: &object::Section<'_, '_>) -> bool {
    match section.flags() {
        SectionFlags::Elf { sh_flags, .. } => {
            sh_flags.contains(elf::SHF_ALLOC | elf::SHF_EXECINSTR)
        }
        _ => false,
    }
}

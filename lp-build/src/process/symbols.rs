//! Where the symbols of the binary are: in it, or, where it is stripped, in a debug file or a build of the same code.
//!
//! A debug file is believed by its build-id. A build of ours must have the same code at the same addresses, for which it
//! is made once more without what the shims add; data may be elsewhere ([`displaced`]). The tempting wrong way is to take any build's symbols: a function that
//! is a few bytes longer moves all that follow.

use super::displaced::{self, File, is_code, is_loaded};
use crate::progress::say;
use anyhow::{Context, Result, anyhow, bail, ensure};
use object::{Object, ObjectSection};
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

/// The build-id of a debug file.
pub(super) fn debug_id(path: &Path) -> Result<Vec<u8>> {
    let context = || format!("--debug-file {}", path.display());
    let data = fs::read(path).with_context(context)?;
    let file = object::File::parse(&*data).with_context(context)?;
    let id = file.build_id().with_context(context)?.unwrap_or_default();
    ensure!(!id.is_empty(), "{}: it has no build-id", context());
    Ok(id.to_owned())
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

/// The file with the symbols that a build of ours lends, whose code is that of the binary, address for address: the build itself, or
/// a copy in `folder` where only data have moved.
pub(super) fn lend(binary: &Path, built: &Path, folder: &Path) -> Result<PathBuf> {
    let (data, theirs) = (fs::read(built)?, fs::read(binary)?);
    let (ours, theirs) = (File::parse(&*data)?, File::parse(&*theirs)?);
    let way_out = "give the binary before it was stripped, or its debug file with --debug-file";
    if ours.symbols().next().is_none() {
        bail!(
            "{} is stripped, and so is what the build makes: {way_out}",
            binary.display()
        );
    }
    if !differs(&ours, &theirs)? {
        return Ok(built.to_owned());
    }
    let moves = displaced::find(&ours, &theirs).map_err(|why| {
        // Said already, where it is code that is longer.
        let size = other_size(&theirs, &ours).unwrap_or_default();
        let size = if size.ends_with(&why) { "" } else { &size };
        anyhow!(
            "{} is stripped, and a build of the original tree is not the same: {why}{size}. Use the source, the commands and the \
             compiler that it was built with; or {way_out}",
            binary.display(),
        )
    })?;
    if let Some((ours, theirs)) = &moves.other_text {
        let same = ours.chars().zip(theirs.chars()).take_while(|(a, b)| a == b);
        let same = same.count();
        let (ours, theirs) = (shown(ours, same), shown(theirs, same));
        say(format_args!(
            "           it says {theirs:?} where the build says {ours:?}, which moves what is behind it"
        ));
    }
    let moved = moves.applied(&data);
    let moved = moved.with_context(|| format!("{} is damaged", built.display()))?;
    let path = folder.join("symbols");
    fs::write(&path, moved).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}

/// As much of a text as tells what is different about it: up to `same` characters it is the other one.
fn shown(text: &str, same: usize) -> String {
    const SHOWN: usize = 50;
    /// Of what is the same.
    const BEFORE: usize = 20;
    let from = if same < SHOWN { 0 } else { same - BEFORE };
    let piece: String = text.chars().skip(from).take(SHOWN).collect();
    let before = if from > 0 { ".." } else { "" };
    let behind = if text.chars().nth(from + SHOWN).is_some() {
        ".."
    } else {
        ""
    };
    format!("{before}{piece}{behind}")
}

/// Whether code of theirs is another one, or elsewhere.
fn differs(ours: &File<'_>, theirs: &File<'_>) -> Result<bool> {
    for section in theirs.sections().filter(is_code) {
        let own = ours.section_by_name(section.name()?);
        let own = own.filter(|own| own.address() == section.address());
        if own.is_none_or(|own| own.data() != section.data()) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The first section that is not as large as the build's, which has moved what comes behind it: that is where the cause is.
fn other_size(theirs: &File<'_>, ours: &File<'_>) -> Result<String> {
    for section in theirs.sections().filter(is_loaded) {
        let name = section.name()?;
        let built = ours.section_by_name(name).map_or(0, |own| own.size());
        if built != section.size() {
            let size = section.size();
            return Ok(format!(
                "; {name} has {size:#x} bytes, and in the build {built:#x}"
            ));
        }
    }
    Ok(String::new())
}

#[cfg(test)]
mod tests {
    use super::shown;

    #[test]
    fn what_is_shown_of_a_text_has_the_difference_in_it() {
        assert_eq!(shown("3.0.19 of January", 4), "3.0.19 of January");
        let long = format!("compiler: {}-m64 {}", "-f ".repeat(30), "-g ".repeat(30));
        let piece = shown(&long, 100);
        assert!(piece.starts_with("..") && piece.ends_with(".."), "{piece}");
        assert_eq!(piece.len(), 54);
        assert!(piece.contains("-m64"), "{piece}");
        assert_eq!(shown("\u{e4}".repeat(60).as_str(), 0).chars().count(), 52);
    }
}

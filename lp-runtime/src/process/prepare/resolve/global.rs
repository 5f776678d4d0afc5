//! Looking a dynamic symbol up as the dynamic linker does (`_dl_lookup_symbol_x`): object by object in the scope of the one
//! that refers to it, by name and version.
//!
//! The version is the one that the object asks for where it refers to the name itself, else the default one, which a
//! new link would take. An executable's own symbols come first of all, also those that it does not export: its link bound
//! them.

use super::{ResolveError, undefined};
use crate::process::read::dynamic::DynamicSymbol;
use crate::process::read::image::Image;
use crate::process::read::images::Images;
use crate::process::read::symbols::{Found, Symbol};
use object::elf;

/// A definition of a symbol.
#[derive(Debug, Clone, Copy)]
pub(super) struct Definition<'a> {
    /// The object that has it.
    pub(super) image: &'a Image,
    /// In the file's terms.
    pub(super) value: u64,
    /// `STT_*`
    pub(super) kind: u8,
    /// It is there, and not a PLT entry that stands for it.
    defined: bool,
}

impl Definition<'_> {
    /// Whether both are one.
    pub(super) fn is(&self, other: &Definition<'_>) -> bool {
        std::ptr::eq(self.image, other.image) && self.value == other.value
    }

    /// Whether it is code of its object, not a PLT entry that stands for another's.
    pub(super) fn is_function(&self) -> bool {
        self.defined && [elf::STT_FUNC.0, elf::STT_GNU_IFUNC.0].contains(&self.kind)
    }
}

impl<'a> Definition<'a> {
    pub(super) fn own(image: &'a Image, found: Found) -> Self {
        Self {
            image,
            value: found.value,
            kind: found.kind,
            defined: true,
        }
    }
}

/// An object's own definition of a name, the default version of it.
pub(super) fn own<'a>(image: &'a Image, name: &str) -> Option<Definition<'a>> {
    let exported = image.dynamic.named(name.as_bytes()).any(|it| it.defined);
    exported.then(|| defined_in(image, name, None)).flatten()
}

/// The definition to which a reference of an object is bound. `NAME@VERSION` asks for a version.
pub(super) fn find<'a>(
    images: &'a Images,
    from: &'a Image,
    name: &str,
) -> Result<Definition<'a>, ResolveError> {
    let (name, asked) = match name.split_once('@') {
        Some((name, version)) => (name, Some(version.trim_start_matches('@').as_bytes())),
        None => (name, None),
    };
    let needed = from.dynamic.named(name.as_bytes()).filter(|it| !it.defined);
    let needed = needed.filter_map(|it| from.dynamic.version(it)).next();
    let version = asked.or(needed);
    if from.executable
        && let Some(own) = linked_into(from, name)
    {
        return Ok(own);
    }
    // What stands before the definition and cannot be read may have another one.
    if let Some((path, _)) = images.unreadable.first() {
        let path = path.display().to_string();
        return Err(ResolveError::Unreadable {
            symbol: name.to_owned(),
            path,
        });
    }
    let scope = images.scope(from);
    let found = scope
        .iter()
        .find_map(|image| defined_in(image, name, version));
    found.ok_or_else(|| undefined(name, version, &from.name))
}

/// A global symbol of the executable, exported or not.
fn linked_into<'a>(executable: &'a Image, name: &str) -> Option<Definition<'a>> {
    let global = |it: &&Symbol| it.bind != elf::STB_LOCAL.0 && !it.absolute;
    let symbols = executable.symbols().ok()?;
    let mut found = symbols.named(name.as_bytes()).iter().filter(global);
    let symbol = found.next()?;
    let (value, kind) = (symbol.value, symbol.kind);
    Some(Definition {
        image: executable,
        value,
        kind,
        defined: true,
    })
}

fn defined_in<'a>(image: &'a Image, name: &str, version: Option<&[u8]>) -> Option<Definition<'a>> {
    let mut symbols = image.dynamic.named(name.as_bytes());
    let found = symbols.find(|it| is_definition(image, it) && fits(image, it, version))?;
    Some(Definition {
        image,
        value: found.value,
        kind: found.kind,
        defined: found.defined,
    })
}

/// Also the executable's PLT entry of a function whose address it takes: that is the function's address everywhere.
fn is_definition(image: &Image, symbol: &DynamicSymbol) -> bool {
    let stands_in = image.executable && !symbol.defined && symbol.value != 0;
    (symbol.is_exported() && !symbol.absolute) || stands_in
}

fn fits(image: &Image, symbol: &DynamicSymbol, version: Option<&[u8]>) -> bool {
    match (version, image.dynamic.version(symbol)) {
        // An object without versions satisfies any.
        (Some(_), None) => !image.dynamic.has_versions() || !symbol.defined,
        (Some(wanted), Some(has)) => wanted == has,
        (None, _) => !symbol.hidden,
    }
}

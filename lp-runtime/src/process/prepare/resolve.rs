//! What the symbols of a patch stand for in a process.
//!
//! A livepatch symbol is one of the patched object, as that object itself sees it: its data may live in the executable
//! (`R_X86_64_COPY`), its IFUNC has been decided. A dynamic symbol is what the patched object's own reference
//! is bound to: where it has a slot for the name, that slot is the truth; else it is looked up as the dynamic linker would. The
//! tempting wrong way is to search all objects for the name: of two plugins each has its own.

mod global;
mod slots;
mod tls;

pub use tls::TlsVariable;

use crate::process::prepare::patch_file::{Meaning, Symbol};
use crate::process::read::image::Image;
use crate::process::read::images::{Images, ImagesError};
use crate::process::read::memory::ReadMemory;
use crate::process::read::symbols::{Found, SymbolError};
use global::Definition;
use lp_klp::name::{KlpSymName, ObjName};
use object::elf;
use std::collections::BTreeMap;
use thiserror::Error;

/// What a symbol stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// An address, or a number.
    Address(u64),
    /// A variable that each thread has its own of.
    Tls(TlsVariable),
    /// A symbol of an object that is not loaded now.
    Late(ObjName),
}

/// Why a symbol stands for nothing that could be known.
#[derive(Debug, Error)]
pub enum ResolveError {
    /// It is not in the object, or not once.
    #[error(transparent)]
    Symbol(#[from] SymbolError),
    /// Its object is there more than once.
    #[error(transparent)]
    Images(#[from] ImagesError),
    /// No object of the process has it.
    #[error(
        "no object that '{object}' can see has the symbol '{symbol}'{}: the patch needs a library that the process has not \
         loaded, or another version of it", version.as_ref().map(|it| format!(" of version {it}")).unwrap_or_default()
    )]
    Undefined {
        /// The symbol.
        symbol: String,
        /// The version that is asked for.
        version: Option<String>,
        /// The patched object.
        object: String,
    },
    /// The patched objects do not agree on it.
    #[error(
        "the objects that the patch is for see different symbols '{0}': make a patch for each of them"
    )]
    Differs(String),
    /// It is decided by code at run time, and nobody has asked yet.
    #[error(
        "'{symbol}' of {object} is chosen when the program starts (IFUNC), and no slot in the process says what was chosen: \
         call something else in the patch"
    )]
    Ifunc {
        /// The symbol.
        symbol: String,
        /// The object that has it.
        object: String,
    },
    /// Two objects define it, and nothing says to which one the patched object's references go.
    #[error(
        "'{symbol}' is defined in {object} and in {other}, and {object} has no reference that would say which one it means: \
         give the patch the one it needs under a name of its own"
    )]
    Interposed {
        /// The symbol.
        symbol: String,
        /// The patched object.
        object: String,
        /// The other one, which comes first.
        other: String,
    },
    /// Two objects have it, and only the linker knows which one comes first.
    #[error(
        "'{symbol}' is defined in {object}, and in {other}, which may come before it (RTLD_GLOBAL), and the dynamic linker has \
         not said yet which one is meant"
    )]
    Rivals {
        /// The symbol.
        symbol: String,
        /// The object where it is found.
        object: String,
        /// The other one.
        other: String,
    },
    /// A name that the linker makes up.
    #[error(
        "the patch refers to '{0}', which means nothing there: compile it with -fPIC or -fno-pic, -mcmodel=small"
    )]
    LinkersOwn(String),
    /// An object's file cannot be trusted.
    #[error("the objects before the one with '{symbol}' cannot be searched: {path} cannot be read")]
    Unreadable {
        /// The symbol.
        symbol: String,
        /// The object.
        path: String,
    },
}

/// Resolves the symbols of a patch.
#[derive(Debug)]
pub struct Resolver<'a, M: ?Sized> {
    images: &'a Images,
    memory: &'a M,
    /// The objects that the patch is for and that are there.
    patched: Vec<&'a Image>,
    /// Names that the loader gives a meaning (`__lp_states`).
    reserved: &'a BTreeMap<String, u64>,
}

impl<'a, M: ReadMemory + ?Sized> Resolver<'a, M> {
    /// For a patch of these objects.
    pub fn new(
        images: &'a Images,
        memory: &'a M,
        patched: Vec<&'a Image>,
        reserved: &'a BTreeMap<String, u64>,
    ) -> Self {
        Self {
            images,
            memory,
            patched,
            reserved,
        }
    }

    /// What a symbol that is not in the patch stands for; none for one that is.
    ///
    /// # Errors
    /// Where that is not known.
    pub fn resolve(&self, symbol: &Symbol) -> Result<Option<Value>, ResolveError> {
        match &symbol.meaning {
            Meaning::Inside { .. } => Ok(None),
            Meaning::Nothing => Ok(Some(Value::Address(0))),
            Meaning::Absolute(value) => Ok(Some(Value::Address(*value))),
            Meaning::Klp(name) => self.klp(name).map(Some),
            Meaning::Undefined { weak } => self.dynamic(&symbol.name, *weak).map(Some),
        }
    }

    fn klp(&self, name: &KlpSymName) -> Result<Value, ResolveError> {
        let Some(image) = self.images.find(&name.object)? else {
            return Ok(Value::Late(name.object.clone()));
        };
        let found = image.find(&name.symbol, name.sympos)?;
        if let Some(address) = self.elsewhere(image, &name.symbol, found) {
            return Ok(Value::Address(address));
        }
        self.value(&name.symbol, Definition::own(image, found))
    }

    /// Where an exported datum lives, as its own object sees it, when that is not in the object.
    fn elsewhere(&self, image: &Image, name: &str, own: Found) -> Option<u64> {
        let is_data = own.kind == elf::STT_OBJECT.0 || own.kind == elf::STT_NOTYPE.0;
        let mut exported = image.dynamic.named(name.as_bytes());
        let exported = exported.find(|it| it.is_exported() && it.value == own.value)?;
        if !is_data || image.executable {
            return None;
        }
        if let Some(bound) = slots::bound(image, name, self.memory) {
            return Some(bound);
        }
        let interposable = exported.visibility == elf::STV_DEFAULT.0 && !image.dynamic.symbolic;
        // Before the object is relocated its slot is empty, and will be filled with the first definition that is found.
        if interposable && slots::has(image, name) {
            let found = global::find(self.images, image, name).ok();
            let other = found.filter(|it| !it.is(&Definition::own(image, own)));
            return other.map(|it| it.image.address(it.value));
        }
        let copy = self
            .images
            .executable()
            .and_then(|it| slots::copy(it, name));
        copy.filter(|_| interposable)
    }

    fn dynamic(&self, name: &str, weak: bool) -> Result<Value, ResolveError> {
        if let Some(address) = self.reserved.get(name) {
            return Ok(Value::Address(*address));
        }
        if name == "_GLOBAL_OFFSET_TABLE_" {
            return Err(ResolveError::LinkersOwn(name.to_owned()));
        }
        let mut seen: Option<Value> = None;
        let mut missing = None;
        for image in &self.patched {
            match self.seen_by(image, name) {
                Ok(value) if seen.as_ref().is_some_and(|other| *other != value) => {
                    return Err(ResolveError::Differs(name.to_owned()));
                }
                Ok(value) => seen = Some(value),
                Err(error @ ResolveError::Undefined { .. }) => missing = Some(error),
                Err(error) => return Err(error),
            }
        }
        match (seen, missing) {
            (Some(value), _) => Ok(value),
            (None, _) if weak => Ok(Value::Address(0)),
            (None, Some(error)) => Err(error),
            (None, None) => Err(undefined(name, None, "the patch")),
        }
    }

    /// What a reference of an object by this name means.
    fn seen_by(&self, image: &Image, name: &str) -> Result<Value, ResolveError> {
        if let Some(address) = slots::bound(image, name, self.memory) {
            return Ok(Value::Address(address));
        }
        let definition = global::find(self.images, image, name)?;
        let definition = match global::own(image, name).filter(|own| !own.is(&definition)) {
            None => definition,
            Some(own) if image.dynamic.symbolic => own,
            // The object has no slot for a function of its own that another one has, too: it may never call it, or it was linked
            // to call its own (-Bsymbolic-functions), which nothing in it says.
            Some(_) if definition.is_function() => {
                return Err(ResolveError::Interposed {
                    symbol: name.to_owned(),
                    object: image.name.clone(),
                    other: definition.image.name.clone(),
                });
            }
            Some(_) => definition,
        };
        if let Some(other) = self.rival(image, name, &definition) {
            return Err(ResolveError::Rivals {
                symbol: name.to_owned(),
                object: definition.image.name.clone(),
                other: other.name.clone(),
            });
        }
        self.value(name, definition)
    }

    /// Another object that has the name, and may come first: it may have been loaded for all to use (`RTLD_GLOBAL`), which
    /// only the linker knows. What the program itself needs comes before that. Once the linker has filled the object's slots
    /// they say what it knows.
    fn rival(&self, image: &Image, name: &str, definition: &Definition<'_>) -> Option<&Image> {
        let told = slots::are_filled(image, self.memory);
        if told || image.dynamic.symbolic || self.images.stays(definition.image) {
            return None;
        }
        let scope = self.images.scope(image);
        let outside = |it: &&Image| !scope.iter().any(|own| std::ptr::eq(*own, *it));
        let mut others = self.images.iter().filter(outside);
        others.find(|it| global::own(it, name).is_some())
    }

    fn value(&self, name: &str, definition: Definition<'_>) -> Result<Value, ResolveError> {
        let Definition {
            image, value, kind, ..
        } = definition;
        if kind == elf::STT_TLS.0 {
            let variable = tls::variable(self.images, image, value, self.memory);
            return Ok(Value::Tls(variable));
        }
        if kind != elf::STT_GNU_IFUNC.0 {
            return Ok(Value::Address(image.address(value)));
        }
        let chosen = slots::chosen(self.images, image, name, value, self.memory);
        chosen
            .map(Value::Address)
            .ok_or_else(|| ResolveError::Ifunc {
                symbol: name.to_owned(),
                object: image.name.clone(),
            })
    }
}

fn undefined(name: &str, version: Option<&[u8]>, object: &str) -> ResolveError {
    ResolveError::Undefined {
        symbol: name.to_owned(),
        version: version.map(|it| String::from_utf8_lossy(it).into_owned()),
        object: object.to_owned(),
    }
}

//! What the livepatch core will read: `struct klp_patch` and all that hangs on it, out of the module's data.
//!
//! Any livepatch module has these tables, whoever built it. What code fills in when the module is loaded is not in
//! the file and is said to be so, never guessed. The tempting wrong way is to look for a variable called `patch`.

use super::code::Code;
use super::image::{Image, Place, Pointer};
use super::layout::Layout;
use lp_klp::core::KlpFunc;
use lp_klp::name::{ObjName, Sympos};
use lp_klp::state::KlpState;
use lp_klp::target::Callback;

/// No table of a real patch comes near; a damaged one ends here.
const MOST_ENTRIES: u64 = 1 << 16;
/// `struct klp_state`: `unsigned long id; unsigned int version; void *data`.
const STATE_SIZE: u64 = 24;
/// Bytes of a `klp_object` that an author can fill in: name, functions, four callbacks.
const OBJECT_HEAD: u64 = 48;
/// Bytes of a `klp_func` that an author can fill in: name, new function, position.
const FUNC_HEAD: u64 = 24;
/// In the order of `struct klp_callbacks`, which follows a `klp_object`'s first two pointers.
const CALLBACKS: [Callback; 4] = [
    Callback::PrePatch,
    Callback::PostPatch,
    Callback::PreUnpatch,
    Callback::PostUnpatch,
];

/// A field, or why it cannot be known from the file.
pub type Known<T> = Result<T, Unknown>;

/// Why a part of the tables is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unknown {
    /// Code of the module writes it.
    #[error("it is set when the module is loaded")]
    AtRunTime,
    /// A running kernel does not show it.
    #[error(
        "a running kernel does not show it, and the patch has no note of lp-build: give its file"
    )]
    NotShown,
    /// How large an entry is cannot be told.
    #[error("the size of its entries is not known: give the kernel's types with --vmlinux")]
    Layout,
    /// It is not what the kernel expects there.
    #[error("it cannot be read: damaged, or built by code when the module is loaded")]
    Unreadable,
}

/// The tables of a module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tables {
    /// `klp_patch.replace`.
    pub replace: Known<bool>,
    /// `klp_patch.states`.
    pub states: Known<Vec<KlpState>>,
    /// `klp_patch.objs`.
    pub objects: Known<Vec<TableObject>>,
    /// Variables of the patch itself, which live as long as it does: names and bytes.
    pub variables: Vec<(String, u64)>,
}

/// A `struct klp_object`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableObject {
    /// Its name.
    pub name: ObjName,
    /// Its functions.
    pub funcs: Known<Vec<KlpFunc>>,
    /// A digest of each function's new code, in the order of the functions; empty where it cannot be told.
    pub code: Vec<String>,
    /// The callbacks that it has.
    pub callbacks: Vec<Callback>,
}

impl Tables {
    /// Finds and reads the tables; all is unknown where there is not exactly one `klp_patch`.
    pub(super) fn read(image: &Image<'_>, layout: &Layout) -> Self {
        let reader = Reader {
            image,
            layout,
            code: Code::new(image),
        };
        let mut found = image.pointers().filter_map(|(place, pointer)| {
            let is_mod = matches!(pointer, Pointer::Symbol(name) if name == "__this_module")
                || matches!(pointer, Pointer::Local(place) if reader.is_this_module(*place));
            (is_mod && reader.is_patch(place)).then_some(place)
        });
        match (found.next(), found.next()) {
            (Some(patch), None) => reader.patch(patch),
            _ => Self {
                replace: Err(Unknown::AtRunTime),
                states: Err(Unknown::AtRunTime),
                objects: Err(Unknown::AtRunTime),
                variables: Vec::new(),
            },
        }
    }
}

impl Tables {
    /// The callbacks of all objects.
    pub fn callbacks(&self) -> Vec<(ObjName, Callback)> {
        let objects = self.objects.iter().flatten();
        let of = |object: &TableObject| {
            let name = object.name.clone();
            let callbacks = object.callbacks.clone().into_iter();
            callbacks
                .map(move |callback| (name.clone(), callback))
                .collect::<Vec<_>>()
        };
        objects.flat_map(of).collect()
    }
}

struct Reader<'r, 'd> {
    image: &'r Image<'d>,
    layout: &'r Layout,
    code: Code<'r, 'd>,
}

impl Reader<'_, '_> {
    fn is_this_module(&self, place: Place) -> bool {
        let name = |section: usize| {
            let header = self.image.elf.section_headers.get(section)?;
            self.image.elf.shdr_strtab.get_at(header.sh_name)
        };
        place.offset == 0 && name(place.section) == Some(".gnu.linkonce.this_module")
    }

    /// Other structs begin with their module, too; only a `klp_patch` leads to a name and a function.
    fn is_patch(&self, patch: Place) -> bool {
        let Some(Pointer::Local(objs)) = self.image.pointer(patch.plus(self.layout.patch.objs))
        else {
            return false;
        };
        match (self.image.pointer(objs), self.image.pointer(objs.plus(8))) {
            (Some(Pointer::Null), Some(Pointer::Local(funcs))) => self.is_funcs(funcs),
            (Some(Pointer::Local(name)), Some(Pointer::Local(funcs))) => {
                self.image
                    .text(name)
                    .is_some_and(|name| name.parse::<ObjName>().is_ok())
                    && self.is_funcs(funcs)
            }
            _ => false,
        }
    }

    fn is_funcs(&self, funcs: Place) -> bool {
        match (self.image.pointer(funcs), self.image.pointer(funcs.plus(8))) {
            (Some(Pointer::Null), Some(Pointer::Null)) => true,
            (Some(Pointer::Local(name)), Some(Pointer::Local(_) | Pointer::Symbol(_))) => {
                !self.image.is_code(name) && self.image.text(name).is_some()
            }
            _ => false,
        }
    }

    fn patch(&self, patch: Place) -> Tables {
        let at = self.layout.patch;
        let states = match at.states {
            Some(states) => self
                .field(patch, states, 8)
                .and_then(|()| self.states(patch.plus(states))),
            None => Ok(Vec::new()),
        };
        Tables {
            replace: self.field(patch, at.replace, 1).and_then(|()| {
                let value = self.image.number(patch.plus(at.replace), 1);
                value.map(|value| value != 0).ok_or(Unknown::Unreadable)
            }),
            states,
            objects: self
                .field(patch, at.objs, 8)
                .and_then(|()| self.objects(patch.plus(at.objs))),
            variables: self.variables(patch),
        }
    }

    /// All that code may write but the tables themselves.
    fn variables(&self, patch: Place) -> Vec<(String, u64)> {
        let at = self.layout.patch;
        let mut tables = vec![patch];
        let mut follow = |field: Place| {
            if let Some(Pointer::Local(array)) = self.image.pointer(field) {
                tables.push(array);
            }
        };
        follow(patch.plus(at.objs));
        at.states
            .into_iter()
            .for_each(|states| follow(patch.plus(states)));
        let arrays = tables.clone();
        let is_funcs = |place: Place| {
            // Arrays of functions hang on the array of objects.
            arrays.iter().any(|array| {
                let size = self.image.size_of(*array).unwrap_or(0);
                let mut pointers = self.image.pointers_in(*array, size);
                pointers.any(|(_, pointer)| *pointer == Pointer::Local(place))
            })
        };
        let data = self.image.writable().into_iter();
        let own = data.filter(|(place, name, _)| {
            !arrays.contains(place)
                && !is_funcs(*place)
                && !name.starts_with("__")
                && !name.is_empty()
        });
        own.map(|(_, name, size)| (name.to_owned(), size)).collect()
    }

    /// Whether what the file says of a field is what the kernel will read.
    fn field(&self, datum: Place, start: u64, len: u64) -> Known<()> {
        match self.image.code_reaches(datum, start, start + len) {
            true => Err(Unknown::AtRunTime),
            false => Ok(()),
        }
    }

    fn states(&self, field: Place) -> Known<Vec<KlpState>> {
        let array = match self.image.pointer(field) {
            Some(Pointer::Null) => return Ok(Vec::new()),
            Some(Pointer::Local(array)) => array,
            _ => return Err(Unknown::Unreadable),
        };
        let mut states = Vec::new();
        for index in 0..MOST_ENTRIES {
            let state = array.plus(index * STATE_SIZE);
            self.field(state, 0, 12)?;
            let id = self.image.number(state, 8).ok_or(Unknown::Unreadable)?;
            if id == 0 {
                return Ok(states);
            }
            let version = self
                .image
                .number(state.plus(8), 4)
                .ok_or(Unknown::Unreadable)?;
            let version = u32::try_from(version).map_err(|_| Unknown::Unreadable)?;
            states.push(KlpState {
                id,
                version,
                name: String::new(),
            });
        }
        Err(Unknown::Unreadable)
    }

    fn objects(&self, field: Place) -> Known<Vec<TableObject>> {
        let Some(Pointer::Local(array)) = self.image.pointer(field) else {
            return Err(Unknown::Unreadable);
        };
        let size = self.entry_size(array, self.layout.object_size, OBJECT_HEAD)?;
        let mut objects = Vec::new();
        for index in 0..MOST_ENTRIES {
            let object = array.plus(index * size);
            self.field(object, 0, OBJECT_HEAD)?;
            let field = |at| {
                self.image
                    .pointer(object.plus(at))
                    .ok_or(Unknown::Unreadable)
            };
            let (name, funcs) = (field(0)?, field(8)?);
            if (&name, &funcs) == (&Pointer::Null, &Pointer::Null) {
                return Ok(objects);
            }
            let has = |at: &u64| field(*at).is_ok_and(|pointer| pointer != Pointer::Null);
            let callbacks = (16..).step_by(8).zip(CALLBACKS).filter(|(at, _)| has(at));
            objects.push(TableObject {
                name: self.object_name(&name)?,
                code: self.code(&funcs),
                funcs: self.funcs(&funcs),
                callbacks: callbacks.map(|(_, callback)| callback).collect(),
            });
        }
        Err(Unknown::Unreadable)
    }

    fn object_name(&self, name: &Pointer) -> Known<ObjName> {
        match name {
            Pointer::Null => Ok(ObjName::vmlinux()),
            Pointer::Local(place) => {
                let text = self.image.text(*place).ok_or(Unknown::Unreadable)?;
                text.parse().map_err(|_| Unknown::Unreadable)
            }
            _ => Err(Unknown::Unreadable),
        }
    }

    fn funcs(&self, funcs: &Pointer) -> Known<Vec<KlpFunc>> {
        let Pointer::Local(array) = funcs else {
            return Err(Unknown::Unreadable);
        };
        let size = self.entry_size(*array, self.layout.func_size, FUNC_HEAD)?;
        let mut funcs = Vec::new();
        for index in 0..MOST_ENTRIES {
            let func = array.plus(index * size);
            self.field(func, 0, FUNC_HEAD)?;
            let field = |at| self.image.pointer(func.plus(at)).ok_or(Unknown::Unreadable);
            let sympos = self
                .image
                .number(func.plus(16), 8)
                .ok_or(Unknown::Unreadable)?;
            match (field(0)?, field(8)?, sympos) {
                (Pointer::Null, Pointer::Null, 0) => return Ok(funcs),
                (Pointer::Local(name), Pointer::Local(_) | Pointer::Symbol(_), sympos) => {
                    let name = self.image.text(name).ok_or(Unknown::Unreadable)?;
                    let sympos = Sympos(u32::try_from(sympos).map_err(|_| Unknown::Unreadable)?);
                    funcs.push(KlpFunc {
                        old_name: name.to_owned(),
                        sympos,
                    });
                }
                _ => return Err(Unknown::Unreadable),
            }
        }
        Err(Unknown::Unreadable)
    }

    fn code(&self, funcs: &Pointer) -> Vec<String> {
        let (Pointer::Local(array), Ok(known)) = (funcs, self.funcs(funcs)) else {
            return Vec::new();
        };
        let Ok(size) = self.entry_size(*array, self.layout.func_size, FUNC_HEAD) else {
            return Vec::new();
        };
        let new_func = |index| match self.image.pointer(array.plus(index * size + 8)) {
            Some(Pointer::Local(place)) => self.code.digest(place),
            _ => String::new(),
        };
        (0..known.len() as u64).map(new_func).collect()
    }

    /// The size of an array's entries: the kernel's, else the one size for which the array's symbol covers its
    /// entries and an empty one, and every pointer lies where an entry has one.
    fn entry_size(&self, array: Place, known: Option<u64>, head: u64) -> Known<u64> {
        if let Some(size) = known {
            return Ok(size);
        }
        let total = self.image.size_of(array).ok_or(Unknown::Layout)?;
        let pointers: Vec<u64> = self
            .image
            .pointers_in(array, total)
            .map(|(at, _)| at)
            .collect();
        let fits = |size: u64| {
            let entries = total / size - 1;
            let second = |entry: u64| pointers.contains(&(entry * size + 8));
            let in_heads = pointers
                .iter()
                .all(|at| at % size < head && at / size < entries);
            in_heads && (entries > MOST_ENTRIES || (0..entries).all(second))
        };
        let most = (pointers.len() as u64).min(MOST_ENTRIES) + 1;
        let sizes = (1..=most)
            .filter(|parts| total % parts == 0)
            .map(|parts| total / parts);
        let mut sizes = sizes.filter(|size| *size >= head && *size % 8 == 0 && fits(*size));
        match (sizes.next(), sizes.next()) {
            (Some(size), None) => Ok(size),
            _ => Err(Unknown::Layout),
        }
    }
}

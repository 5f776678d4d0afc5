//! What the loader of processes will read out of a patch: the manifest, and the functions that it names.
//!
//! Such a patch has no `klp_patch`: which new function replaces which is the manifest's to say. What it names and the patch does not
//! have is left out here, so that both can be compared like a module's. The tempting wrong way is to take the manifest's word.

use super::code::Code;
use super::image::{Image, Place};
use super::tables::{TableObject, Tables};
use goblin::elf::sym;
use lp_klp::core::KlpFunc;
use lp_klp::manifest::{Callbacks, Function, Manifest, Object};
use lp_klp::target::Callback;
use std::collections::BTreeMap;

impl Tables {
    /// Of a patch for processes.
    pub(super) fn of_process(image: &Image<'_>, manifest: &Manifest) -> Self {
        let reader = Reader {
            functions: functions(image),
            code: Code::new(image),
        };
        let objects = manifest.objects.iter();
        Self {
            replace: Ok(manifest.replace),
            states: Ok(manifest.states.clone()),
            objects: Ok(objects.map(|object| reader.object(object)).collect()),
            variables: variables(image),
        }
    }
}

struct Reader<'r, 'd> {
    /// The patch's functions by name; none where several have it.
    functions: BTreeMap<&'d str, Option<Place>>,
    code: Code<'r, 'd>,
}

impl Reader<'_, '_> {
    fn place(&self, name: &str) -> Option<Place> {
        *self.functions.get(name)?
    }

    fn object(&self, object: &Object) -> TableObject {
        let new = |function: &Function| match function.new_name.as_str() {
            "" => self.place(&function.name),
            name => self.place(name),
        };
        let there = object
            .functions
            .iter()
            .filter_map(|function| Some((func(function), new(function)?)));
        let (funcs, places): (Vec<_>, Vec<Place>) = there.unzip();
        TableObject {
            name: object.name.clone(),
            funcs: Ok(funcs),
            code: places
                .into_iter()
                .map(|place| self.code.digest(place))
                .collect(),
            callbacks: self.callbacks(&object.callbacks),
        }
    }

    fn callbacks(&self, told: &Callbacks) -> Vec<Callback> {
        let is_there = |kind: &Callback| {
            let symbol = told.get(*kind);
            symbol.is_some_and(|symbol| self.place(symbol).is_some())
        };
        Callback::ALL.into_iter().filter(is_there).collect()
    }
}

fn func(function: &Function) -> KlpFunc {
    KlpFunc {
        old_name: function.name.clone(),
        sympos: function.sympos,
    }
}

fn functions<'d>(image: &Image<'d>) -> BTreeMap<&'d str, Option<Place>> {
    let elf = image.elf;
    let mut functions: BTreeMap<&str, Option<Place>> = BTreeMap::new();
    let is_defined = |sym: &sym::Sym| {
        sym.st_type() == sym::STT_FUNC
            && sym.st_shndx != 0
            && sym.st_shndx < elf.section_headers.len()
    };
    for sym in elf.syms.iter().filter(is_defined) {
        let place = Place {
            section: sym.st_shndx,
            offset: sym.st_value,
        };
        let Some(name) = elf.strtab.get_at(sym.st_name) else {
            continue;
        };
        let known = functions.entry(name).or_insert(Some(place));
        if *known != Some(place) {
            *known = None;
        }
    }
    functions
}

/// What the patch's own code may write, which lives as long as the patch does.
fn variables(image: &Image<'_>) -> Vec<(String, u64)> {
    let own = image.writable().into_iter();
    let own = own.filter(|(_, name, _)| !name.is_empty());
    own.map(|(_, name, size)| (name.to_owned(), size)).collect()
}

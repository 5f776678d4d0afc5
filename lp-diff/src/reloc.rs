//! Decides how each symbol that stays in the target is reached: as an export, which the module loader resolves, or as
//! a livepatch symbol, which the livepatch core resolves once the object is there.
//!
//! Exports of the kernel image are ordinary. Everything else goes through `.klp.sym.OBJECT.SYMBOL,POSITION`: what is
//! not exported, and what a module exports, since an ordinary reference would tie the patch to the module being
//! loaded. The tempting wrong way is to ask by name alone: a static function can share its name with an export.

use crate::bundle::{BundleId, Kind};
use crate::compare::Comparison;
use crate::correlate::Twins;
use crate::exports::Exports;
use crate::name::canonical;
use crate::object::{Object, Place, SymbolId};
use crate::process::Flavour;
use crate::reference::{Ref, Target, View};
use crate::refusal::{Refusal, RefusalCode};
use crate::source_file::{FileIndex, SourceFiles};
use crate::symbols::{FileId, SymbolTable, TargetSymbol};
use lp_klp::name::{KlpSymName, ObjName, Sympos};
use std::cell::{OnceCell, RefCell};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Where the original object's symbols were found in the running binary: ELF symbol index to position, see
/// [`TargetSymbol::position`]. A proof that our build equals the running one gives it.
pub type Places = HashMap<usize, u64>;

/// How a reference is written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    /// An undefined symbol that the module loader finds among the exports.
    Export {
        /// Its name.
        name: String,
        /// The namespace that must be imported; empty for none.
        namespace: String,
        /// Whether it may be missing.
        weak: bool,
    },
    /// A symbol that the livepatch core finds.
    Klp(KlpSymName),
    /// A symbol that another object of the patch must define.
    Elsewhere(String),
}

/// In which object a key of a jump label or static call lives.
#[derive(Debug)]
pub enum KeyHome {
    /// In the kernel image or in the patch: the kernel finds it.
    Reachable,
    /// In a module.
    Module {
        /// The key's name.
        key: String,
        /// The module.
        module: ObjName,
    },
}

/// Resolves what stays in the target.
pub struct Resolver<'r, 'd> {
    orig: &'r View<'d>,
    patched: &'r View<'d>,
    twins: &'r Twins,
    symbols: &'r SymbolTable,
    exports: &'r Exports,
    places: &'r Places,
    object: &'r ObjName,
    flavour: &'r Flavour,
    files: TargetFiles<'r, 'd>,
    /// The modules that the original imports from.
    imported: OnceCell<BTreeSet<ObjName>>,
    /// Whether objtool has listed the patched object's static calls.
    has_sites: OnceCell<bool>,
    /// The patched object's data by name, once asked for.
    named: OnceCell<BTreeMap<String, Vec<BundleId>>>,
}

impl<'r, 'd> Resolver<'r, 'd> {
    /// A resolver for the target `object` with these symbols and exports.
    pub fn new(
        (orig, patched, twins): (&'r View<'d>, &'r View<'d>, &'r Twins),
        symbols: &'r SymbolTable,
        exports: &'r Exports,
        (object, places): (&'r ObjName, &'r Places),
        flavour: &'r Flavour,
    ) -> Self {
        Self {
            orig,
            patched,
            twins,
            symbols,
            exports,
            places,
            object,
            flavour,
            files: TargetFiles::new(&orig.object, symbols),
            imported: OnceCell::new(),
            has_sites: OnceCell::new(),
            named: OnceCell::new(),
        }
    }

    /// The data of the patched object that have a name.
    pub fn data_named(&self, name: &str) -> impl Iterator<Item = BundleId> {
        let all = || {
            let mut named: BTreeMap<String, Vec<BundleId>> = BTreeMap::new();
            let bundles = self.patched.bundles.iter();
            for (id, _) in bundles.filter(|(_, bundle)| bundle.kind == Kind::Data) {
                named
                    .entry(self.patched.name(id).to_owned())
                    .or_default()
                    .push(id);
            }
            named
        };
        let ids = self.named.get_or_init(all).get(name);
        ids.into_iter().flatten().copied()
    }

    /// How to reach a bundle of the patched object that stays in the target, and the value that its symbol there has
    /// within the patched bundle.
    pub fn bundle(&self, id: BundleId) -> Result<(Reach, i64), Refusal> {
        let owner = self.patched.bundles.get(id).owner;
        let twin = self
            .twins
            .orig(id)
            .and_then(|twin| self.orig.bundles.get(twin).owner);
        let (Some(owner), Some(twin)) = (owner, twin) else {
            let place = self.patched.name(id);
            return Err(Refusal::new(
                RefusalCode::Unresolved,
                place,
                format!(
                    "the patch refers to it, but it has no symbol that the {} could be asked for",
                    self.flavour.noun()
                ),
            ));
        };
        let value = self.patched.object.symbol(owner).value as i64
            - self.patched.bundles.get(id).start as i64;
        Ok((self.orig_symbol(twin)?, value))
    }

    /// The same for a reference, which may be spelt with another of several names: one that the dynamic linker resolves, or one that
    /// means the object's own, whatever else defines the first.
    pub fn bundle_by(&self, id: BundleId, reference: &Ref) -> Result<(Reach, i64), Refusal> {
        let (reach, value) = self.bundle(id)?;
        let open = reference.named.filter(|named| self.is_open(*named));
        match (open, reach) {
            (Some(open), _) => {
                let symbol = self.patched.object.symbol(open);
                let reach = self.global(symbol.name(), symbol.bind == object::elf::STB_WEAK.0)?;
                let start = self.patched.bundles.get(id).start as i64;
                Ok((reach, symbol.value as i64 - start))
            }
            // A compiler spells it so for a name that is hidden or local.
            (None, Reach::Export { name, .. }) if self.is_interposed(&name) => {
                let own = self.defined(&name).ok_or_else(|| self.missing(&name))?;
                Ok((Reach::Klp(self.klp(&own)), value))
            }
            (None, reach) => Ok((reach, value)),
        }
    }

    /// Whether a reference to what the target has is spelt with a name that the dynamic linker resolves, and that is not the one it goes
    /// by here.
    pub fn is_open_alias(&self, id: BundleId, reference: &Ref) -> bool {
        let is_alias = |named: &SymbolId| self.patched.bundles.get(id).owner != Some(*named);
        let named = reference.named.filter(is_alias);
        named.is_some_and(|named| self.is_open(named)) && self.twins.orig(id).is_some()
    }

    /// Whether what a symbol of the patched object means is found where the program runs.
    fn is_open(&self, id: SymbolId) -> bool {
        let symbol = self.patched.object.symbol(id);
        !symbol.is_local() && self.is_interposed(symbol.name())
    }

    fn is_interposed(&self, name: &str) -> bool {
        match self.flavour {
            Flavour::Process { interposed } => interposed.contains(name),
            Flavour::Kernel => false,
        }
    }

    /// How to reach a symbol that the original object defines.
    fn orig_symbol(&self, id: SymbolId) -> Result<Reach, Refusal> {
        let symbol = self.orig.object.symbol(id);
        if !symbol.is_local() {
            return self.global(symbol.name(), false);
        }
        let found = self.target_symbol(id)?;
        Ok(Reach::Klp(self.klp(&found)))
    }

    /// The target's symbol for one that the original object defines.
    pub fn target_symbol(&self, id: SymbolId) -> Result<TargetSymbol<'r>, Refusal> {
        let symbol = self.orig.object.symbol(id);
        if !symbol.is_local() {
            return self
                .defined(symbol.name())
                .ok_or_else(|| self.missing(symbol.name()));
        }
        if let Some(position) = self.places.get(&(id.0 as usize)) {
            let mut there = self.symbols.at(*position);
            let same_name = |found: &TargetSymbol<'_>| {
                let stem = |name| canonical(name, self.orig.object.compiler);
                found.name == symbol.name() || stem(found.name) == stem(symbol.name())
            };
            return there
                .find(same_name)
                .ok_or_else(|| self.missing(symbol.name()));
        }
        if let Some(file) = self.files.of(id) {
            return self
                .symbols
                .local_in(file, symbol.name())
                .ok_or_else(|| self.missing(symbol.name()));
        }
        let is_kind = |found: &TargetSymbol<'_>| found.kind.is_none_or(|kind| kind == symbol.kind);
        let mut found = self
            .symbols
            .lookup(symbol.name())
            .filter(|found| !found.global)
            .filter(is_kind);
        match (found.next(), found.next()) {
            (Some(only), None) => Ok(only),
            (None, _) => Err(self.missing(symbol.name())),
            _ => Err(Refusal::new(
                RefusalCode::Unresolved,
                symbol.name(),
                format!(
                    "{} has {} symbols of this name and none can be told to be the one of this source file",
                    self.object,
                    self.symbols.lookup(symbol.name()).len()
                ),
            )),
        }
    }

    /// How to reach a global symbol by name.
    pub fn global(&self, name: &str, weak: bool) -> Result<Reach, Refusal> {
        if let Flavour::Process { interposed } = self.flavour {
            let own = self.defined(name).filter(|_| !interposed.contains(name));
            return Ok(match own {
                Some(found) => Reach::Klp(self.klp(&found)),
                None => Reach::Export {
                    name: name.to_owned(),
                    namespace: String::new(),
                    weak,
                },
            });
        }
        // A module's own definition goes before an export of the same name.
        if let (false, Some(found)) = (self.object.is_vmlinux(), self.symbols.global(name)) {
            return Ok(Reach::Klp(self.klp(&found)));
        }
        match self.exports.get(name) {
            // Exported to modules of certain names alone (EXPORT_SYMBOL_FOR_MODULES, since Linux 6.16): the patch has
            // another.
            Some(export) if export.owner.is_vmlinux() && is_for_modules(&export.namespace) => {
                Ok(self.klp_export(name, &export.owner))
            }
            Some(export) if export.owner.is_vmlinux() && self.is_call_without_site(name) => {
                Ok(self.klp_export(name, &export.owner))
            }
            Some(export) if export.owner.is_vmlinux() => Ok(Reach::Export {
                name: name.to_owned(),
                namespace: export.namespace.clone(),
                weak,
            }),
            Some(export) if export.owner == *self.object => {
                Ok(self.klp_export(name, &export.owner))
            }
            Some(export) => self.exported_by_module(name, &export.owner),
            None => Ok(match self.symbols.global(name) {
                Some(found) => Reach::Klp(self.klp(&found)),
                None => Reach::Elsewhere(name.to_owned()),
            }),
        }
    }

    /// Whether a name is a static call's trampoline, and objtool has yet to list its calls. It would list those of the
    /// patch with the trampoline for a key, which the kernel takes only where the key is not exported
    /// (`static_call_lookup_key`, kernel/static_call_inline.c). By a name that it does not know it leaves them as they are:
    /// calls of the trampoline, which is always up to date.
    fn is_call_without_site(&self, name: &str) -> bool {
        const TRAMPOLINE: &str = "__SCT__";
        let has_sites = || {
            let mut sections = self.patched.object.sections();
            sections.any(|(_, section)| section.name() == ".static_call_sites")
        };
        name.starts_with(TRAMPOLINE) && !*self.has_sites.get_or_init(has_sites)
    }

    fn klp_export(&self, name: &str, owner: &ObjName) -> Reach {
        let there = (owner == self.object).then(|| self.symbols.global(name));
        Reach::Klp(KlpSymName {
            object: owner.clone(),
            symbol: name.to_owned(),
            sympos: there
                .flatten()
                .map_or(Sympos::UNIQUE, |found| Sympos(self.symbols.sympos(&found))),
        })
    }

    /// What another module exports can be used only where that module is sure to be there: where the original depends
    /// on it already.
    fn exported_by_module(&self, name: &str, owner: &ObjName) -> Result<Reach, Refusal> {
        let imported = || {
            let symbols = self.orig.object.symbols();
            let undefined = symbols.filter(|(_, symbol)| symbol.place == Place::Undefined);
            let exports = undefined.filter_map(|(_, symbol)| self.exports.get(symbol.name()));
            exports.map(|export| export.owner.clone()).collect()
        };
        if !self.imported.get_or_init(imported).contains(owner) {
            let message = format!(
                "it is exported by module {owner}, on which {} does not depend: nothing makes sure that {owner} is loaded when the patched code runs",
                self.object
            );
            return Err(Refusal::new(RefusalCode::Unresolved, name, message));
        }
        Ok(Reach::Klp(KlpSymName {
            object: owner.clone(),
            symbol: name.to_owned(),
            sympos: Sympos::UNIQUE,
        }))
    }

    /// Whether the target defines a global symbol of this name.
    pub fn target_has(&self, name: &str) -> bool {
        self.defined(name).is_some()
    }

    /// The target's symbol that other files of it mean by a name. In a program the linker has made the hidden ones local.
    fn defined(&self, name: &str) -> Option<TargetSymbol<'r>> {
        let hidden = || self.symbols.made_local(name);
        let global = self.symbols.global(name);
        global.or_else(|| self.flavour.is_process().then(hidden).flatten())
    }

    /// How to reach what the patched object does not define.
    pub fn undefined(&self, id: SymbolId) -> Result<Reach, Refusal> {
        let symbol = self.patched.object.symbol(id);
        self.global(symbol.name(), symbol.bind == object::elf::STB_WEAK.0)
    }

    /// Where a key lives.
    pub fn key_home(&self, target: &Target, comparison: &Comparison) -> KeyHome {
        let name = match target {
            Target::Symbol { id, .. } => self.patched.object.symbol(*id).name(),
            Target::Bundle { id, .. }
                if comparison.is_same(*id)
                    && !self.patched.bundles.get(*id).kind.is_by_content() =>
            {
                if !self.object.is_vmlinux() {
                    return KeyHome::Module {
                        key: self.patched.name(*id).to_owned(),
                        module: self.object.clone(),
                    };
                }
                return KeyHome::Reachable;
            }
            _ => return KeyHome::Reachable,
        };
        let exporter = self
            .exports
            .get(name)
            .map(|export| &export.owner)
            .filter(|owner| !owner.is_vmlinux());
        // What a module neither imports from the kernel nor defines in this file is its own, of another file.
        let own =
            (!self.object.is_vmlinux() && self.exports.get(name).is_none()).then_some(self.object);
        match exporter.or(own) {
            Some(module) => KeyHome::Module {
                key: name.to_owned(),
                module: module.clone(),
            },
            None => KeyHome::Reachable,
        }
    }

    fn klp(&self, found: &TargetSymbol<'_>) -> KlpSymName {
        KlpSymName {
            object: self.object.clone(),
            symbol: found.name.to_owned(),
            sympos: Sympos(self.symbols.sympos(found)),
        }
    }

    fn missing(&self, name: &str) -> Refusal {
        Refusal::new(
            RefusalCode::Unresolved,
            name,
            format!(
                "{} has no such symbol: is this the source, configuration and compiler of that {}?",
                self.object,
                self.flavour.noun()
            ),
        )
    }
}

fn is_for_modules(namespace: &str) -> bool {
    namespace.starts_with("module:")
}

/// The original's source files as the target knows them, each looked for when a symbol of it is asked for. An object
/// linked from several has as many.
struct TargetFiles<'r, 'd> {
    object: &'r Object<'d>,
    symbols: &'r SymbolTable,
    sources: SourceFiles<'d>,
    found: RefCell<BTreeMap<FileIndex, Option<FileId>>>,
}

impl<'r, 'd> TargetFiles<'r, 'd> {
    fn new(object: &'r Object<'d>, symbols: &'r SymbolTable) -> Self {
        Self {
            object,
            symbols,
            sources: SourceFiles::read(object),
            found: RefCell::default(),
        }
    }

    /// The file that a local symbol comes from.
    fn of(&self, symbol: SymbolId) -> Option<FileId> {
        let file = self.sources.of(symbol)?;
        let mut found = self.found.borrow_mut();
        *found.entry(file).or_insert_with(|| self.find(file))
    }

    fn find(&self, file: FileIndex) -> Option<FileId> {
        let ids = self.sources.symbols(file, self.object.symbol_count());
        let symbols = ids.map(|id| self.object.symbol(id));
        let locals = symbols.filter_map(|symbol| {
            let name = symbol.name();
            let is_named = symbol.is_local()
                && !symbol.is_section()
                && matches!(symbol.place, Place::Section(_))
                && !name.starts_with('.');
            is_named.then_some(name)
        });
        self.symbols.file_with(self.sources.name(file), locals)
    }
}

//! The types of both objects, unit by unit, and what the functions of the patch use of them.
//!
//! An object has one unit, or several where a linker put objects together: then a name means something in its unit
//! alone, so units are paired by their source file first.

use crate::both::both;
use crate::bundle::{BundleId, Kind};
use crate::compare::Comparer;
use crate::dwarf::line::SourcePlace;
use crate::dwarf::types::{TypeId, Types};
use crate::dwarf::{DebugInfo, Reader};
use crate::include::Selection;
use crate::reference::{Target, View};
use std::collections::{BTreeMap, BTreeSet};

/// A compilation unit with its table of types.
pub struct Unit<'v> {
    info: &'v DebugInfo<'v>,
    unit: gimli::Unit<Reader<'v>>,
    /// Its types.
    pub types: Types<'v>,
}

/// A unit before and after.
pub struct Pair<'v> {
    /// Before.
    pub orig: Unit<'v>,
    /// After.
    pub patched: Unit<'v>,
    /// The functions of the patch that are in it, with what they use, by bundle.
    pub functions: Vec<Function>,
    /// The entries of the patched unit that these functions can reach, through members, pointers and parameters, each
    /// with the first function that does.
    pub reached: BTreeMap<TypeId, BundleId>,
}

/// A function of the patch.
#[derive(Debug)]
pub struct Function {
    /// Its bundle in the patched object.
    pub bundle: BundleId,
    /// Its entry in the patched unit.
    pub entry: TypeId,
    /// Its twin's entry in the original's unit.
    pub before: Option<TypeId>,
    /// The entries of the patched unit that it names: types, variables, functions that it calls.
    pub uses: Vec<TypeId>,
}

/// The pairs of units that functions of the patch are in.
pub fn pairs<'v>(
    comparer: &Comparer<'_, '_>,
    selection: &Selection,
    orig: &'v DebugInfo<'v>,
    patched: &'v DebugInfo<'v>,
) -> Vec<Pair<'v>> {
    let view = comparer.patched;
    let functions: Vec<BundleId> = selection
        .bundles
        .keys()
        .copied()
        .filter(|id| {
            let bundle = view.bundles.get(*id);
            bundle.kind == Kind::Function && bundle.parent.is_none()
        })
        .collect();
    if functions.is_empty() {
        return Vec::new();
    }
    let (before, after) = both(|| units(orig), || units(patched));
    let (mut before, lone) = (before, after.len() == 1);
    let mut pairs = Vec::new();
    for patched in after {
        let found = functions
            .iter()
            .filter_map(|id| patched.function(view, *id))
            .collect::<Vec<_>>();
        let twin = before
            .iter()
            .position(|unit| unit.name() == patched.name())
            .or((lone && before.len() == 1).then_some(0));
        let (Some(twin), false) = (twin, found.is_empty()) else {
            continue;
        };
        let mut pair = Pair {
            orig: before.swap_remove(twin),
            patched,
            functions: found,
            reached: BTreeMap::new(),
        };
        for function in &mut pair.functions {
            let twin = comparer.twins.orig(function.bundle);
            function.before = twin.and_then(|twin| pair.orig.entry(comparer.orig, twin));
        }
        pair.reached = reached(&pair.patched.types, &pair.functions);
        pairs.push(pair);
    }
    pairs
}

/// Reads all units; one that cannot be read is left out.
fn units<'v>(info: &'v DebugInfo<'v>) -> Vec<Unit<'v>> {
    let mut headers = info.dwarf().units();
    let mut units = Vec::new();
    while let Ok(Some(header)) = headers.next() {
        let Ok(unit) = info.dwarf().unit(header) else {
            continue;
        };
        if let Ok(types) = Types::read(info, &unit) {
            units.push(Unit { info, unit, types });
        }
    }
    units
}

impl<'v> Unit<'v> {
    fn name(&self) -> &'v [u8] {
        self.unit
            .name
            .as_ref()
            .map_or(&[], |name| name.inner().slice())
    }

    /// Where an entry is declared.
    pub fn source(&self, id: TypeId) -> Option<SourcePlace> {
        let (file, line) = self.types.get(id).line;
        let (file, line) = match (line, self.types.origin(id)) {
            (0, origin) => self.types.get(origin).line,
            _ => (file, line),
        };
        self.info.declared_at(&self.unit, u64::from(file), line)
    }

    /// The entry of a function or variable.
    pub fn entry(&self, view: &View<'_>, id: BundleId) -> Option<TypeId> {
        let bundle = view.bundles.get(id);
        let mut symbols = view.bundles.symbols(id).iter();
        symbols.find_map(|symbol| {
            let value = view.object.symbol(*symbol).value;
            self.types.at(self.info.address(bundle.section, value))
        })
    }

    /// What a function's code uses: the types of its body, the variables and functions that it refers to.
    fn function(&self, view: &View<'_>, id: BundleId) -> Option<Function> {
        let entry = self.entry(view, id)?;
        let mut uses: BTreeSet<TypeId> = BTreeSet::from([entry]);
        if let Ok(types) = self.types.used_by(&self.unit, entry) {
            uses.extend(types);
        }
        for reference in view.refs_of(id) {
            let name = match reference.target {
                Target::Bundle { id, .. } => view.name(id),
                Target::Symbol { id, .. } => view.object.symbol(id).name(),
                Target::Section { .. } => continue,
            };
            uses.extend(self.types.variable(name).or(self.types.function(name)));
        }
        Some(Function {
            bundle: id,
            entry,
            before: None,
            uses: uses.into_iter().collect(),
        })
    }
}

fn reached(types: &Types<'_>, functions: &[Function]) -> BTreeMap<TypeId, BundleId> {
    let mut reached: BTreeMap<TypeId, BundleId> = BTreeMap::new();
    for function in functions {
        let mut waiting = function.uses.clone();
        while let Some(id) = waiting.pop() {
            if reached.contains_key(&id) {
                continue;
            }
            reached.insert(id, function.bundle);
            waiting.extend(types.target(id));
            // The children of an aggregate or a function are its members, parameters and own types.
            waiting.extend(types.children(id));
        }
    }
    reached
}

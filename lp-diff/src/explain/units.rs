//! The types of both objects, unit by unit, and what the functions of the patch use of them.
//!
//! An object has one unit, or several where a linker put objects together: then a name means something in its unit
//! alone, so units are paired by their source file first.

use crate::bundle::{BundleId, Kind};
use crate::dwarf::line::SourcePlace;
use crate::dwarf::types::{TypeId, Types};
use crate::dwarf::{DebugInfo, Reader};
use crate::include::Selection;
use crate::reference::{Target, View};
use std::collections::{BTreeMap, BTreeSet};

/// A compilation unit with its table of types.
pub struct Unit<'i, 'o> {
    info: &'i DebugInfo<'o>,
    unit: gimli::Unit<Reader<'o>>,
    /// Its types.
    pub types: Types<'o>,
}

/// A unit before and after.
pub struct Pair<'i, 'o, 'n, 'p> {
    /// Before.
    pub orig: Unit<'i, 'o>,
    /// After.
    pub patched: Unit<'n, 'p>,
    /// The functions of the patch that are in it, with what they use.
    pub functions: Vec<Function>,
}

/// A function of the patch.
#[derive(Debug)]
pub struct Function {
    /// Its bundle in the patched object.
    pub bundle: BundleId,
    /// Its entry in the patched unit.
    pub entry: TypeId,
    /// The entries of the patched unit that it names: types, variables, functions that it calls.
    pub uses: Vec<TypeId>,
}

/// The pairs of units that functions of the patch are in.
pub fn pairs<'i, 'o, 'n, 'p>(
    view: &View<'_>,
    selection: &Selection,
    orig: &'i DebugInfo<'o>,
    patched: &'n DebugInfo<'p>,
) -> Vec<Pair<'i, 'o, 'n, 'p>> {
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
    let (before, after) = rayon::join(|| units(orig), || units(patched));
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
        if let (Some(twin), false) = (twin, found.is_empty()) {
            pairs.push(Pair {
                orig: before.swap_remove(twin),
                patched,
                functions: found,
            });
        }
    }
    pairs
}

/// Reads all units; one that cannot be read is left out.
fn units<'i, 'o>(info: &'i DebugInfo<'o>) -> Vec<Unit<'i, 'o>> {
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

impl<'o> Unit<'_, 'o> {
    fn name(&self) -> &'o [u8] {
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

    /// What a function's code uses: the types of its body, the variables and functions that it refers to.
    fn function(&self, view: &View<'_>, id: BundleId) -> Option<Function> {
        let bundle = view.bundles.get(id);
        let entry_at = |offset| {
            self.types
                .function_at(self.info.address(bundle.section, offset))
        };
        let entry = view
            .bundles
            .symbols(id)
            .iter()
            .find_map(|symbol| entry_at(view.object.symbol(*symbol).value))?;
        let mut uses: BTreeSet<TypeId> = BTreeSet::from([entry]);
        if let Ok(types) = self.types.used_by(&self.unit, entry) {
            uses.extend(types);
        }
        for reference in view.refs_of(id) {
            let name = match reference.target {
                Target::Bundle { id, .. } => view.name(id),
                Target::Symbol { id, .. } => view.object.symbol(id).name,
                Target::Section { .. } => continue,
            };
            uses.extend(self.types.variable(name).or(self.types.function(name)));
        }
        Some(Function {
            bundle: id,
            entry,
            uses: uses.into_iter().collect(),
        })
    }
}

impl Pair<'_, '_, '_, '_> {
    /// The named types that the functions of the patch can reach, through members, pointers and parameters, each with
    /// the first function that does.
    pub fn reached(&self) -> BTreeMap<TypeId, BundleId> {
        let types = &self.patched.types;
        let mut reached: BTreeMap<TypeId, BundleId> = BTreeMap::new();
        for function in &self.functions {
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
}

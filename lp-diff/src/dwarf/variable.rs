//! Static variables by place: their names in the source and who declares them.
//!
//! The symbol of a static local is its name and a number that the compiler chose. Its entry in the debug information
//! says which function declares it, also where that function is inlined into others or cloned. The tempting wrong way
//! is to take the function whose code refers to it.

use super::DebugInfo;
use super::line::SourcePlace;
use super::scope::{EntryId, Kind, Scopes};
use crate::object::SectionId;
use std::collections::BTreeMap;

/// A variable with a fixed place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variable {
    /// Its name in the source, without the compiler's number.
    pub name: String,
    /// Where it is declared.
    pub declared: Option<SourcePlace>,
    /// Who declares it.
    pub scope: Scope,
    /// Its type as far as that has a name: `*` for each pointer, `[]` for each array.
    pub type_name: String,
    /// Its position, from 0, among the variables of this name that this function declares in its blocks and that have
    /// a place in this object, in the order of the source.
    pub nth: u32,
}

/// Who declares a variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// Nobody but the file.
    File,
    /// A function.
    Function {
        /// Its name in the source.
        name: String,
        /// Where it is declared: a header's and a file's own can have one name.
        declared: Option<SourcePlace>,
    },
    /// A function without a name: clang 19 writes one where the function is inlined everywhere.
    Nameless,
}

/// The variables of an object by place; `None` where the debug information names several for one place.
#[derive(Debug)]
pub(super) struct Variables(BTreeMap<Place, Option<Variable>>);

type Place = (SectionId, u64);

impl Variables {
    pub(super) fn read<'o>(debug: &DebugInfo<'o>, scopes: &Scopes<'o>) -> Self {
        let mut places: BTreeMap<Place, Option<EntryId>> = BTreeMap::new();
        for (id, node) in (0u32..).zip(&scopes.nodes) {
            let place = (node.kind == Kind::Variable)
                .then(|| debug.place(scopes.address(id)?))
                .flatten();
            let Some(place) = place else { continue };
            let origin = scopes.origin(id);
            places
                .entry(place)
                .and_modify(|known| *known = known.filter(|known| *known == origin))
                .or_insert(Some(origin));
        }
        let mut variables = BTreeMap::new();
        let mut same: BTreeMap<(EntryId, String), Vec<(EntryId, Place)>> = BTreeMap::new();
        for (place, origin) in places {
            let variable = origin.and_then(|origin| variable(debug, scopes, origin));
            if let (Some(origin), Some((variable, Some(function)))) = (origin, &variable) {
                same.entry((*function, variable.name.clone()))
                    .or_default()
                    .push((origin, place));
            }
            variables.insert(place, variable.map(|(variable, _)| variable));
        }
        for list in same.values_mut() {
            list.sort_unstable();
            for (nth, (_, place)) in (0..).zip(&*list) {
                if let Some(Some(variable)) = variables.get_mut(place) {
                    variable.nth = nth;
                }
            }
        }
        Self(variables)
    }
}

/// A variable and the entry of the function that declares it.
fn variable<'o>(
    debug: &DebugInfo<'o>,
    scopes: &Scopes<'o>,
    origin: EntryId,
) -> Option<(Variable, Option<EntryId>)> {
    let above = |id: &u32| scopes.nodes[*id as usize].parent;
    let node = scopes.node(origin);
    let function = node
        .and_then(|node| above(&node))
        .and_then(|parent| {
            std::iter::successors(Some(parent), above)
                .find(|id| scopes.nodes[*id as usize].kind != Kind::Block)
        })
        .map(|id| scopes.origin(id));
    let scope = match function {
        None => Scope::File,
        Some(function) => scopes
            .name(debug, function)
            .map_or(Scope::Nameless, |name| Scope::Function {
                name,
                declared: scopes.declared(debug, function),
            }),
    };
    let variable = Variable {
        name: scopes.name(debug, origin)?,
        declared: scopes.declared(debug, origin),
        scope,
        type_name: scopes.type_name(debug, origin),
        nth: 0,
    };
    Some((variable, function))
}

impl DebugInfo<'_> {
    /// The variable that begins at an offset of a section; `None` where there is none, or where the debug information
    /// names several.
    pub fn variable_at(&self, section: SectionId, offset: u64) -> Option<&Variable> {
        self.variables().0.get(&(section, offset))?.as_ref()
    }
}

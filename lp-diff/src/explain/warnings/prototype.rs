//! Functions that others call by an agreement that the patch changes: other parameters, another return type.
//!
//! A function that nobody but this file calls directly is no matter: whoever passes something else changed as well. One
//! that other files see, or whose address is in a table of operations, is called by code that is not patched.

use super::{Subject, Warning, WarningCode};
use crate::bundle::{BundleId, Kind};
use crate::dwarf::types::{TypeId, Types};
use crate::reference::{Target, View};
use gimli::constants as dw;
use std::collections::BTreeSet;

pub(super) fn find(subject: &Subject<'_, '_, '_>, found: &mut Vec<Warning>) {
    let view = subject.comparer.patched;
    let handed_on = handed_on(view);
    for (id, _) in subject.changed() {
        let owner = view.bundles.get(id).owner;
        let global = owner.is_some_and(|owner| !view.object.symbol(owner).is_local());
        let Some((pair, function)) = subject.function(id) else {
            continue;
        };
        let Some(before) = function
            .before
            .filter(|_| global || handed_on.contains(&id))
        else {
            continue;
        };
        let (old, new) = (&pair.orig.types, &pair.patched.types);
        let (one, other) = (
            Prototype::of(old, before),
            Prototype::of(new, function.entry),
        );
        if one.parameters != other.parameters {
            found.push(subject.warning(WarningCode::PrototypeChange, id, format!("its parameters were ({}) and are ({}), but code that is not part of the patch can call it and passes the old ones. Keep its parameters and let it call a new function", one.shown, other.shown)));
        }
        if one.returns != other.returns {
            found.push(subject.warning(WarningCode::ReturnTypeChange, id, format!("it returned {} and returns {}, but code that is not part of the patch can call it and expects the old. Keep its type and let it call a new function", one.returns_shown, other.returns_shown)));
        }
    }
}

/// How a function is called: as the machine has it, and as the source says it.
struct Prototype {
    parameters: Vec<String>,
    shown: String,
    returns: String,
    returns_shown: String,
}

impl Prototype {
    fn of(types: &Types<'_>, function: TypeId) -> Self {
        // The entry that was declared has all parameters; a compiled copy may lack some.
        let function = types.origin(function);
        let targets: Vec<Option<TypeId>> = types
            .children(function)
            .filter(|child| types.get(*child).tag == dw::DW_TAG_formal_parameter)
            .map(|parameter| types.target(parameter))
            .collect();
        let shown: Vec<String> = targets.iter().map(|id| types.spell(*id)).collect();
        let returns = types.target(function);
        Self {
            parameters: targets.iter().map(|id| types.spell_bare(*id)).collect(),
            shown: if shown.is_empty() {
                "void".to_owned()
            } else {
                shown.join(", ")
            },
            returns: types.spell_bare(returns),
            returns_shown: types.spell(returns),
        }
    }
}

/// The functions whose address is in data: tables of operations, handlers.
fn handed_on(view: &View<'_>) -> BTreeSet<BundleId> {
    let mut found = BTreeSet::new();
    for (id, _) in view
        .bundles
        .iter()
        .filter(|(_, bundle)| matches!(bundle.kind, Kind::Data | Kind::Anonymous))
    {
        for reference in view.refs_of(id) {
            if let Target::Bundle { id, offset: 0 } = reference.target {
                found.insert(id);
            }
        }
    }
    found
}

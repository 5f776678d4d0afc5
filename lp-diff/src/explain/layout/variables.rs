//! Variables of the running system that the patch takes for another type.
//!
//! `static struct a *head` that became a `struct b *` has the same size, and its code reads each object of the running
//! system wrongly: it is a member of the kernel's data as any other. What the object only declares counts, too: the
//! definition need not be in a file that changed. The tempting wrong way is to trust that a variable of the same size and
//! initial value is the same one.

use super::same::{Likely, Likeness};
use super::{LayoutChange, MemberChange, MemberPlace};
use crate::bundle::{BundleId, Kind};
use crate::compare::Comparer;
use crate::dwarf::types::{TypeId, Types};
use crate::explain::units::Pair;
use crate::include::Selection;
use crate::reference::Target;
use std::collections::{BTreeMap, BTreeSet};

/// Entries of a variable in both units.
type Entries = (TypeId, TypeId);

/// The variables that functions of the patch use and that have another type, each with the first such function.
pub(super) fn changes(
    comparer: &Comparer<'_, '_>,
    selection: &Selection,
    pair: &Pair<'_>,
    allowed: &BTreeSet<String>,
) -> Vec<LayoutChange> {
    let mut found = BTreeMap::new();
    for function in &pair.functions {
        for reference in comparer.patched.refs_of(function.bundle) {
            let variable = match reference.target {
                Target::Bundle { id, .. } if selection.bundles.contains_key(&id) => None,
                Target::Bundle { id, .. } => defined(comparer, pair, id),
                Target::Symbol { id, .. } => {
                    let name = comparer.patched.object.symbol(id).name();
                    let types = (&pair.orig.types, &pair.patched.types);
                    types.0.variable(name).zip(types.1.variable(name))
                }
                Target::Section { .. } => None,
            };
            if let Some((before, after)) = variable {
                found.entry(after).or_insert((before, function.bundle));
            }
        }
    }
    let likely = Likely::new(&pair.orig.types, &pair.patched.types);
    let change = |(after, (before, function))| {
        let name = comparer.patched.name(function);
        change(&likely, pair, (before, after), name, allowed)
    };
    found.into_iter().filter_map(change).collect()
}

fn defined(comparer: &Comparer<'_, '_>, pair: &Pair<'_>, id: BundleId) -> Option<Entries> {
    let is_data = comparer.patched.bundles.get(id).kind == Kind::Data;
    let twin = comparer.twins.orig(id).filter(|_| is_data)?;
    let before = pair.orig.entry(comparer.orig, twin)?;
    Some((before, pair.patched.entry(comparer.patched, id)?))
}

fn change(
    likely: &Likely<'_, '_, '_>,
    pair: &Pair<'_>,
    (before, after): Entries,
    function: &str,
    allowed: &BTreeSet<String>,
) -> Option<LayoutChange> {
    let (orig, patched) = (&pair.orig.types, &pair.patched.types);
    let (old, new) = (orig.target(before), patched.target(after));
    // Another size is refused where the variable is defined; one that is not told is a declaration of any number.
    let size = orig.size_of(old).filter(|size| *size > 0)?;
    let is_other =
        patched.size_of(new) == Some(size) && likely.likeness(old, new) == Likeness::Other;
    let name = patched.name(after);
    // A typedef can be called alike on both sides.
    let is_alike = orig.spell(old) == patched.spell(new);
    let spell = |types: &Types<'_>, id| match is_alike {
        true => types.spell_bare(id),
        false => types.spell(id),
    };
    let place = |types: &Types<'_>, id| MemberPlace {
        offset: 0,
        size: Some(size),
        bits: None,
        kind: spell(types, id),
    };
    is_other.then(|| LayoutChange {
        name: format!("variable {name}"),
        source: pair.patched.source(after),
        size: (size, size),
        members: vec![MemberChange {
            member: name.to_owned(),
            before: Some(place(orig, old)),
            after: Some(place(patched, new)),
        }],
        holders: Vec::new(),
        used_by: function.to_owned(),
        allowed: allowed.contains(name),
    })
}

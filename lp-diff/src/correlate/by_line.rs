//! Correlates what a macro names by the line it stands in: `__initcb_18` of `CAT(__initcb_, __LINE__)`.
//!
//! Each line that is added before it gives it another name, perhaps one that another had. Whether a number is a line, the debug information
//! says; it is only asked where the names of both sides are not the same. Then they are the same things in the same order, if there are
//! as many; else those at the beginning and the end that say the same. The tempting wrong way is to leave them to their
//! names: a variable would be taken for its neighbour.

use super::Twins;
use super::by_name::is_state;
use super::scope::Scope;
use super::static_local::Side;
use crate::bundle::{BundleId, Kind};
use crate::reference::Target;
use crate::special::table::is_init;
use std::collections::{BTreeMap, BTreeSet};

/// What has one name but for the line: its kind, whether it is freed after start, its scope, its section and the name.
type Key<'v> = (Kind, bool, Scope, &'v str, &'v str);

/// Pairs what is named by lines; what is so on each side.
pub(super) fn correlate(
    orig: Side<'_, '_, '_>,
    patched: Side<'_, '_, '_>,
    twins: &mut Twins,
) -> [BTreeSet<BundleId>; 2] {
    let (mut theirs, ours) = (numbered(orig), numbered(patched));
    let mut found = [BTreeSet::new(), BTreeSet::new()];
    for (key, ours) in ours {
        let theirs = theirs.remove(&key).unwrap_or_default();
        let same_names = theirs.keys().eq(ours.keys());
        if same_names || !by_lines(orig, &theirs) || !by_lines(patched, &ours) {
            continue;
        }
        let ids = |of: &BTreeMap<u32, BundleId>| of.values().copied().collect::<Vec<_>>();
        let (theirs, ours) = (ids(&theirs), ids(&ours));
        for (their, our) in pairs((orig, &theirs), (patched, &ours)) {
            twins.pair(their, our);
        }
        if ours.len() > 1 && ours.iter().any(|id| is_state(patched.view, *id)) {
            twins.ambiguous.extend(&ours);
        }
        found[0].extend(theirs);
        found[1].extend(ours);
    }
    found
}

/// Local symbols that end in a number, by the rest of their names and by number.
fn numbered<'v>(side: Side<'_, 'v, '_>) -> BTreeMap<Key<'v>, BTreeMap<u32, BundleId>> {
    let mut found: BTreeMap<Key<'v>, BTreeMap<u32, BundleId>> = BTreeMap::new();
    for (id, bundle) in side.view.bundles.iter() {
        let Some(owner) = bundle.owner.filter(|_| !bundle.kind.is_by_content()) else {
            continue;
        };
        let symbol = side.view.object.symbol(owner);
        let stem = stem(symbol.name());
        let number = symbol.name()[stem.len()..].parse();
        let section = side.view.section_name(id);
        if let (true, false, Ok(line)) = (symbol.is_local(), stem.is_empty(), number) {
            // With a section for each datum that has the name in it, too.
            let section = section.strip_suffix(symbol.name()).unwrap_or(section);
            let scope = side.scopes.scope(id);
            let key = (bundle.kind, is_init(section), scope, section, stem);
            found.entry(key).or_default().insert(line, id);
        }
    }
    found
}

/// The name without the number at its end. One that a compiler chose stands behind a dot.
fn stem(name: &str) -> &str {
    let stem = name.trim_end_matches(|c: char| c.is_ascii_digit());
    if name.contains('.') { "" } else { stem }
}

/// Whether all of them are declared in the lines that their numbers say.
fn by_lines(side: Side<'_, '_, '_>, numbered: &BTreeMap<u32, BundleId>) -> bool {
    let declared = |id: BundleId| {
        let bundle = side.view.bundles.get(id);
        let owner = side.view.object.symbol(bundle.owner?);
        let debug = side.debug.get()?;
        let (section, at) = (bundle.section, owner.value);
        let place = match bundle.kind {
            Kind::Function => debug.function_at(section, at)?.declared,
            _ => debug.variable_at(section, at)?.declared.clone(),
        };
        place.map(|place| place.line)
    };
    numbered
        .iter()
        .all(|(line, id)| declared(*id) == Some(*line))
}

/// Which are the same.
fn pairs(
    (orig, theirs): (Side<'_, '_, '_>, &[BundleId]),
    (patched, ours): (Side<'_, '_, '_>, &[BundleId]),
) -> Vec<(BundleId, BundleId)> {
    let both = || theirs.iter().copied().zip(ours.iter().copied());
    if theirs.len() == ours.len() {
        return both().collect();
    }
    let same = |(their, our): &(BundleId, BundleId)| {
        says(orig, *their, DEPTH) == says(patched, *our, DEPTH)
    };
    let first: Vec<_> = both().take_while(same).collect();
    let rest = theirs.len().min(ours.len()) - first.len();
    let backwards = theirs.iter().rev().zip(ours.iter().rev());
    let last = backwards.map(|(their, our)| (*their, *our)).take(rest);
    first.into_iter().chain(last.take_while(same)).collect()
}

/// What a bundle holds and refers to, lines left out.
#[derive(PartialEq, Eq)]
struct Says<'v> {
    bytes: &'v [u8],
    refs: Vec<Referred<'v>>,
}

#[derive(PartialEq, Eq)]
struct Referred<'v> {
    from: (u64, u32),
    name: &'v str,
    offset: i64,
    /// What that says, where it is named by its line as well.
    says: Option<Box<Says<'v>>>,
}

/// So far it is asked what is referred to.
const DEPTH: u32 = 2;

fn says<'v>(side: Side<'_, 'v, '_>, id: BundleId, depth: u32) -> Says<'v> {
    let view = side.view;
    let start = view.bundles.get(id).start;
    let refs = view.refs_of(id).map(|reference| {
        let mut referred = Referred {
            from: (reference.offset - start, reference.kind),
            name: "",
            offset: 0,
            says: None,
        };
        match reference.target {
            Target::Bundle { id, offset } => {
                let name = view.name(id);
                (referred.name, referred.offset) = (stem(name), offset);
                let goes_on = referred.name.len() < name.len() && depth > 0;
                referred.says = goes_on.then(|| Box::new(says(side, id, depth - 1)));
            }
            Target::Symbol { id, offset } => {
                (referred.name, referred.offset) = (view.object.symbol(id).name(), offset);
            }
            Target::Section { .. } => {}
        }
        referred
    });
    Says {
        bytes: view.bytes_of(id),
        refs: refs.collect(),
    }
}

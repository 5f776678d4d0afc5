//! Tells static locals of one name in one function apart: by what they hold, and by what is done with them.
//!
//! What is done with one is written in the lines from its declaration to its last use: how far below each use is, and
//! what else these lines refer to, wherever the compiler put their code. If a function declares as many as before, each
//! kind of evidence counts that just one on each side has; if not, all kinds together, for a new one may look much like an
//! old one. Where they do not agree, or leave more than one in doubt, all are: what is in doubt is state that the patch
//! could take for other state. The tempting wrong ways are the order of the source, and what stands nearby in the code.

use super::Side;
use super::used::place;
use crate::bundle::{BundleId, Kind};
use crate::correlate::by_name::{Content, content};
use crate::dwarf::line::SourcePlace;
use crate::dwarf::variable::Variable;
use crate::name::canonical;
use crate::reference::{Ref, Target};
use crate::special::table::Home;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// A variable's type, its home and what it begins with.
#[derive(Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Holds<'v> {
    type_name: &'v str,
    place: (bool, bool, Home),
    content: Content<'v>,
}

/// What tells one variable from another.
#[derive(Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Evidence<'v> {
    /// What it is.
    holds: Holds<'v>,
    /// How many lines below its declaration it is used.
    lines: BTreeSet<u32>,
    /// What the lines from its declaration to its last use refer to besides.
    company: BTreeSet<Vec<u8>>,
}

impl<'v> Evidence<'v> {
    /// The evidence on these variables.
    pub(super) fn gather(
        side: Side<'_, 'v, '_>,
        wanted: HashSet<BundleId>,
    ) -> HashMap<BundleId, Self> {
        let mut found: HashMap<BundleId, Self> = HashMap::new();
        let users: Vec<BundleId> = match wanted.is_empty() {
            true => Vec::new(),
            false => users(side, &wanted),
        };
        let sites: Vec<(SourcePlace, Ref)> = users
            .into_iter()
            .flat_map(|user| sites(side, user))
            .collect();
        for id in &wanted {
            let mut evidence = Self::default();
            evidence.holds.place = place(side.view, *id);
            evidence.holds.content = content(side.view, *id);
            if let Some(variable) = variable(side, *id) {
                evidence.holds.type_name = &variable.type_name;
                evidence.read_lines(side, (*id, variable), &sites, &wanted);
            }
            found.insert(*id, evidence);
        }
        found
    }

    fn read_lines(
        &mut self,
        side: Side<'_, 'v, '_>,
        (id, variable): (BundleId, &Variable),
        sites: &[(SourcePlace, Ref)],
        wanted: &HashSet<BundleId>,
    ) {
        let Some(declared) = &variable.declared else {
            return;
        };
        let below = |place: &SourcePlace| {
            let below = place.line.checked_sub(declared.line);
            below.filter(|_| place.file == declared.file)
        };
        let uses = sites
            .iter()
            .filter(|(_, reference)| referred(reference) == Some(id));
        self.lines = uses.filter_map(|(place, _)| below(place)).collect();
        let last = self.lines.last().copied().unwrap_or_default();
        let others = sites.iter().filter(|(place, reference)| {
            let is_other = referred(reference).is_none_or(|id| !wanted.contains(&id));
            is_other && below(place).is_some_and(|below| below <= last)
        });
        self.company = others
            .map(|(_, reference)| meaning(side, reference))
            .collect();
    }
}

/// The code that uses any of these variables.
fn users(side: Side<'_, '_, '_>, wanted: &HashSet<BundleId>) -> Vec<BundleId> {
    let is_user = |id: BundleId| {
        let mut refs = side.view.refs_of(id);
        refs.any(|reference| referred(&reference).is_some_and(|id| wanted.contains(&id)))
    };
    let code = side.view.bundles.iter();
    let code = code.filter(|(_, bundle)| matches!(bundle.kind, Kind::Function | Kind::Fragment));
    code.map(|(id, _)| id).filter(|id| is_user(*id)).collect()
}

/// The references of a code with the lines that they are written in.
fn sites<'v>(side: Side<'_, 'v, '_>, user: BundleId) -> Vec<(SourcePlace, Ref)> {
    let section = side.view.bundles.get(user).section;
    let refs = side.view.refs_of(user);
    let placed = refs.filter_map(|reference| {
        let lines = side.debug.get()?.lines();
        Some((lines.at(section, reference.offset)?, reference))
    });
    placed.collect()
}

fn referred(reference: &Ref) -> Option<BundleId> {
    match reference.target {
        Target::Bundle { id, .. } => Some(id),
        _ => None,
    }
}

/// What a reference refers to, in words that both builds use.
pub(super) fn meaning(side: Side<'_, '_, '_>, reference: &Ref) -> Vec<u8> {
    let view = side.view;
    match reference.target {
        Target::Bundle { id, .. } if view.bundles.get(id).kind == Kind::String => {
            view.bytes_of(id).to_vec()
        }
        Target::Bundle { id, .. } => canonical(view.name(id), view.object.compiler)
            .into_owned()
            .into(),
        Target::Section { id, .. } => view.object.section(id).name().into(),
        Target::Symbol { id, .. } => view.object.symbol(id).name().into(),
    }
}

/// What the debug information says of a variable.
fn variable<'v>(side: Side<'_, 'v, '_>, id: BundleId) -> Option<&'v Variable> {
    let bundle = side.view.bundles.get(id);
    let start = side.view.object.symbol(bundle.owner?).value;
    side.debug.get()?.variable_at(bundle.section, start)
}

/// Variables of one name, in order, and what is known of them.
type Known<'e, 'v> = (&'e [BundleId], &'e HashMap<BundleId, Evidence<'v>>);

/// An original variable and a patched one.
type Pair = (BundleId, BundleId);

/// Which variable is which, those that are gone or new aside; `None` where that is in doubt.
pub(super) fn tell_apart(orig: Known<'_, '_>, patched: Known<'_, '_>) -> Option<Vec<Pair>> {
    let has_company = |evidence: &&Evidence<'_>| !evidence.company.is_empty();
    let all = |evidence| Some(evidence).filter(has_company);
    let mut matches = vec![unique(orig, patched, all)];
    if orig.0.len() == patched.0.len() {
        let company = |evidence| all(evidence).map(|evidence| &evidence.company);
        matches.push(unique(orig, patched, |evidence| Some(&evidence.holds)));
        matches.push(unique(orig, patched, company));
    }
    let (mut twins, mut takers) = (BTreeMap::new(), BTreeMap::new());
    for (their, our) in matches.into_iter().flatten() {
        let twin = *twins.entry(our).or_insert(their);
        let taker = *takers.entry(their).or_insert(our);
        if (twin, taker) != (their, our) {
            return None;
        }
    }
    let their_rest = rest(orig.0, &takers);
    match (&their_rest[..], &rest(patched.0, &twins)[..]) {
        ([], _) | (_, []) => {}
        // Of one each it is known if it can be one variable.
        ([their], [our]) => {
            let (before, after) = (&orig.1[their].holds, &patched.1[our].holds);
            takers.insert(*their, *our);
            twins.insert(*our, *their);
            let is_alike = before.type_name == after.type_name
                && before.place == after.place
                && before.content.0 == after.content.0;
            if !is_alike || !is_in_order((orig.0, patched.0), &takers) {
                return None;
            }
        }
        _ => return None,
    }
    Some(twins.into_iter().map(|(our, their)| (their, our)).collect())
}

/// Pairs constants of one content, of which one is as good as another, and takes them out of the lists.
pub(super) fn take_equal_constants(
    (theirs, before): (&mut Vec<BundleId>, &HashMap<BundleId, Evidence<'_>>),
    (ours, after): (&mut Vec<BundleId>, &HashMap<BundleId, Evidence<'_>>),
) -> Vec<Pair> {
    let mut pairs = Vec::new();
    ours.retain(|our| {
        let (writable, ..) = after[our].holds.place;
        let is_equal = |their: &BundleId| before[their].holds == after[our].holds;
        let found = theirs.iter().position(is_equal).filter(|_| !writable);
        pairs.extend(found.map(|at| (theirs.remove(at), *our)));
        found.is_none()
    });
    pairs
}

/// The variables that one kind of evidence shows to be the same: nothing else on either side has it.
fn unique<'e, 'v, K: Ord>(
    orig: Known<'e, 'v>,
    patched: Known<'e, 'v>,
    kind: impl Fn(&'e Evidence<'v>) -> Option<K>,
) -> Vec<Pair> {
    let lone = |(ids, known): Known<'e, 'v>| {
        let mut lone: BTreeMap<K, Option<BundleId>> = BTreeMap::new();
        for id in ids {
            if let Some(key) = kind(&known[id]) {
                lone.entry(key)
                    .and_modify(|known| *known = None)
                    .or_insert(Some(*id));
            }
        }
        lone
    };
    let theirs = lone(orig);
    let pairs = lone(patched)
        .into_iter()
        .map(|(key, our)| Some((*theirs.get(&key)?.as_ref()?, our?)));
    pairs.flatten().collect()
}

fn rest(ids: &[BundleId], known: &BTreeMap<BundleId, BundleId>) -> Vec<BundleId> {
    let unknown = ids.iter().filter(|id| !known.contains_key(id));
    unknown.copied().collect()
}

/// Whether those that are recognised stand in the order that they had.
fn is_in_order(
    (theirs, ours): (&[BundleId], &[BundleId]),
    takers: &BTreeMap<BundleId, BundleId>,
) -> bool {
    let place: BTreeMap<_, _> = ours.iter().zip(0usize..).collect();
    let taken = theirs.iter().filter_map(|id| takers.get(id));
    taken.map(|id| place.get(id)).is_sorted()
}

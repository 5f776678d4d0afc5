//! Decides for each bundle of the patched object whether it is the same as its twin.
//!
//! Two functions are the same when their instructions are, when each reference means the same thing, and when the
//! entries of special sections about them say the same: a jump label's key is nowhere but in its entry. What has no
//! name of its own (strings, constants, fragments) is compared by content wherever it is referred to. The tempting
//! wrong way is to compare symbols: equal names can be different things, and different numbers the same thing.

pub mod ignored;
mod line;
mod look;
mod reencoded;
mod sameness;

use crate::arch::Arch;
use crate::author::Ignores;
use crate::bundle::{BundleId, Kind};
use crate::callable::pointed_to;
use crate::correlate::Twins;
use crate::dwarf::LazyDebugInfo;
use crate::process::Flavour;
use crate::reference::{Ref, Target, View};
use crate::special::table::is_init;
use crate::special::{Entries, refs_of};
use reencoded::Reencoded;
use sameness::{Pair, Sameness};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::OnceLock;

/// What became of a bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// Equal to its twin.
    Same,
    /// Differs from its twin.
    Changed(Reason),
    /// Has no twin, or is a constant that the patch may hold a copy of.
    New,
}

/// The first thing found to differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// Another size.
    Size(u64, u64),
    /// Other bytes, from this offset on.
    Bytes(u64),
    /// Another reference at this offset.
    Reference(u64),
    /// Another entry in this special section.
    Entry(&'static str),
    /// Its cold part differs.
    ColdPart,
    /// Other section flags: writable, executable.
    Flags,
    /// A greater alignment, in bytes.
    Alignment(u64, u64),
}

/// So many of the original's sections of one name are tried for an unnamed table: an object has one, or a few.
const SECTIONS_OF_A_NAME: usize = 8;

/// The two objects with all that has been found out so far.
pub struct Comparer<'v, 'd> {
    /// The original.
    pub orig: &'v View<'d>,
    /// The patched object.
    pub patched: &'v View<'d>,
    /// Which is whose twin.
    pub twins: &'v Twins,
    /// The original's special entries.
    pub orig_entries: &'v Entries,
    /// The patched object's.
    pub patched_entries: &'v Entries,
    /// The original's debug information.
    pub orig_debug: &'v LazyDebugInfo<'v>,
    /// The patched object's.
    pub patched_debug: &'v LazyDebugInfo<'v>,
    /// Instruction knowledge.
    pub arch: &'v dyn Arch,
    /// What runs the code.
    pub flavour: &'v Flavour,
    /// Patched bundles that have a twin but may be copied into the patch all the same.
    replaceable: HashSet<BundleId>,
    /// Patched functions whose address is taken, once asked for.
    pointed_to: OnceLock<HashSet<BundleId>>,
    /// Functions that are written down in another way.
    reencoded: Reencoded,
    /// The cold parts of patched functions.
    cold_parts: BTreeMap<BundleId, Vec<BundleId>>,
}

/// The status of each bundle of the patched object.
#[derive(Debug)]
pub struct Comparison {
    /// Whether each has a twin; those that changed aside.
    has_twin: Vec<bool>,
    /// Those that differ from their twins, which are few.
    changed: BTreeMap<BundleId, Status>,
    /// Unnamed tables of the patched object that the original has too.
    known_tables: HashSet<BundleId>,
}

impl Comparison {
    /// The status of a bundle.
    pub fn status(&self, id: BundleId) -> &Status {
        match self.changed.get(&id) {
            Some(changed) => changed,
            None if self.has_twin[id.0 as usize] => &Status::Same,
            None => &Status::New,
        }
    }

    /// Whether it has a twin that it equals.
    pub fn is_same(&self, id: BundleId) -> bool {
        *self.status(id) == Status::Same
    }

    /// Whether an unnamed table or piece of code of the patched object differs from what the original's section of
    /// the same name has there.
    pub fn anonymous_differs(&self, id: BundleId) -> bool {
        !self.known_tables.contains(&id)
    }
}

impl<'v, 'd> Comparer<'v, 'd> {
    /// Gets two objects ready to be compared.
    pub fn new(
        (orig, orig_entries, orig_debug): (&'v View<'d>, &'v Entries, &'v LazyDebugInfo<'v>),
        (patched, patched_entries, patched_debug): (
            &'v View<'d>,
            &'v Entries,
            &'v LazyDebugInfo<'v>,
        ),
        twins: &'v Twins,
        (arch, flavour): (&'v dyn Arch, &'v Flavour),
    ) -> Self {
        let mut comparer = Self {
            orig,
            patched,
            twins,
            orig_entries,
            patched_entries,
            orig_debug,
            patched_debug,
            arch,
            flavour,
            replaceable: HashSet::new(),
            pointed_to: OnceLock::new(),
            reencoded: Reencoded::find(
                (orig, orig_entries),
                (patched, patched_entries),
                twins,
                arch,
            ),
            cold_parts: BTreeMap::new(),
        };
        for (id, bundle) in patched.bundles.iter() {
            if let Some(parent) = bundle.parent {
                comparer.cold_parts.entry(parent).or_default().push(id);
            }
            if twins.orig(id).is_some() && comparer.can_be_copied(id) {
                comparer.replaceable.insert(id);
            }
        }
        comparer
    }

    /// Compares all bundles, but for the differences that the author calls harmless.
    pub fn compare(&self, ignores: &Ignores) -> Comparison {
        let ids = || self.patched.bundles.iter().map(|(id, _)| id);
        let twins = ids().filter_map(|id| Some((self.twins.orig(id)?, id)));
        let tables = self.unnamed_tables();
        let roots = twins.chain(tables.iter().copied());
        let mut sameness = Sameness::of(roots, |pair| self.look(pair, ignores));
        self.settle(&mut sameness);
        let change = |id: BundleId| {
            let reason = sameness.reason((self.twins.orig(id)?, id))?;
            let is_copied = self.is_replaceable(id);
            Some((
                id,
                if is_copied {
                    Status::New
                } else {
                    Status::Changed(reason)
                },
            ))
        };
        Comparison {
            has_twin: ids().map(|id| self.twins.orig(id).is_some()).collect(),
            changed: ids().filter_map(change).collect(),
            known_tables: tables
                .into_iter()
                .filter(|pair| sameness.is_same(*pair))
                .map(|(_, id)| id)
                .collect(),
        }
    }

    /// Decides what differs. Code in which nothing but line numbers does is the same, if these agree with each other.
    fn settle(&self, sameness: &mut Sameness) {
        let mut shifts = line::LineShifts::default();
        for ((twin, id), look) in sameness.looks() {
            let in_bytes = look.rest.is_none() && matches!(look.own, Some(Reason::Bytes(_)));
            if in_bytes && self.patched.bundles.get(id).kind == Kind::Function {
                shifts.collect(self, twin, id);
            }
        }
        sameness.settle(|(_, id)| shifts.has(id));
        if !shifts.is_empty() {
            shifts.retain(|pair| sameness.is_same(pair));
            let agreed = shifts.agreed();
            sameness.settle(|(_, id)| agreed.contains(&id));
        }
    }

    /// The unnamed tables and pieces of code of both objects that stand at the same place.
    fn unnamed_tables(&self) -> Vec<Pair> {
        let is_table = |kind, section: crate::object::Section<'_>| {
            matches!(kind, Kind::Anonymous | Kind::Fragment) && !section.is_mergeable()
        };
        let mut theirs: HashMap<(&str, u64, Kind), Vec<BundleId>> = HashMap::new();
        for (id, bundle) in self.orig.bundles.iter() {
            let section = self.orig.object.section(bundle.section);
            if is_table(bundle.kind, section) {
                let place = (section.name(), bundle.start, bundle.kind);
                theirs.entry(place).or_default().push(id);
            }
        }
        let mut pairs = Vec::new();
        for (id, bundle) in self.patched.bundles.iter() {
            let section = self.patched.object.section(bundle.section);
            if is_table(bundle.kind, section) {
                let place = (section.name(), bundle.start, bundle.kind);
                let there = theirs.get(&place).into_iter().flatten();
                pairs.extend(there.take(SECTIONS_OF_A_NAME).map(|twin| (*twin, id)));
            }
        }
        pairs
    }

    /// Whether a function is the same but for padding and the sizes of its jumps.
    pub fn is_reencoded(&self, id: BundleId, comparison: &Comparison) -> bool {
        comparison.is_same(id) && self.reencoded.has(id)
    }

    /// The cold parts of a function.
    fn cold_parts(&self, id: BundleId) -> &[BundleId] {
        self.cold_parts.get(&id).map_or(&[], Vec::as_slice)
    }

    fn is_replaceable(&self, id: BundleId) -> bool {
        self.replaceable.contains(&id)
    }

    /// Whether a change of it can be met by a copy in the patch, with all who use it: a constant, or a function that
    /// only this object sees and that ftrace cannot redirect (`static inline` is notrace in the kernel). Of a function
    /// that is pointed to, others have the address: they go on to call the old code, know the copy for another function,
    /// or call it when the patch is gone.
    fn can_be_copied(&self, id: BundleId) -> bool {
        let bundle = self.patched.bundles.get(id);
        let local = bundle
            .owner
            .is_some_and(|owner| self.patched.object.symbol(owner).is_local());
        let lone_function = bundle.kind == Kind::Function
            && local
            && bundle.parent.is_none()
            && !is_init(self.patched.section_name(id))
            && !self.has_fentry(id)
            && !self.is_pointed_to(id);
        lone_function || self.is_constant(id)
    }

    /// Whether code or data of the patched object takes its address.
    pub fn is_pointed_to(&self, id: BundleId) -> bool {
        let all = || pointed_to(self.patched, self.arch);
        self.pointed_to.get_or_init(all).contains(&id)
    }

    /// Whether the original of a function can be redirected: it has a site at its entry that ftrace can use, or it is
    /// of a process.
    pub fn has_fentry(&self, id: BundleId) -> bool {
        let Some(twin) = self.twins.orig(id) else {
            return false;
        };
        if self.flavour.is_process() {
            return true;
        }
        let (view, arch) = (self.orig, self.arch);
        let bundle = view.bundles.get(twin);
        let section = view.object.section(bundle.section);
        let entry = bundle
            .owner
            .map_or(bundle.start, |owner| view.object.symbol(owner).value);
        let site = entry + arch.fentry_site(section.bytes(entry, bundle.end()));
        match arch.called_at(&view.object, section, site) {
            Some("__fentry__") => true,
            Some("mcount") => false,
            _ => self.is_listed(twin, site - bundle.start),
        }
    }

    /// Whether the original lists a place in a function as one that ftrace uses: the call may be gone already
    /// (-mnop-mcount, objtool).
    fn is_listed(&self, twin: BundleId, site: u64) -> bool {
        let mut tables = self
            .orig_entries
            .of(twin)
            .filter(|entry| entry.special.name == "__mcount_loc");
        tables.any(|entry| {
            let refs = refs_of(self.orig, &entry);
            let target = refs.first().map(|reference| reference.target);
            matches!(target, Some(Target::Bundle { offset, .. }) if u64::try_from(offset) == Ok(site))
        })
    }

    /// Whether the original of a function calls mcount, somewhere behind its first instructions.
    pub fn calls_mcount(&self, id: BundleId) -> bool {
        let Some(twin) = self.twins.orig(id) else {
            return false;
        };
        self.orig.refs_of(twin).any(|reference| {
            matches!(reference.target, Target::Symbol { id, .. } if self.orig.object.symbol(id).name() == "mcount")
        })
    }

    /// A datum that the patch may hold a copy of: nobody else can see it, and nothing but its bytes matters.
    fn is_constant(&self, id: BundleId) -> bool {
        let bundle = self.patched.bundles.get(id);
        let local = bundle
            .owner
            .is_none_or(|owner| self.patched.object.symbol(owner).is_local());
        let read_only = !self.patched.object.section(bundle.section).is_writable();
        bundle.kind == Kind::Data && local && read_only && self.refers_to_constants(id)
    }

    /// Whether a table refers to nothing but strings and labels, which have no address that matters to anybody else.
    fn refers_to_constants(&self, id: BundleId) -> bool {
        let view = self.patched;
        let is_constant = |reference: Ref| match reference.target {
            Target::Bundle { id, offset } => {
                view.bundles.get(id).kind == Kind::String || view.is_inside(id, offset)
            }
            _ => false,
        };
        view.refs_of(id).all(is_constant)
    }
}

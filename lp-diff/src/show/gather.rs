//! Which functions are shown, and what is told about each besides its instructions.

use super::align::align;
use super::listing::{Listing, list};
use super::names::{Contents, Side};
use super::source::{SourceLines, shorten};
use super::{Aligned, Fate, FunctionPair, SideBySide, Version, Wanted, printable};
use crate::bundle::{BundleId, Kind};
use crate::compare::{Comparer, Comparison, Status};
use crate::name::{canonical, source_function};
use crate::reference::View;
use crate::refusal::Refusal;
use crate::report::{self, Report};
use std::collections::{BTreeMap, BTreeSet};

/// What a diff has found out.
pub(crate) struct Gathering<'g, 'v, 'd> {
    /// The two objects.
    pub(crate) comparer: &'g Comparer<'v, 'd>,
    /// What differs.
    pub(crate) comparison: &'g Comparison,
    /// The report's functions as bundles of the patched object.
    pub(crate) functions: &'g [BundleId],
    /// The report.
    pub(crate) report: &'g Report,
}

/// Gathers what is wanted.
pub(crate) fn gather(from: &Gathering<'_, '_, '_>, wanted: &Wanted) -> SideBySide {
    Gatherer::new(from, wanted).gather()
}

/// Aligns both versions of functions of the patched object, one after the other: all rows of a large file at once would
/// be a lot.
pub(crate) fn align_each(
    from: &Gathering<'_, '_, '_>,
    ids: impl Iterator<Item = BundleId>,
    mut look: impl FnMut(&[Aligned]),
) {
    let wanted = Wanted::default();
    let gatherer = Gatherer::new(from, &wanted);
    for id in ids {
        let parts = (gatherer.twin(id), Some(id));
        look(&gatherer.pair("", "", Fate::Changed, parts).rows);
    }
}

/// Cold parts by the function they belong to.
type Parts = BTreeMap<BundleId, Vec<BundleId>>;

fn parts(view: &View<'_>) -> Parts {
    let mut parts = Parts::new();
    for (id, bundle) in view.bundles.iter() {
        if let Some(parent) = bundle.parent {
            parts.entry(parent).or_default().push(id);
        }
    }
    parts
}

struct Gatherer<'g, 'v, 'd> {
    from: &'g Gathering<'g, 'v, 'd>,
    wanted: &'g Wanted,
    orig_parts: Parts,
    patched_parts: Parts,
    contents: (Contents, Contents),
    lines: (SourceLines<'v>, SourceLines<'v>),
    /// What the report says about functions that are not in the patch: refusals by place, notes by first word.
    refusals: BTreeMap<&'g str, &'g Refusal>,
    notes: BTreeMap<&'g str, &'g str>,
}

impl<'g, 'v, 'd> Gatherer<'g, 'v, 'd> {
    fn new(from: &'g Gathering<'g, 'v, 'd>, wanted: &'g Wanted) -> Self {
        let report = from.report;
        Self {
            from,
            wanted,
            orig_parts: parts(from.comparer.orig),
            patched_parts: parts(from.comparer.patched),
            contents: Default::default(),
            lines: (
                SourceLines::of(from.comparer.orig_debug),
                SourceLines::of(from.comparer.patched_debug),
            ),
            refusals: report
                .refusals
                .iter()
                .map(|refusal| (refusal.place.as_str(), refusal))
                .collect(),
            notes: report
                .notes
                .iter()
                .filter_map(|note| Some((note.split(' ').next()?, note.as_str())))
                .collect(),
        }
    }

    fn gather(&self) -> SideBySide {
        let reported = self.from.functions.iter().zip(&self.from.report.functions);
        let mut functions: Vec<FunctionPair> = reported
            .filter(|(id, function)| {
                self.is_wanted(self.patched(), **id) || self.names(&function.name)
            })
            .map(|(id, function)| self.reported(*id, function))
            .collect();
        let known: BTreeSet<BundleId> = self.from.functions.iter().copied().collect();
        let others = whole_functions(self.patched()).filter(|id| !known.contains(id));
        functions.extend(others.filter_map(|id| self.unreported(id)));
        let lost = whole_functions(self.orig())
            .filter(|id| self.from.comparer.twins.patched(*id).is_none());
        let (mut gone, view) = (Vec::new(), self.orig());
        for id in lost {
            if self.wanted.function.is_none() {
                gone.push(printable(view.name(id)));
            } else if self.is_wanted(view, id) {
                functions.push(self.gone(id));
            }
        }
        shorten(&mut functions);
        SideBySide { functions, gone }
    }

    fn orig(&self) -> &'v View<'d> {
        self.from.comparer.orig
    }

    fn patched(&self) -> &'v View<'d> {
        self.from.comparer.patched
    }

    fn is_wanted(&self, view: &View<'_>, id: BundleId) -> bool {
        self.wanted.function.is_none() || self.names(view.name(id))
    }

    /// Whether a function is asked for by this name: the compiler's suffixes may be left out.
    fn names(&self, name: &str) -> bool {
        let compiler = self.patched().object.compiler;
        let wanted = self.wanted.function.as_deref();
        wanted.is_some_and(|wanted| {
            [name, &*canonical(name, compiler), source_function(name)].contains(&wanted)
        })
    }

    fn reported(&self, id: BundleId, function: &report::Function) -> FunctionPair {
        let fate = match function.status {
            report::Status::Changed => Fate::Changed,
            report::Status::New => Fate::New,
        };
        FunctionPair {
            sympos: function.sympos,
            ..self.pair(
                &function.name,
                &function.why,
                fate,
                (self.twin(id), Some(id)),
            )
        }
    }

    /// A function that is not in the patch: it cannot be, or it did not change and is asked for.
    fn unreported(&self, id: BundleId) -> Option<FunctionPair> {
        let name = self.patched().name(id);
        let asked = self.names(name);
        let (fate, why) = match self.from.comparison.status(id) {
            Status::Changed(_) if asked || self.wanted.function.is_none() => {
                (Fate::Changed, self.verdict_on(name))
            }
            Status::New if asked && self.twin(id).is_none() => (
                Fate::New,
                "new, and nothing in the patch needs it".to_owned(),
            ),
            Status::New | Status::Same if asked => (Fate::Same, "it is the same".to_owned()),
            _ => return None,
        };
        Some(self.pair(name, &why, fate, (self.twin(id), Some(id))))
    }

    /// What the report says about a function that changed and is not in the patch.
    fn verdict_on(&self, name: &str) -> String {
        match (self.refusals.get(name), self.notes.get(name)) {
            (Some(refusal), _) => format!("refused: {} [{}]", refusal.message, refusal.code),
            (None, Some(note)) => (*note).to_owned(),
            (None, None) => "it changed and is not in the patch".to_owned(),
        }
    }

    fn gone(&self, id: BundleId) -> FunctionPair {
        let name = self.orig().name(id);
        self.pair(
            name,
            "the patched object does not have it",
            Fate::Gone,
            (Some(id), None),
        )
    }

    fn twin(&self, id: BundleId) -> Option<BundleId> {
        self.from.comparer.twins.orig(id)
    }

    fn pair(
        &self,
        name: &str,
        why: &str,
        fate: Fate,
        (orig, patched): (Option<BundleId>, Option<BundleId>),
    ) -> FunctionPair {
        let (before, after) = (self.side(false), self.side(true));
        let orig_parts = whole(orig, &self.orig_parts);
        let patched_parts = whole(patched, &self.patched_parts);
        let (mut old, mut new) = (Listing::default(), Listing::default());
        if fate != Fate::Same {
            old = self.list(&before, &orig_parts);
            new = self.list(&after, &patched_parts);
        }
        FunctionPair {
            name: printable(name),
            fate,
            why: printable(why),
            sympos: None,
            orig: version(self.orig(), &orig_parts, &self.lines.0),
            patched: version(self.patched(), &patched_parts, &self.lines.1),
            gained: without(&new, &old),
            lost: without(&old, &new),
            rows: align(old, new),
        }
    }

    fn list(&self, side: &Side<'_, 'd>, parts: &[BundleId]) -> Listing {
        let lines = if side.is_patched {
            &self.lines.1
        } else {
            &self.lines.0
        };
        list(side, parts, self.wanted.syntax, lines)
    }

    fn side(&self, is_patched: bool) -> Side<'_, 'd> {
        let comparer = self.from.comparer;
        let (view, other) = if is_patched {
            (self.patched(), self.orig())
        } else {
            (self.orig(), self.patched())
        };
        Side {
            view,
            other,
            entries: if is_patched {
                comparer.patched_entries
            } else {
                comparer.orig_entries
            },
            twins: comparer.twins,
            comparison: self.from.comparison,
            arch: comparer.arch,
            is_patched,
            contents: if is_patched {
                &self.contents.1
            } else {
                &self.contents.0
            },
        }
    }
}

fn whole_functions<'v>(view: &'v View<'_>) -> impl Iterator<Item = BundleId> + 'v {
    view.bundles
        .iter()
        .filter(|(_, bundle)| bundle.kind == Kind::Function && bundle.parent.is_none())
        .map(|(id, _)| id)
}

fn whole(function: Option<BundleId>, parts: &Parts) -> Vec<BundleId> {
    let Some(id) = function else {
        return Vec::new();
    };
    let cold = parts.get(&id).into_iter().flatten().copied();
    std::iter::once(id).chain(cold).collect()
}

fn version(view: &View<'_>, parts: &[BundleId], lines: &SourceLines<'_>) -> Option<Version> {
    let function = parts.first()?;
    let bundle = view.bundles.get(*function);
    Some(Version {
        symbol: printable(view.name(*function)),
        section: printable(view.section_name(*function)),
        size: parts.iter().map(|part| view.bundles.get(*part).len).sum(),
        folder: lines.folder(bundle.section, bundle.start),
    })
}

/// What one version refers to and the other does not.
fn without(one: &Listing, other: &Listing) -> Vec<String> {
    let only = one
        .named
        .iter()
        .filter(|(key, _)| !other.named.contains_key(*key));
    let mut names: Vec<String> = only.map(|(_, name)| printable(name)).collect();
    names.sort();
    names.dedup();
    names
}

//! Decides for each bundle of the patched object whether it is the same as its twin.
//!
//! Two functions are the same when their instructions are, when each reference means the same thing, and when the
//! entries of special sections about them say the same: a jump label's key is nowhere but in its entry. What has no
//! name of its own (strings, constants, fragments) is compared by content wherever it is referred to. The tempting
//! wrong way is to compare symbols: equal names can be different things, and different numbers the same thing.

mod line;
mod source_lines;

use crate::arch::Arch;
use crate::bundle::{BundleId, Kind};
use crate::correlate::Twins;
use crate::name::canonical;
use crate::reference::{Ref, Target, View};
use crate::special::table::{Home, home, is_init};
use crate::special::{Entries, Entry, refs_of};
use std::collections::HashSet;

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
}

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
    /// Instruction knowledge.
    pub arch: &'v dyn Arch,
}

/// The status of each bundle of the patched object.
#[derive(Debug)]
pub struct Comparison(Vec<Status>);

impl Comparison {
    /// The status of a bundle.
    pub fn status(&self, id: BundleId) -> &Status {
        &self.0[id.0 as usize]
    }

    /// Whether it has a twin that it equals.
    pub fn is_same(&self, id: BundleId) -> bool {
        *self.status(id) == Status::Same
    }
}

impl Comparer<'_, '_> {
    /// Compares all bundles. What the patch can hold a copy of comes first, since what refers to such a thing that
    /// changed is changed; those can refer to each other, so they are gone through until nothing more is found.
    pub fn compare(&self) -> Comparison {
        let mut result = Comparison(vec![Status::New; self.patched.bundles.len()]);
        let twins = |id| self.twins.orig(id);
        let (copied, kept): (Vec<_>, Vec<_>) = self
            .patched
            .bundles
            .iter()
            .map(|(id, _)| id)
            .filter(|id| twins(*id).is_some())
            .partition(|id| self.is_replaceable(*id));
        for id in &copied {
            result.0[id.0 as usize] = Status::Same;
        }
        let mut settled = false;
        while !settled {
            settled = true;
            for id in &copied {
                let Some(twin) = twins(*id).filter(|_| result.is_same(*id)) else {
                    continue;
                };
                if self.differs(twin, *id, &result).is_some() {
                    result.0[id.0 as usize] = Status::New;
                    settled = false;
                }
            }
        }
        for id in &kept {
            let Some(twin) = twins(*id) else { continue };
            result.0[id.0 as usize] = self
                .differs(twin, *id, &result)
                .map_or(Status::Same, Status::Changed);
        }
        self.forgive_lines(&mut result);
        self.tell_parents(&mut result);
        result
    }

    /// Whether a change of it can be met by a copy in the patch, with all who use it: a constant, or a function that
    /// only this object sees and that ftrace cannot redirect (`static inline` is notrace in the kernel).
    fn is_replaceable(&self, id: BundleId) -> bool {
        let bundle = self.patched.bundles.get(id);
        let local = bundle
            .owner
            .is_some_and(|owner| self.patched.object.symbol(owner).is_local());
        let lone_function = bundle.kind == Kind::Function
            && local
            && bundle.parent.is_none()
            && !is_init(self.patched.section_name(id))
            && !self.has_fentry(id);
        lone_function || self.is_constant(id)
    }

    /// Whether the original of a function has a site at its entry that ftrace can use.
    pub fn has_fentry(&self, id: BundleId) -> bool {
        let Some(twin) = self.twins.orig(id) else {
            return false;
        };
        let (view, arch) = (self.orig, self.arch);
        let bundle = view.bundles.get(twin);
        let entry = bundle
            .owner
            .map_or(bundle.start, |owner| view.object.symbol(owner).value);
        let reach = (entry - bundle.start + arch.fentry_reach()) as i64;
        let listed = self
            .orig_entries
            .of(twin)
            .iter()
            .filter(|table| table.special.name == "__mcount_loc")
            .any(|table| {
                let site = refs_of(view, table)
                    .first()
                    .map(|reference| reference.target);
                matches!(site, Some(Target::Bundle { offset, .. }) if offset <= reach)
            });
        listed
            || arch.has_fentry_call(
                &view.object,
                view.object.section(bundle.section),
                entry,
                bundle.end(),
            )
    }

    /// Whether an unnamed table or piece of code of the patched object differs from what the original's section of the
    /// same name has there.
    pub fn anonymous_differs(&self, id: BundleId, known: &Comparison) -> bool {
        let (section, bundle) = (self.patched.section_name(id), self.patched.bundles.get(id));
        let is_twin = |twin: BundleId| {
            let other = self.orig.bundles.get(twin);
            other.kind == bundle.kind
                && other.start == bundle.start
                && self.orig.section_name(twin) == section
        };
        let mut twins = self
            .orig
            .bundles
            .iter()
            .map(|(twin, _)| twin)
            .filter(|twin| is_twin(*twin));
        !twins.any(|twin| {
            self.content_differs(twin, id, known, &mut HashSet::new())
                .is_none()
        })
    }

    /// A datum that the patch may hold a copy of: nobody else can see it, and nothing but its bytes matters.
    fn is_constant(&self, id: BundleId) -> bool {
        let bundle = self.patched.bundles.get(id);
        let local = bundle
            .owner
            .is_none_or(|owner| self.patched.object.symbol(owner).is_local());
        let read_only = !self.patched.object.section(bundle.section).is_writable();
        bundle.kind == Kind::Data && local && read_only && self.patched.refs_of(id).is_empty()
    }

    fn forgive_lines(&self, result: &mut Comparison) {
        let mut shifts = line::LineShifts::default();
        for (id, bundle) in self.patched.bundles.iter() {
            let differs_in_bytes = matches!(result.status(id), Status::Changed(Reason::Bytes(_)));
            if let (Kind::Function, true, Some(twin)) =
                (bundle.kind, differs_in_bytes, self.twins.orig(id))
            {
                shifts.collect(self, twin, id, result);
            }
        }
        for id in shifts.agreed() {
            result.0[id.0 as usize] = Status::Same;
        }
    }

    fn tell_parents(&self, result: &mut Comparison) {
        for (id, bundle) in self.patched.bundles.iter() {
            let Some(parent) = bundle.parent else {
                continue;
            };
            if !result.is_same(id) && result.is_same(parent) {
                result.0[parent.0 as usize] = Status::Changed(Reason::ColdPart);
            }
        }
    }

    fn differs(&self, twin: BundleId, id: BundleId, known: &Comparison) -> Option<Reason> {
        let (before, after) = (self.orig.bundles.get(twin), self.patched.bundles.get(id));
        let flags = |view: &View<'_>, section| {
            let section = view.object.section(section);
            let home = if section.is_exec() {
                Home::Plain
            } else {
                home(section.name)
            };
            (section.is_writable(), section.is_exec(), home)
        };
        if flags(self.orig, before.section) != flags(self.patched, after.section) {
            return Some(Reason::Flags);
        }
        self.content_differs(twin, id, known, &mut HashSet::new())
            .or_else(|| self.entries_differ(twin, id, known))
    }

    fn content_differs(
        &self,
        twin: BundleId,
        id: BundleId,
        known: &Comparison,
        open: &mut HashSet<(BundleId, BundleId)>,
    ) -> Option<Reason> {
        if !open.insert((twin, id)) {
            // Being compared further up: it is what the rest is.
            return None;
        }
        let (before, after) = (self.orig.bundles.get(twin), self.patched.bundles.get(id));
        if before.len != after.len {
            return Some(Reason::Size(before.len, after.len));
        }
        if let Some(offset) = self.bytes_differ(twin, id) {
            return Some(Reason::Bytes(offset));
        }
        let (ours, theirs) = (self.patched.refs_of(id), self.orig.refs_of(twin));
        for (old, new) in theirs.iter().zip(ours) {
            let in_place = old.offset - before.start == new.offset - after.start;
            if !in_place || !self.same_ref(old, new, known, open) {
                return Some(Reason::Reference(
                    (new.offset - after.start).min(old.offset - before.start),
                ));
            }
        }
        let shorter = theirs.len().min(ours.len());
        let extra = theirs
            .get(shorter)
            .map(|old| old.offset - before.start)
            .or(ours.get(shorter).map(|new| new.offset - after.start));
        extra.map(Reason::Reference)
    }

    /// The offset of the first byte that differs, fields that the assembler filled in for us aside.
    fn bytes_differ(&self, twin: BundleId, id: BundleId) -> Option<u64> {
        let (old, new) = (self.orig.bytes_of(twin), self.patched.bytes_of(id));
        if old == new {
            return None;
        }
        // All zeros may take no bytes in one of the two (.bss).
        if old.is_empty() || new.is_empty() {
            return old
                .iter()
                .chain(new)
                .zip(0..)
                .find(|(byte, _)| **byte != 0)
                .map(|(_, offset)| offset);
        }
        let start = self.patched.bundles.get(id).start;
        let filled: Vec<(u64, u64)> = self
            .patched
            .refs_of(id)
            .iter()
            .filter(|reference| reference.resolved)
            .map(|reference| {
                (
                    reference.offset - start,
                    reference.offset - start + u64::from(reference.bias),
                )
            })
            .collect();
        let is_filled = |offset: u64| {
            filled
                .iter()
                .any(|(from, to)| (*from..*to).contains(&offset))
        };
        let differing = old
            .iter()
            .zip(new)
            .zip(0u64..)
            .find(|((a, b), offset)| a != b && !is_filled(*offset));
        match differing {
            Some((_, offset)) => Some(offset),
            None if old.len() != new.len() => Some(old.len().min(new.len()) as u64),
            None => None,
        }
    }

    /// Whether two references mean the same.
    pub fn same_ref(
        &self,
        old: &Ref,
        new: &Ref,
        known: &Comparison,
        open: &mut HashSet<(BundleId, BundleId)>,
    ) -> bool {
        let same_form = old.kind == new.kind
            || (self.arch.is_pc_relative(old.kind)
                && self.arch.is_pc_relative(new.kind)
                && self.arch.width(old.kind) == self.arch.width(new.kind));
        same_form && self.same_target(&old.target, &new.target, known, open)
    }

    fn same_target(
        &self,
        old: &Target,
        new: &Target,
        known: &Comparison,
        open: &mut HashSet<(BundleId, BundleId)>,
    ) -> bool {
        match (old, new) {
            (Target::Bundle { id: a, offset: x }, Target::Bundle { id: b, offset: y }) => {
                x == y && self.same_bundle(*a, *b, known, open)
            }
            (Target::Section { id: a, offset: x }, Target::Section { id: b, offset: y }) => {
                x == y && self.orig.object.section(*a).name == self.patched.object.section(*b).name
            }
            (Target::Symbol { id: a, offset: x }, Target::Symbol { id: b, offset: y }) => {
                x == y && self.orig.object.symbol(*a).name == self.patched.object.symbol(*b).name
            }
            _ => false,
        }
    }

    fn same_bundle(
        &self,
        old: BundleId,
        new: BundleId,
        known: &Comparison,
        open: &mut HashSet<(BundleId, BundleId)>,
    ) -> bool {
        let kind = self.patched.bundles.get(new).kind;
        if self.orig.bundles.get(old).kind != kind {
            return false;
        }
        if !kind.is_by_content() {
            return self.twins.orig(new) == Some(old)
                && (!self.is_replaceable(new) || known.is_same(new));
        }
        if kind == Kind::PerUse
            && canonical(self.orig.name(old)) != canonical(self.patched.name(new))
        {
            return false;
        }
        match self.content_differs(old, new, known, open) {
            None => true,
            // A dynamic debug descriptor holds a line number among its bits; what it says is in its references.
            Some(Reason::Bytes(_)) => {
                matches!(self.patched.section_name(new), "__dyndbg" | "__verbose")
                    && self.same_refs(old, new, known, open)
            }
            Some(_) => false,
        }
    }

    fn same_refs(
        &self,
        old: BundleId,
        new: BundleId,
        known: &Comparison,
        open: &mut HashSet<(BundleId, BundleId)>,
    ) -> bool {
        let (theirs, ours) = (self.orig.refs_of(old), self.patched.refs_of(new));
        theirs.len() == ours.len()
            && theirs
                .iter()
                .zip(ours)
                .all(|(old, new)| self.same_ref(old, new, known, open))
    }

    fn entries_differ(&self, twin: BundleId, id: BundleId, known: &Comparison) -> Option<Reason> {
        let compared = |entry: &&Entry| entry.special.compared;
        let mut theirs = self.orig_entries.of(twin).iter().filter(compared);
        let mut ours = self.patched_entries.of(id).iter().filter(compared);
        loop {
            match (theirs.next(), ours.next()) {
                (None, None) => return None,
                (Some(old), Some(new)) if self.same_entry(old, new, known) => {}
                (Some(entry), _) | (_, Some(entry)) => {
                    return Some(Reason::Entry(entry.special.name));
                }
            }
        }
    }

    fn same_entry(&self, old: &Entry, new: &Entry, known: &Comparison) -> bool {
        if old.special.name != new.special.name || old.len != new.len {
            return false;
        }
        let line = old.special.line.unwrap_or((0, 0));
        let bytes = |view: &View<'_>, entry: &Entry| -> Vec<u8> {
            let bytes = view
                .object
                .section(entry.section)
                .bytes(entry.start, entry.start + entry.len);
            let (_, rest): (Vec<u64>, Vec<u8>) = (0..)
                .zip(bytes)
                .filter(|(at, _)| !(line.0..line.1).contains(at))
                .unzip();
            // The last entry of a section may lack its padding.
            rest.into_iter()
                .chain(std::iter::repeat(0))
                .take(entry.len as usize)
                .collect()
        };
        let (theirs, ours) = (refs_of(self.orig, old), refs_of(self.patched, new));
        let mut open = HashSet::new();
        bytes(self.orig, old) == bytes(self.patched, new)
            && theirs.len() == ours.len()
            && theirs.iter().zip(&ours).all(|(a, b)| {
                a.offset - old.start == b.offset - new.start
                    && self.same_ref(a, b, known, &mut open)
            })
    }
}

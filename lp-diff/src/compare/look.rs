//! One look at a pair of pieces: what differs in them alone, and which other pairs they need to be the same.

use super::sameness::{Look, Pair};
use super::{Comparer, Reason, line};
use crate::author::Ignores;
use crate::bundle::{BundleId, Kind};
use crate::name::canonical;
use crate::reference::{Ref, Target, View};
use crate::special::table::{Home, home};
use crate::special::{Entry, refs_of};
use std::borrow::Cow;

/// Whether two references mean the same.
enum Means {
    Same,
    Other,
    /// If these two are the same.
    If(Pair),
}

impl Comparer<'_, '_> {
    /// Looks at a pair. What the author says to leave alone has no difference.
    pub(super) fn look(&self, pair: Pair, ignores: &Ignores) -> Look {
        let look = self.look_closely(pair, ignores);
        let kind = self.patched.bundles.get(pair.1).kind;
        if ignores.statement(self.patched, pair.1).is_some() && can_be_ignored(kind, &look) {
            return Look::default();
        }
        look
    }

    fn look_closely(&self, (twin, id): Pair, ignores: &Ignores) -> Look {
        let mut look = Look::default();
        let (before, after) = (self.orig.bundles.get(twin), self.patched.bundles.get(id));
        if !after.kind.is_by_content() && self.flags_differ(twin, id) {
            look.own = Some(Reason::Flags);
        } else if self.reencoded.has(id) {
            look.rest = self
                .look_at_moved_refs((twin, id), &mut look.needs)
                .or_else(|| self.look_at_entries((twin, id), ignores, &mut look.needs));
        } else if before.len != after.len {
            look.own = Some(Reason::Size(before.len, after.len));
        } else if let Some((was, is)) = self.grown_alignment(twin, id) {
            look.own = Some(Reason::Alignment(was, is));
        } else {
            look.own = self.bytes_differ(twin, id).map(Reason::Bytes);
            look.rest = self
                .look_at_refs((twin, id), &mut look.needs)
                .or_else(|| self.look_at_entries((twin, id), ignores, &mut look.needs));
        }
        for child in self.cold_parts(id) {
            match self.twins.orig(*child) {
                Some(twin) => look.needs.push(((twin, *child), Reason::ColdPart)),
                None => look.rest = look.rest.or(Some(Reason::ColdPart)),
            }
        }
        look
    }

    /// Data that is no longer written to may stay where it can be; all else would be used in a way that its place
    /// does not allow.
    fn flags_differ(&self, twin: BundleId, id: BundleId) -> bool {
        let flags = |view: &View<'_>, id| {
            let section = view.object.section(view.bundles.get(id).section);
            let home = if section.is_exec() {
                Home::Plain
            } else {
                home(section.name())
            };
            (section.is_writable(), section.is_exec(), home)
        };
        let (before, after) = (flags(self.orig, twin), flags(self.patched, id));
        before != after && before != (true, after.1, after.2)
    }

    /// The alignments of a datum that is to be aligned better than it was, which code may count on. Where several share
    /// a section it is not known whose alignment that is.
    fn grown_alignment(&self, twin: BundleId, id: BundleId) -> Option<(u64, u64)> {
        let alignment = |view: &View<'_>, id: BundleId| {
            let section = view.bundles.get(id).section;
            let alone = view.bundles.of_section(section).nth(1).is_none();
            alone.then_some(view.object.section(section).align)
        };
        let is_data = self.patched.bundles.get(id).kind == Kind::Data;
        let (was, is) = (alignment(self.orig, twin)?, alignment(self.patched, id)?);
        (is_data && is > was).then_some((was, is))
    }

    /// The offset of the first byte that differs, where bytes mean something: what a relocation fills in and what the
    /// assembler filled in for us is the references' business.
    fn bytes_differ(&self, twin: BundleId, id: BundleId) -> Option<u64> {
        let (old, new) = (self.orig.bytes_of(twin), self.patched.bytes_of(id));
        if old == new || is_line_only(self.patched.section_name(id)) {
            return None;
        }
        let mut filled = self.filled(self.orig, twin);
        filled.extend(self.filled(self.patched, id));
        filled.sort_unstable();
        let mut filled = filled.into_iter().peekable();
        let mut means_nothing = |offset: u64| {
            while filled.next_if(|(_, end)| *end <= offset).is_some() {}
            filled.peek().is_some_and(|(start, _)| *start <= offset)
        };
        // All zeros may take no bytes in one of the two (.bss).
        if old.is_empty() || new.is_empty() {
            let mut all = (0..).zip(old.iter().chain(new));
            return all
                .find(|(offset, byte)| **byte != 0 && !means_nothing(*offset))
                .map(|(offset, _)| offset);
        }
        let mut pairs = (0..).zip(old.iter().zip(new));
        let differing = pairs.find(|(offset, (a, b))| a != b && !means_nothing(*offset));
        let shorter = old.len().min(new.len()) as u64;
        differing
            .map(|(offset, _)| offset)
            .or((old.len() != new.len()).then_some(shorter))
    }

    /// The ranges of a bundle whose bytes say nothing, from its start.
    fn filled(&self, view: &View<'_>, id: BundleId) -> Vec<(u64, u64)> {
        let start = view.bundles.get(id).start;
        let reports = is_sanitizer_report(view.section_name(id));
        let fields = view.refs_of(id).map(|reference| {
            let field = reference.offset - start;
            let width = reference.width(self.arch);
            // Behind the name of a source file come line and column.
            let line = if reports && source_name(view, &reference).is_some() {
                8
            } else {
                0
            };
            (field, field + width + line)
        });
        fields.collect()
    }

    fn look_at_refs(&self, (twin, id): Pair, needs: &mut Vec<(Pair, Reason)>) -> Option<Reason> {
        let (before, after) = (self.orig.bundles.get(twin), self.patched.bundles.get(id));
        let (mut theirs, mut ours) = (self.orig.refs_of(twin), self.patched.refs_of(id));
        let reports = is_sanitizer_report(self.patched.section_name(id));
        for (old, new) in theirs.clone().zip(ours.clone()) {
            let (was, is) = (old.offset - before.start, new.offset - after.start);
            if reports && was == is && self.is_same_source(&old, &new) {
                continue;
            }
            match self.means(&old, &new) {
                Means::Same if was == is => needs.extend(self.label(id, &old, &new)),
                Means::If(pair) if was == is => needs.push((pair, Reason::Reference(is))),
                _ => return Some(Reason::Reference(is.min(was))),
            }
        }
        let shorter = theirs.len().min(ours.len());
        let extra = theirs
            .nth(shorter)
            .map(|old| old.offset - before.start)
            .or(ours.nth(shorter).map(|new| new.offset - after.start));
        extra.map(Reason::Reference)
    }

    /// Whether both name a source file, and that of the same file: a sanitizer is told the path that the compiler was, and
    /// the trees of the two objects are two.
    fn is_same_source(&self, old: &Ref, new: &Ref) -> bool {
        let names = (source_name(self.orig, old), source_name(self.patched, new));
        let last = |path: &[u8]| path.rsplit(|byte| *byte == b'/').next().map(<[u8]>::to_vec);
        matches!(names, (Some(was), Some(is)) if last(was) == last(is))
    }

    /// The references of a function that is written down in another way are those of the same instructions, in order.
    fn look_at_moved_refs(
        &self,
        (twin, id): Pair,
        needs: &mut Vec<(Pair, Reason)>,
    ) -> Option<Reason> {
        let start = self.patched.bundles.get(id).start;
        let (theirs, ours) = (self.orig.refs_of(twin), self.patched.refs_of(id));
        let same_count = theirs.len() == ours.len();
        for (old, new) in theirs.zip(ours) {
            let reason = Reason::Reference(new.offset - start);
            let alike = self.arch.same_kind(old.kind, new.kind) || old.resolved || new.resolved;
            match self.targets_mean(old.target, new.target) {
                Means::Same if alike => {}
                Means::If(pair) if alike => needs.push((pair, reason)),
                _ => return Some(reason),
            }
        }
        (!same_count).then_some(Reason::Reference(0))
    }

    /// The functions that a named table has labels of: a table of the old function's labels would lead the new one
    /// back into the old.
    fn label(&self, table: BundleId, old: &Ref, new: &Ref) -> Option<(Pair, Reason)> {
        let (Target::Bundle { id: twin, .. }, Target::Bundle { id, offset }) =
            (old.target, new.target)
        else {
            return None;
        };
        let bundle = self.patched.bundles.get(table);
        let is_label = bundle.kind == Kind::Data && self.patched.is_inside(id, offset);
        is_label.then(|| ((twin, id), Reason::Reference(new.offset - bundle.start)))
    }

    fn means(&self, old: &Ref, new: &Ref) -> Means {
        if !self.arch.same_kind(old.kind, new.kind) {
            return Means::Other;
        }
        self.targets_mean(old.target, new.target)
    }

    fn targets_mean(&self, old: Target, new: Target) -> Means {
        match (old, new) {
            (Target::Bundle { id: a, offset: x }, Target::Bundle { id: b, offset: y }) => {
                self.bundles_mean((a, x), (b, y))
            }
            (Target::Section { id: a, offset: x }, Target::Section { id: b, offset: y }) => {
                if let (Some(old), Some(new)) = (
                    self.orig_entries.at(self.orig, a, x),
                    self.patched_entries.at(self.patched, b, y),
                ) {
                    return same_if(self.same_entry_place((&old, x), (&new, y)));
                }
                let name = |view: &View<'_>, id| view.object.section(id).name().to_owned();
                same_if(x == y && name(self.orig, a) == name(self.patched, b))
            }
            (Target::Symbol { id: a, offset: x }, Target::Symbol { id: b, offset: y }) => same_if(
                x == y && self.orig.object.symbol(a).name() == self.patched.object.symbol(b).name(),
            ),
            _ => Means::Other,
        }
    }

    fn bundles_mean(&self, old: (BundleId, i64), new: (BundleId, i64)) -> Means {
        let kind = self.patched.bundles.get(new.0).kind;
        if self.orig.bundles.get(old.0).kind != kind {
            return Means::Other;
        }
        // A string may be the end of another one.
        if let (Kind::String, Some(was), Some(is)) =
            (kind, text(self.orig, old), text(self.patched, new))
        {
            return same_if(was == is || is_same_line_tag(was, is));
        }
        if !self.is_same_place(old, new) {
            return Means::Other;
        }
        if kind.is_by_content() {
            let other_name = kind == Kind::PerUse
                && per_use_name(self.orig, old.0) != per_use_name(self.patched, new.0);
            return if other_name {
                Means::Other
            } else {
                Means::If((old.0, new.0))
            };
        }
        if self.twins.orig(new.0) != Some(old.0) {
            Means::Other
        } else if self.is_replaceable(new.0) {
            Means::If((old.0, new.0))
        } else {
            Means::Same
        }
    }

    /// Whether two places of twins are one: as far from the start, or the same instruction.
    fn is_same_place(&self, old: (BundleId, i64), new: (BundleId, i64)) -> bool {
        let moves = self.reencoded.has(new.0) && self.patched.is_inside(new.0, new.1);
        match moves && self.twins.orig(new.0) == Some(old.0) {
            true => self.reencoded.corresponds(new.0, old.1, new.1),
            false => old.1 == new.1,
        }
    }

    fn look_at_entries(
        &self,
        (twin, id): Pair,
        ignores: &Ignores,
        needs: &mut Vec<(Pair, Reason)>,
    ) -> Option<Reason> {
        let compared =
            |entry: &Entry| entry.special.compared && !ignores.section(entry.special.name);
        let mut theirs = self.orig_entries.of(twin).filter(compared);
        let mut ours = self.patched_entries.of(id).filter(compared);
        loop {
            match (theirs.next(), ours.next()) {
                (None, None) => return None,
                (Some(old), Some(new)) => {
                    let reason = Reason::Entry(new.special.name);
                    match self.entry_means(&old, &new) {
                        Some(pairs) => {
                            needs.extend(pairs.into_iter().map(|pair| (pair, reason.clone())))
                        }
                        None => return Some(reason),
                    }
                }
                (Some(entry), _) | (_, Some(entry)) => {
                    return Some(Reason::Entry(entry.special.name));
                }
            }
        }
    }

    /// Whether code that refers to an entry (`WARN()` since Linux 6.19) refers to the one about the same place. What
    /// the entry says is compared with the code that it is about.
    fn same_entry_place(&self, (old, x): (&Entry, i64), (new, y): (&Entry, i64)) -> bool {
        let about = |view: &View<'_>, entry: &Entry| match refs_of(view, entry).first()?.target {
            Target::Bundle { id, offset } => Some((id, offset)),
            _ => None,
        };
        match (about(self.orig, old), about(self.patched, new)) {
            (Some((twin, there)), Some((id, here))) => {
                let same_code = self.twins.orig(id) == Some(twin)
                    || self.patched.bundles.get(id).kind.is_by_content();
                old.special.name == new.special.name
                    && x - old.start as i64 == y - new.start as i64
                    && self.is_same_place((twin, there), (id, here))
                    && same_code
            }
            _ => false,
        }
    }

    /// The pairs that two entries need to say the same; `None` if they do not anyway.
    fn entry_means(&self, old: &Entry, new: &Entry) -> Option<Vec<Pair>> {
        let (theirs, ours) = (refs_of(self.orig, old), refs_of(self.patched, new));
        let name =
            |view: &View<'_>, entry: &Entry| view.object.section(entry.section).name().to_owned();
        let same_shape = name(self.orig, old) == name(self.patched, new)
            && old.len == new.len
            && entry_bytes(self.orig, old) == entry_bytes(self.patched, new)
            && theirs.len() == ours.len();
        if !same_shape {
            return None;
        }
        let mut pairs = Vec::new();
        for (old_ref, new_ref) in theirs.iter().zip(&ours) {
            let in_place = old_ref.offset - old.start == new_ref.offset - new.start;
            match self.means(old_ref, new_ref) {
                Means::Same if in_place => {}
                Means::If(pair) if in_place => pairs.push(pair),
                _ => return None,
            }
        }
        Some(pairs)
    }
}

/// Whether the author may call a difference harmless. Of data only the content: code that was compiled for another
/// size, or for data that can be written, must not meet the running system's.
fn can_be_ignored(kind: Kind, look: &Look) -> bool {
    kind != Kind::Data
        || !matches!(
            look.own,
            Some(Reason::Size(..) | Reason::Flags | Reason::Alignment(..))
        )
}

/// What a datum of one use is called, if anything.
fn per_use_name<'v>(view: &'v View<'_>, id: BundleId) -> Option<Cow<'v, str>> {
    let named = view.bundles.get(id).owner;
    named.map(|_| canonical(view.name(id), view.object.compiler))
}

fn same_if(same: bool) -> Means {
    if same { Means::Same } else { Means::Other }
}

/// What is read of a string from an offset on.
fn text<'v>(view: &'v View<'_>, (id, offset): (BundleId, i64)) -> Option<&'v [u8]> {
    view.bytes_of(id).get(usize::try_from(offset).ok()?..)
}

/// An entry without its line number. The last one of a section may lack its padding.
fn entry_bytes(view: &View<'_>, entry: &Entry) -> Vec<u8> {
    let line = line_field(view, entry).unwrap_or((0, 0));
    let bytes = view
        .object
        .section(entry.section)
        .bytes(entry.start, entry.start + entry.len);
    let (_, rest): (Vec<u64>, Vec<u8>) = (0..)
        .zip(bytes)
        .filter(|(at, _)| !(line.0..line.1).contains(at))
        .unzip();
    rest.into_iter()
        .chain(std::iter::repeat(0))
        .take(entry.len as usize)
        .collect()
}

/// The line number of an entry that tells one stands behind the name of a source file; in kernels without the names
/// (CONFIG_DEBUG_BUGVERBOSE off) flags stand where it would be.
fn line_field(view: &View<'_>, entry: &Entry) -> Option<(u64, u64)> {
    if !entry.special.line {
        return None;
    }
    let refs = refs_of(view, entry);
    let is_file = |reference: &&Ref| match reference.target {
        Target::Bundle { id, offset } if view.bundles.get(id).kind == Kind::String => {
            text(view, (id, offset)).is_some_and(names_source_file)
        }
        _ => false,
    };
    let file = refs.iter().rfind(is_file)?;
    let behind = file.offset - entry.start + 4;
    Some((behind, behind + 2))
}

/// Whether two strings are `mm/vmstat.c:2006`, with their NUL, of the same file: lockdep names a timer after where it is
/// declared (`__TIMER_LOCKDEP_MAP_INIT`, linux/timer.h).
fn is_same_line_tag(old: &[u8], new: &[u8]) -> bool {
    let file = |text: &[u8]| {
        let text = std::str::from_utf8(text.strip_suffix(b"\0")?).ok()?;
        let (file, line) = text.rsplit_once(':')?;
        let is_number = !line.is_empty() && line.bytes().all(|byte| byte.is_ascii_digit());
        let is_tag = is_number && line::is_file_name(file);
        is_tag.then(|| file.to_owned())
    };
    matches!((file(old), file(new)), (Some(was), Some(is)) if was == is)
}

/// `mm/slub.c`, with its NUL.
fn names_source_file(text: &[u8]) -> bool {
    let endings: [&[u8]; 5] = [b".c\0", b".h\0", b".S\0", b".rs\0", b".inc\0"];
    endings.iter().any(|ending| text.ends_with(ending))
}

/// A dynamic debug descriptor holds a line number among its bits, and so does the tag of a memory allocation; what they
/// say is in their references (`struct _ddebug`, linux/dynamic_debug.h; `struct codetag`, linux/codetag.h).
fn is_line_only(section: &str) -> bool {
    matches!(section, "__dyndbg" | "__verbose" | "alloc_tags") || section.starts_with(".codetag.")
}

/// The undefined behaviour sanitizer describes each place in a datum that holds file, line and column
/// (`struct source_location`, lib/ubsan.h). gcc and clang name their sections in their own ways.
fn is_sanitizer_report(section: &str) -> bool {
    section.contains(".Lubsan_data") || section.contains("__unnamed_")
}

/// `mm/slub.c`, with its NUL.
fn is_source_name(text: &[u8]) -> bool {
    let name = text.strip_suffix(b"\0");
    name.and_then(|name| std::str::from_utf8(name).ok())
        .is_some_and(line::is_file_name)
}

/// The name of a source file that a reference goes to.
fn source_name<'v>(view: &'v View<'_>, reference: &Ref) -> Option<&'v [u8]> {
    match reference.target {
        Target::Bundle { id, offset } if view.bundles.get(id).kind == Kind::String => {
            text(view, (id, offset)).filter(|text| is_source_name(text))
        }
        _ => None,
    }
}

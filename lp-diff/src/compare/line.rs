//! Recognises code that differs in nothing but source line numbers.
//!
//! `__LINE__` ends up as a constant argument of a call (`__might_sleep(file, line)`, a formatted
//! `"failed at %s (%d)"`), so code below an edit differs although nobody changed it. A constant is taken for a line
//! number only if the argument before it is the name of a source file or of the function, if the debug information
//! knows code of this function at both lines, and if all of them, in the whole object, tell one story: later lines
//! stay later. The tempting wrong ways are a list of known callees, which is
//! never complete, and to believe any changed constant, which would lose a fix.

use super::Comparer;
use crate::arch::ChangedConstant;
use crate::bundle::{Bundle, BundleId, Kind};
use crate::dwarf::DebugInfo;
use crate::reference::{Target, View};
use std::collections::{BTreeMap, BTreeSet};

/// Line numbers before and after, of the functions that differ in nothing else.
#[derive(Debug, Default)]
pub(super) struct LineShifts {
    /// Each function's twin, and its lines before and after.
    shifts: BTreeMap<BundleId, (BundleId, Vec<(u64, u64)>)>,
}

impl LineShifts {
    /// Collects a function if line numbers are all that differs in its instructions.
    pub(super) fn collect(&mut self, comparer: &Comparer<'_, '_>, twin: BundleId, id: BundleId) {
        let (old, new) = (comparer.orig.bytes_of(twin), comparer.patched.bytes_of(id));
        let Some(constants) = comparer.arch.changed_constants(old, new) else {
            return;
        };
        if !constants.is_empty()
            && constants.iter().all(|constant| {
                is_line(comparer, id, constant) && known_line(comparer, twin, id, constant)
            })
        {
            let lines = constants.iter().map(|found| (found.orig, found.patched));
            self.shifts.insert(id, (twin, lines.collect()));
        }
    }

    /// Whether a function was collected.
    pub(super) fn has(&self, id: BundleId) -> bool {
        self.shifts.contains_key(&id)
    }

    /// Whether none was.
    pub(super) fn is_empty(&self) -> bool {
        self.shifts.is_empty()
    }

    /// Keeps those whose pair of original and patched function is wanted.
    pub(super) fn retain(&mut self, wanted: impl Fn((BundleId, BundleId)) -> bool) {
        self.shifts.retain(|id, (twin, _)| wanted((*twin, *id)));
    }

    /// The functions whose line numbers agree with those of all the others.
    pub(super) fn agreed(&self) -> BTreeSet<BundleId> {
        let lines = || self.shifts.values().flat_map(|(_, lines)| lines);
        let all: BTreeMap<u64, u64> = lines().copied().collect();
        let in_order = all
            .values()
            .zip(all.values().skip(1))
            .all(|(one, next)| one < next);
        let one_story = lines().all(|(old, new)| all.get(old) == Some(new));
        if in_order && one_story {
            self.shifts.keys().copied().collect()
        } else {
            BTreeSet::new()
        }
    }
}

/// Whether code of the function comes from the line that the constant says, on both sides. Without debug information
/// there is nothing to ask.
fn known_line(
    comparer: &Comparer<'_, '_>,
    twin: BundleId,
    id: BundleId,
    constant: &ChangedConstant,
) -> bool {
    match (comparer.orig_debug.get(), comparer.patched_debug.get()) {
        (Some(orig), Some(patched)) => {
            has_line(orig, comparer.orig.bundles.get(twin), constant.orig)
                && has_line(patched, comparer.patched.bundles.get(id), constant.patched)
        }
        (None, None) => true,
        _ => false,
    }
}

fn has_line(debug: &DebugInfo<'_>, bundle: &Bundle, line: u64) -> bool {
    let mut rows = debug
        .lines()
        .rows(bundle.section, bundle.start, bundle.end());
    rows.any(|row| row.line.is_some_and(|(_, found)| u64::from(found) == line))
}

/// Whether the argument before the constant names a place in the source.
fn is_line(comparer: &Comparer<'_, '_>, id: BundleId, constant: &ChangedConstant) -> bool {
    let view = comparer.patched;
    let bundle = view.bundles.get(id);
    let (start, end) = constant.call;
    let refs = view
        .refs
        .of(bundle.section, bundle.start + start, bundle.start + end);
    refs.iter().any(|reference| match reference.target {
        Target::Bundle { id: name, offset } => {
            let field = reference.offset - bundle.start;
            names_source(view, name, offset)
                && comparer
                    .arch
                    .argument_at(view.bytes_of(id), start, field)
                    .map(|name| name + 1)
                    == Some(constant.argument)
        }
        _ => false,
    })
}

fn names_source(view: &View<'_>, id: BundleId, offset: i64) -> bool {
    let bytes = view.bytes_of(id);
    match view.bundles.get(id).kind {
        Kind::String => usize::try_from(offset)
            .ok()
            .and_then(|offset| bytes.get(offset..))
            .is_some_and(is_source_name),
        Kind::PerUse => matches!(
            crate::name::source_function(view.name(id)),
            "__func__" | "__FUNCTION__" | "__PRETTY_FUNCTION__"
        ),
        _ => false,
    }
}

/// `mm/slub.c`, with its NUL.
fn is_source_name(text: &[u8]) -> bool {
    let Some((0, name)) = text.split_last() else {
        return false;
    };
    let legal = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-./+".contains(byte);
    name.len() > 2 && name.iter().all(legal) && (name.ends_with(b".c") || name.ends_with(b".h"))
}

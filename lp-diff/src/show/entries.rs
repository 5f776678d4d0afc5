//! What special sections say about an instruction, in a few words: it may fault, it traps, it is replaced at start.
//!
//! Only what the instructions do not say themselves: unwind tables, return sites and the like are left out.

use super::names::Side;
use crate::arch::text::{SpanKind, Syntax};
use crate::bundle::{BundleId, Kind};
use crate::reference::{Ref, Target};
use crate::special::{Entry, refs_of};

/// Instructions of code without a name that are shown.
const FRAGMENT_INSNS: usize = 3;
/// `BUGFLAG_WARNING` (include/asm-generic/bug.h).
const BUGFLAG_WARNING: u16 = 1;

/// A remark about the code at an offset of a bundle.
pub(super) struct Remark {
    /// Bytes from the bundle's start.
    pub(super) offset: i64,
    /// What it says.
    pub(super) parts: Vec<Part>,
}

/// A piece of a remark.
pub(super) enum Part {
    Words(String),
    /// What this refers to.
    Ref(Ref),
}

/// All remarks about a bundle, in the order of the sections.
pub(super) fn remarks(side: &Side<'_, '_>, id: BundleId, syntax: Syntax) -> Vec<Remark> {
    side.entries
        .of(id)
        .filter_map(|entry| remark(side, &entry, syntax))
        .collect()
}

fn remark(side: &Side<'_, '_>, entry: &Entry, syntax: Syntax) -> Option<Remark> {
    let refs = refs_of(side.view, entry);
    let Target::Bundle { offset, .. } = refs.first()?.target else {
        return None;
    };
    let words = |words: &str| Part::Words(words.to_owned());
    let nth = |before: &str, index: usize| {
        let found = refs
            .get(index)
            .map(|found| [words(before), Part::Ref(*found)]);
        found.into_iter().flatten()
    };
    let mut parts = Vec::new();
    match entry.special.name {
        "__bug_table" => parts.push(words(bug(side, entry))),
        "__ex_table" => {
            parts.push(words("may fault → "));
            parts.extend(
                refs.get(1)
                    .map(|fixup| fixup_parts(side, fixup, syntax))
                    .into_iter()
                    .flatten(),
            );
        }
        "__jump_table" => parts.extend(nth("jump label ", 2).chain(nth(" → ", 1))),
        ".static_call_sites" => parts.extend(nth("static call ", 1)),
        ".altinstructions" => parts = alternative(side, entry, refs.get(1), syntax),
        ".parainstructions" => parts.push(words("paravirt")),
        "__patchable_function_entries" => parts.push(words("ftrace site")),
        _ => return None,
    }
    Some(Remark { offset, parts })
}

/// Where the code goes on after a fault: a place in it, or code of its own that older kernels keep in `.fixup`.
fn fixup_parts(side: &Side<'_, '_>, fixup: &Ref, syntax: Syntax) -> Vec<Part> {
    fragment(side, fixup, syntax).unwrap_or_else(|| vec![Part::Ref(*fixup)])
}

/// The flags are the last two bytes with CONFIG_DEBUG_BUGVERBOSE, and come after the 4-byte address without.
fn bug(side: &Side<'_, '_>, entry: &Entry) -> &'static str {
    let bytes = entry_bytes(side, entry);
    let at = if entry.len == 8 {
        4
    } else {
        (entry.len as usize).saturating_sub(2)
    };
    match bytes.get(at..at + 2) {
        Some([low, high]) if u16::from_le_bytes([*low, *high]) & BUGFLAG_WARNING != 0 => "WARN",
        Some(_) => "BUG",
        None => "bug table",
    }
}

fn entry_bytes<'s>(side: &Side<'s, '_>, entry: &Entry) -> &'s [u8] {
    side.view
        .object
        .section(entry.section)
        .bytes(entry.start, entry.start.saturating_add(entry.len))
}

/// `u16 cpuid` or the low half of `u32 ft_flags` comes after the two offsets (asm/alternative.h).
fn alternative(
    side: &Side<'_, '_>,
    entry: &Entry,
    replacement: Option<&Ref>,
    syntax: Syntax,
) -> Vec<Part> {
    let feature = match entry_bytes(side, entry).get(8..10) {
        Some([low, high]) => format!("{}", u16::from_le_bytes([*low, *high])),
        _ => "?".to_owned(),
    };
    match replacement.and_then(|replacement| fragment(side, replacement, syntax)) {
        Some(mut code) => {
            code.insert(0, Part::Words(format!("with cpu feature {feature}: ")));
            code
        }
        None => vec![Part::Words(format!("replaced with cpu feature {feature}"))],
    }
}

/// The first instructions of the code without a name that a reference goes to.
fn fragment(side: &Side<'_, '_>, reference: &Ref, syntax: Syntax) -> Option<Vec<Part>> {
    let Target::Bundle { id, offset: 0 } = reference.target else {
        return None;
    };
    let bundle = side.view.bundles.get(id);
    if bundle.kind != Kind::Fragment {
        return None;
    }
    let refs: Vec<Ref> = side.view.refs_of(id).collect();
    let fields: Vec<u64> = refs.iter().map(|found| found.offset).collect();
    let code = side.view.bytes_of(id);
    let code = &code[..code.len().min(16 * FRAGMENT_INSNS)];
    let insns = side.arch.instructions(code, bundle.start, &fields, syntax);
    let mut parts = Vec::new();
    for (insn, number) in insns.iter().take(FRAGMENT_INSNS).zip(0..) {
        if number > 0 {
            parts.push(Part::Words("; ".to_owned()));
        }
        parts.extend(insn.spans.iter().map(|span| match span.kind {
            SpanKind::Field(at) => referred(&refs, at),
            SpanKind::Branch(to) => Part::Words(format!(
                "{:+#x}",
                (to as i64).wrapping_sub(bundle.start as i64)
            )),
            _ => Part::Words(one_blank(&span.text)),
        }));
    }
    if insns.len() > FRAGMENT_INSNS {
        parts.push(Part::Words("; …".to_owned()));
    }
    Some(parts)
}

fn referred(refs: &[Ref], field: u64) -> Part {
    match refs.binary_search_by_key(&field, |found| found.offset) {
        Ok(index) => Part::Ref(refs[index]),
        Err(_) => Part::Words("?".to_owned()),
    }
}

/// Columns are of no use in a comment.
fn one_blank(text: &str) -> String {
    let rest = text.trim_start();
    let blank = if rest.len() < text.len() { " " } else { "" };
    format!("{blank}{rest}")
}

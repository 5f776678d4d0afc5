//! What special sections say about an instruction, in a few words: it may fault, it traps, it is replaced at start.
//!
//! Only what the instructions do not say themselves: unwind tables, return sites and the like are left out.

use super::Ink;
use super::names::{Named, Side};
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
    /// Words before the references.
    pub(super) words: String,
    /// What it refers to besides, with the words before each.
    pub(super) refs: Vec<(&'static str, Ref)>,
}

/// All remarks about a bundle, in the order of the sections.
pub(super) fn remarks(side: &Side<'_, '_>, id: BundleId, syntax: Syntax) -> Vec<Remark> {
    side.entries
        .of(id)
        .iter()
        .filter_map(|entry| remark(side, entry, syntax))
        .collect()
}

fn remark(side: &Side<'_, '_>, entry: &Entry, syntax: Syntax) -> Option<Remark> {
    let refs = refs_of(side.view, entry);
    let Target::Bundle { offset, .. } = refs.first()?.target else {
        return None;
    };
    let nth = |words: &'static str, index: usize| refs.get(index).map(|found| (words, *found));
    let (words, refs) = match entry.special.name {
        "__bug_table" => (bug(side, entry).to_owned(), vec![]),
        "__ex_table" => fault(side, refs.get(1), syntax),
        "__jump_table" => (
            "jump label".to_owned(),
            nth(" ", 2).into_iter().chain(nth(" → ", 1)).collect(),
        ),
        ".static_call_sites" => ("static call".to_owned(), Vec::from_iter(nth(" ", 1))),
        ".altinstructions" => (alternative(side, entry, refs.get(1), syntax), vec![]),
        ".parainstructions" => ("paravirt".to_owned(), vec![]),
        "__patchable_function_entries" => ("ftrace site".to_owned(), vec![]),
        _ => return None,
    };
    Some(Remark {
        offset,
        words,
        refs,
    })
}

/// Where the code goes on after a fault: a place in it, or code of its own that older kernels keep in `.fixup`.
fn fault(
    side: &Side<'_, '_>,
    fixup: Option<&Ref>,
    syntax: Syntax,
) -> (String, Vec<(&'static str, Ref)>) {
    match fixup.and_then(|fixup| fragment(side, fixup, syntax)) {
        Some(code) => (format!("may fault → {code}"), vec![]),
        None => (
            "may fault".to_owned(),
            fixup.map(|fixup| (" → ", *fixup)).into_iter().collect(),
        ),
    }
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
) -> String {
    let feature = match entry_bytes(side, entry).get(8..10) {
        Some([low, high]) => format!("{}", u16::from_le_bytes([*low, *high])),
        _ => "?".to_owned(),
    };
    let code = replacement.and_then(|replacement| fragment(side, replacement, syntax));
    match code {
        Some(code) => format!("with cpu feature {feature}: {code}"),
        None => format!("replaced with cpu feature {feature}"),
    }
}

/// The first instructions of the code without a name that a reference goes to.
fn fragment(side: &Side<'_, '_>, reference: &Ref, syntax: Syntax) -> Option<String> {
    let Target::Bundle { id, offset: 0 } = reference.target else {
        return None;
    };
    let is_fragment = side.view.bundles.get(id).kind == Kind::Fragment;
    is_fragment.then(|| fragment_text(side, id, syntax))
}

fn fragment_text(side: &Side<'_, '_>, id: BundleId, syntax: Syntax) -> String {
    let bundle = side.view.bundles.get(id);
    let refs = side.view.refs_of(id);
    let fields: Vec<u64> = refs.iter().map(|found| found.offset).collect();
    let code = side.view.bytes_of(id);
    let code = &code[..code.len().min(16 * FRAGMENT_INSNS)];
    let insns = side.arch.instructions(code, bundle.start, &fields, syntax);
    let text = |kind: SpanKind, text: &str| match kind {
        SpanKind::Field(at) => named_at(side, refs, at).text,
        SpanKind::Branch(to) => format!("{:+#x}", to as i64 - bundle.start as i64),
        _ => text.split_whitespace().collect::<Vec<_>>().join(" "),
    };
    let shown = insns.iter().take(FRAGMENT_INSNS).map(|insn| {
        let words = insn.spans.iter().map(|span| match span.text.as_str() {
            blank if !blank.is_empty() && blank.trim().is_empty() => " ".to_owned(),
            _ => text(span.kind, &span.text),
        });
        words.collect::<String>()
    });
    let mut shown = shown.collect::<Vec<_>>().join("; ");
    if insns.len() > FRAGMENT_INSNS {
        shown.push_str("; …");
    }
    shown
}

fn named_at(side: &Side<'_, '_>, refs: &[Ref], field: u64) -> Named {
    let found = refs.binary_search_by_key(&field, |found| found.offset);
    match found {
        Ok(index) => side.name(&refs[index]),
        Err(_) => Named {
            ink: Ink::Plain,
            text: "?".to_owned(),
            key: String::new(),
            note: None,
        },
    }
}

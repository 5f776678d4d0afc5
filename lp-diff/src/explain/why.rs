//! Says why a function changed: the instructions that truly differ, their source lines, and what was inlined there.
//!
//! The two versions are aligned first, as [`crate::show`] does it, so that code which only moved is not blamed. Of what
//! differs, other registers, stack slots, pushes and pops are mostly consequences of a change elsewhere in the
//! function: they are blamed only where nothing else differs. The tempting wrong way is the first byte that differs:
//! behind an inserted instruction that is everything.

use crate::bundle::BundleId;
use crate::compare::{Comparer, Reason};
use crate::dwarf::LazyDebugInfo;
use crate::dwarf::function::Frame;
use crate::dwarf::line::SourcePlace;
use crate::object::SectionId;
use crate::report::{Function, Status};
use crate::show::{Aligned, Change, Gathering, Ink, Piece, Row, SourceLine, align_each};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::Write;

/// Places of a function that a report lists.
const LISTED: usize = 8;

/// Characters of an instruction that a sentence quotes.
const QUOTED: usize = 70;

/// A place where the two versions of a function differ.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiffPlace {
    /// Bytes from the entry of the patched function, or of its cold part; in the original where only that has code.
    pub offset: i64,
    /// What the original has there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub orig: Option<PlaceSide>,
    /// What the patched object has there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patched: Option<PlaceSide>,
    /// The functions that are inlined there, the innermost first; empty where the code is the function's own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inlined: Vec<Inlined>,
}

/// One version of such a place: its first instruction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlaceSide {
    /// Where it comes from, as far as the debug information says.
    #[serde(flatten)]
    pub source: Option<SourcePlace>,
    /// The instruction.
    pub instruction: String,
}

/// A function whose code stands in another one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inlined {
    /// The function.
    pub function: String,
    /// From where it is called.
    #[serde(flatten)]
    pub call: Option<SourcePlace>,
}

/// Why a function changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Why {
    /// One sentence, for people; `None` where its instructions say nothing.
    pub sentence: Option<String>,
    /// How many places differ.
    pub count: usize,
    /// The first of them.
    pub places: Vec<DiffPlace>,
}

/// Explains each changed function of a report, by its index there.
pub(crate) fn explain(from: &Gathering<'_, '_, '_>) -> BTreeMap<usize, Why> {
    let is_changed = |at: &usize| from.report.functions[*at].status == Status::Changed;
    let changed: Vec<usize> = (0..from.functions.len()).filter(is_changed).collect();
    let mut whys = BTreeMap::new();
    let mut next = changed.iter();
    align_each(from, changed.iter().map(|at| from.functions[*at]), |rows| {
        let why = why(from.comparer, rows);
        whys.extend(next.next().map(|at| (*at, why)));
    });
    whys
}

/// Puts what was found out into the report. Where instructions say nothing, `otherwise` does; it is not asked else.
pub(crate) fn tell(
    mut whys: BTreeMap<usize, Why>,
    functions: &mut [Function],
    otherwise: impl Fn(usize) -> Option<String>,
) {
    for (at, function) in functions.iter_mut().enumerate() {
        let why = whys.remove(&at).unwrap_or_default();
        if let Some(sentence) = why.sentence.or_else(|| otherwise(at)) {
            function.why = sentence;
        }
        function.differences = why.count;
        function.places = why.places;
    }
}

/// What was found first of a function that changed, for one whose instructions say nothing.
pub(crate) fn found_first(comparer: &Comparer<'_, '_>, id: BundleId, reason: &Reason) -> String {
    let twin = comparer.twins.orig(id);
    match reason {
        Reason::Size(old, new) => {
            let first = first_instruction(comparer, id);
            format!("{old} bytes became {new}{first}")
        }
        Reason::Bytes(offset) => {
            let first = first_instruction(comparer, id);
            format!("instructions differ at +{offset:#x}{first}")
        }
        Reason::Reference(offset) => {
            let before = twin.and_then(|twin| comparer.orig.describe_target(twin, *offset));
            let after = comparer.patched.describe_target(id, *offset);
            let word = |text: Option<String>| text.unwrap_or_else(|| "nothing".to_owned());
            format!(
                "at +{offset:#x} it refers to {}, before to {}",
                word(after),
                word(before)
            )
        }
        Reason::Entry(section) => format!("its entries in {section} differ"),
        Reason::ColdPart => "its cold part differs".to_owned(),
        Reason::Flags => "its section's flags differ".to_owned(),
        Reason::Alignment(was, is) => format!("aligned to {was} bytes, now to {is}"),
    }
}

fn first_instruction(comparer: &Comparer<'_, '_>, id: BundleId) -> String {
    let twin = comparer.twins.orig(id);
    let before = twin.map_or(&[][..], |twin| comparer.orig.bytes_of(twin));
    let after = comparer.patched.bytes_of(id);
    match comparer.arch.first_difference(before, after) {
        Some(found) => format!(
            ": at +{:#x} '{}' became '{}'",
            found.offset, found.orig, found.patched
        ),
        None => String::new(),
    }
}

fn why(comparer: &Comparer<'_, '_>, rows: &[Aligned]) -> Why {
    let worst = rows.iter().map(weight).max().unwrap_or(Weight::Same);
    if worst == Weight::Same {
        return Why::default();
    }
    let begins = |at: &usize| {
        let before = at.checked_sub(1).map(|before| &rows[before]);
        let goes_on = before
            .is_some_and(|before| weight(before) == worst && source(before) == source(&rows[*at]));
        weight(&rows[*at]) == worst && !goes_on
    };
    let starts: Vec<usize> = (0..rows.len()).filter(begins).collect();
    let places: Vec<DiffPlace> = starts
        .iter()
        .take(LISTED)
        .filter_map(|start| place(comparer, &rows[*start]))
        .collect();
    Why {
        sentence: places
            .first()
            .map(|first| sentence(first, starts.len() - 1)),
        count: starts.len(),
        places,
    }
}

fn source(row: &Aligned) -> Option<&SourceLine> {
    row.patched.as_ref().or(row.orig.as_ref())?.source.as_ref()
}

/// How much a difference says about the source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Weight {
    /// None.
    Same,
    /// The compiler's housekeeping: registers, stack slots, padding.
    Housekeeping,
    /// What is done.
    Deed,
}

fn weight(row: &Aligned) -> Weight {
    let is_housekeeping = match (row.change, &row.orig, &row.patched) {
        (Change::Same, ..) => return Weight::Same,
        (Change::Changed, Some(old), Some(new)) => {
            deed(old) == deed(new) || (is_upkeep(old) && is_upkeep(new))
        }
        (_, old, new) => old.iter().chain(new).all(is_upkeep),
    };
    if is_housekeeping {
        Weight::Housekeeping
    } else {
        Weight::Deed
    }
}

/// What an instruction does, whichever registers and stack slots it does it with.
fn deed(row: &Row) -> Vec<&str> {
    let pieces = &row.pieces;
    let is_slot = |at: usize| {
        let next = |by: usize| pieces.get(at + by).map_or("", |piece| piece.text.as_str());
        next(1).starts_with('(') && is_stack(next(2))
    };
    let counts = (0..pieces.len()).filter(|at| match pieces[*at].ink {
        Ink::Register | Ink::Label => false,
        Ink::Number => !is_slot(*at),
        _ => true,
    });
    let comment = row.comment.iter().map(|piece| piece.text.as_str());
    counts
        .map(|at| pieces[at].text.as_str())
        .chain(comment)
        .collect()
}

fn is_stack(register: &str) -> bool {
    matches!(register.trim_start_matches('%'), "rsp" | "rbp")
}

/// Whether an instruction only saves, restores, shuffles or pads.
fn is_upkeep(row: &Row) -> bool {
    let named = |ink| {
        row.pieces
            .iter()
            .filter(move |piece: &&Piece| piece.ink == ink)
    };
    let mnemonic = named(Ink::Mnemonic)
        .next()
        .map_or("", |piece| piece.text.as_str());
    let has_name = named(Ink::Symbol)
        .chain(named(Ink::String))
        .next()
        .is_some();
    let mut registers = named(Ink::Register);
    let on_stack = named(Ink::Register).any(|piece| is_stack(&piece.text));
    let has_number = named(Ink::Number).next().is_some();
    match mnemonic.trim_end_matches(['q', 'l', 'w']) {
        "push" | "pop" | "nop" | "endbr64" | "leave" | "xchg" => !has_name,
        "sub" | "add" | "lea" => on_stack && !has_name,
        "mov" => {
            !has_name && registers.nth(1).is_some() && (on_stack || !has_number) && is_move(row)
        }
        "" => row.heading,
        _ => false,
    }
}

/// Whether a `mov` has no operand in memory but the stack.
fn is_move(row: &Row) -> bool {
    let mut pieces = row
        .pieces
        .iter()
        .skip_while(|piece| !piece.text.contains('('));
    pieces
        .next()
        .is_none_or(|_| pieces.next().is_some_and(|base| is_stack(&base.text)))
}

fn place(comparer: &Comparer<'_, '_>, row: &Aligned) -> Option<DiffPlace> {
    let side = |row: &Row| PlaceSide {
        source: row.source.as_ref().map(|source| SourcePlace {
            file: source.file.to_string(),
            line: source.line,
        }),
        instruction: text(row),
    };
    let here = row.patched.as_ref().or(row.orig.as_ref())?;
    let debug = if row.patched.is_some() {
        comparer.patched_debug
    } else {
        comparer.orig_debug
    };
    Some(DiffPlace {
        offset: here.offset,
        orig: row.orig.as_ref().map(side),
        patched: row.patched.as_ref().map(side),
        inlined: inlined(debug, here.place),
    })
}

fn inlined(debug: &LazyDebugInfo<'_>, place: Option<(SectionId, u64)>) -> Vec<Inlined> {
    let frames = place.and_then(|(section, offset)| Some(debug.get()?.frames(section, offset)));
    let mut frames = frames.unwrap_or_default();
    // The last one is the function itself.
    frames.pop();
    let inlined = |frame: Frame| Inlined {
        function: frame.function,
        call: frame.call,
    };
    frames.into_iter().map(inlined).collect()
}

/// An instruction's text; the names of places in the function mean nothing outside a listing.
fn text(row: &Row) -> String {
    let joined = |pieces: &[Piece]| {
        let named = pieces.iter().filter(|piece| piece.ink != Ink::Label);
        let text: String = named.map(|piece| piece.text.as_str()).collect();
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let comment = joined(&row.comment);
    let remark = if comment.is_empty() {
        comment
    } else {
        format!(" ({comment})")
    };
    joined(&row.pieces) + &remark
}

/// `tcp_mark changed at net/tcp.h:30 and is inlined at net/tcp.c:9: 'sar %eax' became 'sar $2,%eax' (2 more places)`.
fn sentence(place: &DiffPlace, more: usize) -> String {
    let source = |side: &Option<PlaceSide>| side.as_ref()?.source.clone();
    let mut text = String::new();
    // Writing to a string cannot fail.
    if let Some(source) = source(&place.patched).or_else(|| source(&place.orig)) {
        if let Some(inner) = place.inlined.first() {
            let _ = write!(text, "{} ", inner.function);
        }
        let _ = write!(text, "changed at {source}");
        for (at, inlined) in place.inlined.iter().enumerate() {
            let _ = match at {
                0 => write!(text, " and is inlined"),
                _ => write!(text, " in {}, inlined", inlined.function),
            };
            if let Some(call) = &inlined.call {
                let _ = write!(text, " at {call}");
            }
        }
    } else {
        // What stands in front of an entry (`__cfi_`, `__pfx_`) belongs to the function.
        let offset = place.offset;
        let sign = if offset < 0 { '-' } else { '+' };
        let _ = write!(text, "changed at {sign}{:#x}", offset.unsigned_abs());
    }
    let quoted = |side: &PlaceSide| -> String { side.instruction.chars().take(QUOTED).collect() };
    let _ = match (&place.orig, &place.patched) {
        (Some(old), Some(new)) => write!(text, ": '{}' became '{}'", quoted(old), quoted(new)),
        (Some(old), None) => write!(text, ": '{}' is gone", quoted(old)),
        (None, Some(new)) => write!(text, ": '{}' is new", quoted(new)),
        (None, None) => Ok(()),
    };
    let _ = match more {
        0 => Ok(()),
        1 => write!(text, " (and at one more place)"),
        _ => write!(text, " (and at {more} more places)"),
    };
    text
}

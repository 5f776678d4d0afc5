//! A difference in words: the instruction, and what it refers to.
//!
//! Written as objdump writes it (AT&T), because that is what people compare it with. The tempting wrong way is to
//! print the operand: in an object that is not linked every call goes to 0.

use super::compare::Theirs;
use super::insn::{self, Insn};
use super::orig::{Function, Orig, Referent, Relocation};
use super::symbols::Place;
use super::target::Target;
use super::unit::Candidate;
use iced_x86::{Formatter, GasFormatter};

const END: &str = "(the function ends)";
/// Bytes of a string that are shown.
const SHOWN: usize = 120;

/// Our instruction at an offset of a function.
pub(super) fn ours(orig: &Orig<'_>, function: &Function, at: u64) -> String {
    let Some(insn) = find(insn::decode(orig.code(function), function.offset), at) else {
        return END.to_owned();
    };
    let start = function.offset + insn.offset;
    let relocations = orig.relocations(function.section, start, insn.len() as u64);
    let referents = relocations
        .iter()
        .map(|relocation| our_referent(orig, &insn, start, relocation));
    text(&insn, referents.collect())
}

/// Their instruction at an offset of a candidate.
pub(super) fn theirs(target: &Target, candidate: &Candidate, at: u64) -> String {
    let Some(theirs) = Theirs::read(target, candidate.place, candidate.size) else {
        return END.to_owned();
    };
    let Some(insn) = find(insn::decode(&theirs.code, theirs.start.offset), at) else {
        return END.to_owned();
    };
    let start = theirs.start.plus(insn.offset);
    let relocations = target.relocations(start, insn.len() as u64);
    let mut referents: Vec<_> = relocations
        .iter()
        .map(|relocation| {
            String::from_utf8_lossy(target.symbols.name(relocation.symbol)).into_owned()
        })
        .filter(|name| !name.is_empty())
        .collect();
    if referents.is_empty() && insn.relative_field().is_some() {
        referents.extend(place_name(
            target,
            Place {
                offset: insn.relative_target(),
                ..theirs.start
            },
        ));
    }
    text(&insn, referents)
}

fn find(insns: Vec<Insn>, at: u64) -> Option<Insn> {
    insns.into_iter().find(|insn| insn.offset == at)
}

fn text(insn: &Insn, referents: Vec<String>) -> String {
    let mut text = String::new();
    GasFormatter::new().format(&insn.instruction, &mut text);
    if !referents.is_empty() {
        text.push_str(" -> ");
        text.push_str(&referents.join(", "));
    }
    text
}

fn our_referent(orig: &Orig<'_>, insn: &Insn, start: u64, relocation: &Relocation<'_>) -> String {
    let at = (relocation.offset - start) as i64;
    let relative = insn::field(relocation.kind, 0)
        .is_some_and(|field| field.kind == insn::FieldKind::PcRelative);
    let addend = if relative {
        relocation.addend + insn.len() as i64 - at
    } else {
        relocation.addend
    };
    let (name, offset) = match relocation.referent {
        Referent::Global { name, .. } => (name, addend),
        Referent::Absolute(value) => (&b""[..], addend.wrapping_add(value as i64)),
        Referent::Local { section, offset } => {
            let offset = addend.wrapping_add(offset as i64);
            if let Some(text) = orig.mergeable(section, offset).and_then(quoted) {
                return text;
            }
            let same = |place: i64| offset == place;
            let named = orig
                .definitions
                .iter()
                .find(|one| one.section == section && same(one.offset as i64));
            let section = orig
                .sections
                .get(section)
                .map_or(&b""[..], |section| section.name);
            named.map_or((section, offset), |definition| (definition.name, 0))
        }
    };
    with_offset(name, offset)
}

/// What is at a place: a string where there is one that no symbol covers, or else a symbol.
fn place_name(target: &Target, place: Place) -> Option<String> {
    let before = target.symbols.before(place);
    let size = |index| target.symbols.get(index).map_or(0, |symbol| symbol.size);
    let is_covered = before.is_some_and(|(index, offset)| offset == 0 || offset < size(index));
    if let Some(text) = string_at(target, place).filter(|_| !is_covered) {
        return Some(text);
    }
    let (symbol, offset) = before?;
    Some(with_offset(target.symbols.name(symbol), offset as i64))
}

fn string_at(target: &Target, place: Place) -> Option<String> {
    let mut bytes = Vec::new();
    while bytes.len() <= SHOWN && bytes.last() != Some(&0) {
        bytes.extend(target.read(place.plus(bytes.len() as u64), 1)?);
    }
    quoted(&bytes)
}

/// A string as C writes it, cut where it is long; none where it is no text.
fn quoted(bytes: &[u8]) -> Option<String> {
    let text = bytes.split(|&byte| byte == 0).next()?;
    let printable = |&byte: &u8| matches!(byte, b' '..=b'~' | b'\n' | b'\t');
    if text.is_empty() || !text.iter().all(printable) {
        return None;
    }
    let more = if text.len() > SHOWN { ".." } else { "" };
    let shown = text.get(..SHOWN).unwrap_or(text).escape_ascii();
    Some(format!("\"{shown}\"{more}"))
}

fn with_offset(name: &[u8], offset: i64) -> String {
    let name = String::from_utf8_lossy(name);
    match offset {
        0 => name.into_owned(),
        offset if offset > 0 => format!("{name}+{offset:#x}"),
        offset => format!("{name}-{:#x}", offset.unsigned_abs()),
    }
}

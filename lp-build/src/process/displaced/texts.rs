//! Texts of a read-only section that are not as long in the other build: where it was built, with which options.
//!
//! Compilers and linkers sort texts by their lengths and join what ends alike, so that where one is tells of no other. Between two data of
//! which references tell, what is not the same must be text in both builds. The tempting wrong way is to let anything be of another
//! length: a longer table is of another source.

use std::ffi::CStr;
use std::ops::Range;

/// The contents of a section in both builds, with the addresses where they begin.
#[derive(Debug)]
pub(super) struct Contents {
    pub(super) ours: (u64, Vec<u8>),
    pub(super) theirs: (u64, Vec<u8>),
    /// By how much the code moved: tables of distances to it (`switch`) change by what they and the code moved.
    pub(super) code: i64,
}

/// What a piece of the section is in both builds, beside what is the same at its beginning and at its end.
pub(super) enum Piece {
    Same,
    OtherText,
    Other,
}

impl Contents {
    /// The texts that are at an address of ours and at one of theirs, if both are.
    pub(super) fn texts(&self, ours: u64, theirs: u64) -> Option<(&str, &str)> {
        text(&self.ours, ours).zip(text(&self.theirs, theirs))
    }

    /// A piece of ours that moved by `first` at its beginning and by `last` at its end.
    pub(super) fn piece(&self, range: Range<u64>, (first, last): (i64, i64)) -> Piece {
        let place = range.start.wrapping_add_signed(first)..range.end.wrapping_add_signed(last);
        let pair = cut(&self.ours, range.clone()).zip(cut(&self.theirs, place));
        let Some((ours, theirs)) = pair else {
            return Piece::Other;
        };
        let start = same_at_start((ours, theirs), range.start, first.wrapping_sub(self.code));
        let (ours, theirs) = (&ours[start..], &theirs[start..]);
        let end = same_at_end((ours, theirs), range.end, last.wrapping_sub(self.code));
        let (ours, theirs) = (&ours[..ours.len() - end], &theirs[..theirs.len() - end]);
        match (ours, theirs) {
            ([], []) => Piece::Same,
            _ if are_texts(ours) && are_texts(theirs) => Piece::OtherText,
            _ => Piece::Other,
        }
    }
}

fn cut((start, bytes): &(u64, Vec<u8>), range: Range<u64>) -> Option<&[u8]> {
    let at = |address: u64| usize::try_from(address.checked_sub(*start)?).ok();
    bytes.get(at(range.start)?..at(range.end)?)
}

/// How many bytes are the same, distances to code among them, which are `by` less where the table moved by that.
fn same_at_start((ours, theirs): (&[u8], &[u8]), address: u64, by: i64) -> usize {
    let mut at = 0;
    loop {
        let (own, other) = (&ours[at..], &theirs[at..]);
        let is_aligned = address.wrapping_add(at as u64).is_multiple_of(4);
        at += match (own.first_chunk(), other.first_chunk()) {
            (Some(own), Some(other)) if is_aligned && is_distance(*own, *other, by) => 4,
            _ if !own.is_empty() && own.first() == other.first() => 1,
            _ => return at,
        };
    }
}

/// The same from the end, which is at this address.
fn same_at_end((ours, theirs): (&[u8], &[u8]), address: u64, by: i64) -> usize {
    let mut end = 0;
    loop {
        let (own, other) = (&ours[..ours.len() - end], &theirs[..theirs.len() - end]);
        let is_aligned = address.wrapping_sub(end as u64).is_multiple_of(4);
        end += match (own.last_chunk(), other.last_chunk()) {
            (Some(own), Some(other)) if is_aligned && is_distance(*own, *other, by) => 4,
            _ if !own.is_empty() && own.last() == other.last() => 1,
            _ => return end,
        };
    }
}

fn is_distance(ours: [u8; 4], theirs: [u8; 4], by: i64) -> bool {
    let (ours, theirs) = (i32::from_le_bytes(ours), i32::from_le_bytes(theirs));
    i64::from(ours) - i64::from(theirs) == by
}

/// A text that is not empty, as C has them.
fn text((start, bytes): &(u64, Vec<u8>), address: u64) -> Option<&str> {
    let at = usize::try_from(address.checked_sub(*start)?).ok()?;
    let text = CStr::from_bytes_until_nul(bytes.get(at..)?)
        .ok()?
        .to_str()
        .ok()?;
    (!text.is_empty() && text.chars().all(is_printed)).then_some(text)
}

/// Whether there are but texts, of which the first and the last may be parts, and what fills up to the next datum.
fn are_texts(bytes: &[u8]) -> bool {
    let is_inside = |byte: &&u8| *byte & 0xc0 == 0x80;
    let cut = bytes.iter().take(3).take_while(is_inside).count();
    let all = bytes[cut..].utf8_chunks().collect::<Vec<_>>();
    let Some((last, first)) = all.split_last() else {
        return true;
    };
    let is_printed = |text: &str| text.chars().all(|char| char == '\0' || is_printed(char));
    // One chunk and the next have something between them that is no text.
    first.is_empty() && is_printed(last.valid()) && last.invalid().len() < 4
}

fn is_printed(char: char) -> bool {
    // The last begins a terminal's commands.
    !char.is_control() || matches!(char, '\t' | '\n' | '\r' | '\x1b')
}

//! Where two versions of a file differ, by lines, so that no item is cut in the middle.
//!
//! `diff` knows lines and not functions: of a function that came between two others it may say that it came in the middle of one
//! of them, since they end alike.

use std::ops::Range;
use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};

use super::items::Item;
use crate::command;

/// Lines that differ.
pub(crate) type Hunk = (Range<usize>, Range<usize>);

/// Where two files differ, by `diff`.
pub(crate) fn hunks(old: &Path, new: &Path) -> Result<Vec<Hunk>> {
    let mut diff = Command::new("diff");
    diff.args(["--unified=0", "--text", "--new-file"])
        .arg(old)
        .arg(new);
    let output = command::output(&mut diff)?;
    // 1: they differ.
    if output.status.code().is_none_or(|code| code > 1) {
        bail!("{}: {}", command::line(&diff), output.status);
    }
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text.lines().filter_map(hunk).collect())
}

/// `@@ -3,0 +4,2 @@`: behind line 3 there are the lines 4 and 5 now.
fn hunk(line: &str) -> Option<Hunk> {
    let (ranges, _) = line.strip_prefix("@@ -")?.split_once(" @@")?;
    let (old, new) = ranges.split_once(" +")?;
    let range = |text: &str| -> Option<Range<usize>> {
        let (start, length) = text.split_once(',').unwrap_or((text, "1"));
        let (start, length): (usize, usize) = (start.parse().ok()?, length.parse().ok()?);
        let start = if length == 0 {
            start
        } else {
            start.checked_sub(1)?
        };
        Some(start..start + length)
    };
    Some((range(old)?, range(new)?))
}

/// The hunks, each shifted where the same lines can be called new in two ways.
pub(crate) fn shifted(
    hunks: &[Hunk],
    (old, new): (&[String], &[String]),
    items: (&[Item], &[Item]),
) -> Vec<Hunk> {
    let mut found = Vec::new();
    let mut last = (0, 0);
    for (number, hunk) in hunks.iter().enumerate() {
        let end = (old.len()..old.len(), new.len()..new.len());
        let next = hunks.get(number + 1).unwrap_or(&end);
        let free = |from: (usize, usize), to: (usize, usize)| {
            (to.0.saturating_sub(from.0)).min(to.1.saturating_sub(from.1))
        };
        let above = free(last, (hunk.0.start, hunk.1.start));
        let below = free((hunk.0.end, hunk.1.end), (next.0.start, next.1.start));
        let hunk = shift(hunk, old, new, items, (above, below));
        last = (hunk.0.end, hunk.1.end);
        found.push(hunk);
    }
    found
}

/// The same difference, called so that it begins with an item where that is possible: of `} int g() { }` between two functions.
/// `free` are the lines before and behind it that no other hunk has.
fn shift(
    hunk: &Hunk,
    old: &[String],
    new: &[String],
    items: (&[Item], &[Item]),
    free: (usize, usize),
) -> Hunk {
    let (lines, items, range) = match (hunk.0.is_empty(), hunk.1.is_empty()) {
        (true, false) => (new, items.1, &hunk.1),
        (false, true) => (old, items.0, &hunk.0),
        _ => return hunk.clone(),
    };
    let starts = |at: usize| items.iter().any(|item| item.lines.start == at);
    let same = |one: Option<usize>, other: Option<usize>| {
        let line = |at: Option<usize>| lines.get(at?);
        line(one).is_some() && line(one) == line(other)
    };
    let up = (0..=free.0).take_while(|shift| {
        let last = |at: usize| at.checked_sub(*shift);
        *shift == 0 || same(last(range.start), last(range.end))
    });
    let down = (1..=free.1).take_while(|shift| {
        let next = |at: usize| Some(at + shift - 1);
        same(next(range.start), next(range.end))
    });
    let moved = |range: &Range<usize>, by: usize, is_up: bool| match is_up {
        true => range.start - by..range.end - by,
        false => range.start + by..range.end + by,
    };
    let mut ways = up
        .map(|shift| (shift, true))
        .chain(down.map(|shift| (shift, false)));
    let found = ways.find(|(shift, is_up)| starts(moved(range, *shift, *is_up).start));
    let (shift, is_up) = found.unwrap_or((0, true));
    (moved(&hunk.0, shift, is_up), moved(&hunk.1, shift, is_up))
}

/// The same differences, wider where a hunk begins or ends in the middle of two items that are not the same one: a function's last
/// lines are equal to those of a new one before it, and `diff` takes them for its.
pub(crate) fn widened(hunks: Vec<Hunk>, before: &[Item], after: &[Item]) -> Vec<Hunk> {
    let ends = |items: &[Item]| items.last().map_or(0, |item| item.lines.end);
    let ends = (ends(before), ends(after));
    let mut widened = Vec::<Hunk>::new();
    let mut rest = hunks.into_iter().peekable();
    while let Some(mut hunk) = rest.next() {
        while let Some(lines) = up(&hunk, before, after) {
            match widened.last() {
                Some(last) if hunk.0.start < last.0.end + lines => {
                    hunk = (last.0.start..hunk.0.end, last.1.start..hunk.1.end);
                    widened.pop();
                }
                _ => {
                    let lines = lines.min(hunk.0.start).min(hunk.1.start);
                    hunk.0.start -= lines;
                    hunk.1.start -= lines;
                    if lines == 0 {
                        break;
                    }
                }
            }
        }
        while let Some(lines) = down(&hunk, before, after) {
            match rest.next_if(|next| next.0.start < hunk.0.end + lines) {
                Some(next) => hunk = (hunk.0.start..next.0.end, hunk.1.start..next.1.end),
                None => {
                    let free = |end: usize, at: usize| end.saturating_sub(at);
                    let free = free(ends.0, hunk.0.end).min(free(ends.1, hunk.1.end));
                    let lines = lines.min(free);
                    hunk.0.end += lines;
                    hunk.1.end += lines;
                    if lines == 0 {
                        break;
                    }
                }
            }
        }
        widened.push(hunk);
    }
    widened
}

/// How many lines above a hunk the items begin that its start cuts; none where it cuts none, or the same one on both sides.
fn up(hunk: &Hunk, before: &[Item], after: &[Item]) -> Option<usize> {
    let (old, new) = (cut_at(hunk.0.start, before), cut_at(hunk.1.start, after));
    let above = |item: Option<&Item>, at: usize| item.map_or(0, |item| at - item.lines.start);
    let lines = above(old, hunk.0.start).max(above(new, hunk.1.start));
    differ(old, new).then_some(lines)
}

/// How many lines below a hunk the items end that its end cuts.
fn down(hunk: &Hunk, before: &[Item], after: &[Item]) -> Option<usize> {
    let (old, new) = (cut_at(hunk.0.end, before), cut_at(hunk.1.end, after));
    let below = |item: Option<&Item>, at: usize| item.map_or(0, |item| item.lines.end - at);
    let lines = below(old, hunk.0.end).max(below(new, hunk.1.end));
    differ(old, new).then_some(lines)
}

/// The item that has lines both before and behind a place.
fn cut_at(at: usize, items: &[Item]) -> Option<&Item> {
    let item = items.get(items.partition_point(|item| item.lines.end <= at))?;
    (item.lines.start < at).then_some(item)
}

fn differ(old: Option<&Item>, new: Option<&Item>) -> bool {
    old.map(Item::key) != new.map(Item::key)
}

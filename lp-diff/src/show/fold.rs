//! Which rows of a function are shown, and which are folded away because nothing changes near them.

use super::{Aligned, Change, SourceLine};
use std::ops::Range;

/// A run of rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Run {
    /// Rows to show.
    Shown(Range<usize>),
    /// Rows that are the same on both sides, too far from a change to matter.
    Folded(Range<usize>),
}

/// Cuts rows into runs, with so many rows of context around each change. A fold hides at least two rows: the line that
/// tells of it takes one.
pub(super) fn fold(rows: &[Aligned], context: usize) -> Vec<Run> {
    let mut near: Vec<Range<usize>> = Vec::new();
    let changes = (0..rows.len()).filter(|row| rows[*row].change != Change::Same);
    for row in changes {
        let around = row.saturating_sub(context)..row.saturating_add(context + 1).min(rows.len());
        match near.last_mut() {
            Some(last) if around.start <= last.end + 1 => last.end = around.end,
            _ => near.push(around),
        }
    }
    let mut runs = Vec::new();
    let mut end = 0;
    for mut shown in near {
        if shown.start == 1 {
            shown.start = 0;
        }
        if shown.end + 1 == rows.len() {
            shown.end = rows.len();
        }
        if end < shown.start {
            runs.push(Run::Folded(end..shown.start));
        }
        end = shown.end;
        runs.push(Run::Shown(shown));
    }
    if end < rows.len() {
        runs.push(Run::Folded(end..rows.len()));
    }
    runs
}

/// Tells when the source line changes from one shown row to the next.
#[derive(Debug, Default)]
pub(super) struct SourceHeads<'r> {
    orig: Option<&'r SourceLine>,
    patched: Option<&'r SourceLine>,
}

impl<'r> SourceHeads<'r> {
    /// The lines that a row begins, in the original and in the patched source.
    pub(super) fn begins(
        &mut self,
        row: &'r Aligned,
    ) -> (Option<&'r SourceLine>, Option<&'r SourceLine>) {
        let step = |last: &mut Option<&'r SourceLine>, now: Option<&'r SourceLine>| {
            let begun = now.filter(|now| *last != Some(*now));
            *last = now.or(*last);
            begun
        };
        let source = |row: &'r Option<super::Row>| row.as_ref().and_then(|row| row.source.as_ref());
        (
            step(&mut self.orig, source(&row.orig)),
            step(&mut self.patched, source(&row.patched)),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(pattern: &str) -> Vec<Aligned> {
        let change = |c| {
            if c == '.' {
                Change::Same
            } else {
                Change::Changed
            }
        };
        pattern
            .chars()
            .map(|c| Aligned {
                change: change(c),
                orig: None,
                patched: None,
            })
            .collect()
    }

    #[test]
    fn what_is_far_from_a_change_is_folded() {
        assert_eq!(
            fold(&rows(".....x....."), 2),
            [Run::Folded(0..3), Run::Shown(3..8), Run::Folded(8..11)]
        );
        assert_eq!(fold(&rows("x....x."), 2), [Run::Shown(0..7)]);
        assert_eq!(fold(&rows("...x..."), 2), [Run::Shown(0..7)]);
        assert_eq!(fold(&rows("x"), 9), [Run::Shown(0..1)]);
        assert_eq!(fold(&rows("..."), 9), [Run::Folded(0..3)]);
        assert_eq!(fold(&[], 9), []);
        assert_eq!(fold(&rows("x.x"), usize::MAX - 1), [Run::Shown(0..3)]);
    }
}

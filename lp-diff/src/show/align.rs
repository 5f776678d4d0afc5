//! Pairs the rows of the two versions of a function, and gives the places in it names.
//!
//! Rows that mean the same are paired first, then those between them by mnemonic, so that an instruction with another
//! operand stands beside what it was. Labels are named last: a place that both versions have has one name, and so a
//! jump is the same if its label reads the same. The tempting wrong way is to number the labels of each version by
//! itself: one new label renames all behind it.

use super::listing::{Listed, Listing};
use super::{Aligned, Change, Piece, Row};
use similar::{Algorithm, DiffOp, capture_diff_slices};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;

/// Two rows beside each other, by index.
#[derive(Debug, Clone, Copy)]
struct Pair {
    orig: Option<usize>,
    patched: Option<usize>,
    /// Whether they belong together rather than just fill the line.
    matched: bool,
}

/// Aligns two versions.
pub(super) fn align(mut orig: Listing, mut patched: Listing) -> Vec<Aligned> {
    let pairs = pairs(&orig.rows, &patched.rows);
    let (orig_labels, patched_labels) = labels(&orig.rows, &patched.rows, &pairs);
    put_labels(&mut orig.rows, &orig_labels);
    put_labels(&mut patched.rows, &patched_labels);
    pairs
        .iter()
        .map(|pair| {
            let take = |rows: &mut Vec<Listed>, index: usize| std::mem::take(&mut rows[index]);
            let orig = pair.orig.map(|index| take(&mut orig.rows, index));
            let patched = pair.patched.map(|index| take(&mut patched.rows, index));
            aligned(orig, patched, pair.matched)
        })
        .collect()
}

fn aligned(orig: Option<Listed>, patched: Option<Listed>, matched: bool) -> Aligned {
    let change = match (&orig, &patched) {
        (Some(old), Some(new)) if is_same(old, new) => Change::Same,
        (Some(_), Some(_)) => Change::Changed,
        (Some(_), None) => Change::Removed,
        _ => Change::Added,
    };
    let mut orig = orig.map(|listed| listed.row);
    let mut patched = patched.map(|listed| listed.row);
    if let (Change::Changed, true, Some(old), Some(new)) =
        (change, matched, &mut orig, &mut patched)
    {
        mark_pieces(old, new);
    }
    Aligned {
        change,
        orig,
        patched,
    }
}

/// What a row mentions has the same names where it is the same.
fn is_same(old: &Listed, new: &Listed) -> bool {
    let labels = |listed: &Listed| -> Vec<String> {
        let named = listed.jumps.iter().map(|jump| {
            let pieces = if jump.in_comment {
                &listed.row.comment
            } else {
                &listed.row.pieces
            };
            pieces[jump.piece].text.clone()
        });
        named.collect()
    };
    old.key == new.key && old.comment_key == new.comment_key && labels(old) == labels(new)
}

fn mark_pieces(old: &mut Row, new: &mut Row) {
    mark(&mut old.pieces, &mut new.pieces);
}

fn mark(old: &mut [Piece], new: &mut [Piece]) {
    fn texts(pieces: &[Piece]) -> Vec<&str> {
        pieces.iter().map(|piece| piece.text.as_str()).collect()
    }
    let ops = capture_diff_slices(Algorithm::Myers, &texts(old), &texts(new));
    for op in ops.iter().filter(|op| !matches!(op, DiffOp::Equal { .. })) {
        old[op.old_range()]
            .iter_mut()
            .chain(&mut new[op.new_range()])
            .for_each(|piece| piece.differs = true);
    }
}

fn pairs(orig: &[Listed], patched: &[Listed]) -> Vec<Pair> {
    let mut pairs = Vec::with_capacity(orig.len().max(patched.len()));
    for op in diff_by(orig, patched, |listed| &listed.key) {
        let (old, new) = (op.old_range(), op.new_range());
        if let DiffOp::Equal { .. } = op {
            pairs.extend(matched(old, new));
        } else {
            pair_differing(orig, patched, (old, new), &mut pairs);
        }
    }
    pairs
}

/// Rows between equal ones: by mnemonic, the rest side by side.
fn pair_differing(
    orig: &[Listed],
    patched: &[Listed],
    (old, new): (Range<usize>, Range<usize>),
    pairs: &mut Vec<Pair>,
) {
    let ops = diff_by(&orig[old.clone()], &patched[new.clone()], |listed| {
        &listed.stem
    });
    for op in ops {
        let shift = |range: Range<usize>, by: usize| range.start + by..range.end + by;
        let (before, after) = (
            shift(op.old_range(), old.start),
            shift(op.new_range(), new.start),
        );
        if let DiffOp::Equal { .. } = op {
            pairs.extend(matched(before, after));
            continue;
        }
        let rows = before.len().max(after.len());
        pairs.extend((0..rows).map(|row| Pair {
            orig: before.clone().nth(row),
            patched: after.clone().nth(row),
            matched: false,
        }));
    }
}

fn matched(old: Range<usize>, new: Range<usize>) -> impl Iterator<Item = Pair> {
    old.zip(new).map(|(orig, patched)| Pair {
        orig: Some(orig),
        patched: Some(patched),
        matched: true,
    })
}

/// Numbers stand for the texts, so that comparing two is quick.
fn diff_by<'l>(
    orig: &'l [Listed],
    patched: &'l [Listed],
    text: impl Fn(&'l Listed) -> &'l String,
) -> Vec<DiffOp> {
    let mut known: HashMap<&str, usize> = HashMap::new();
    let mut numbers = |rows: &'l [Listed]| -> Vec<usize> {
        rows.iter()
            .map(|listed| {
                let next = known.len();
                *known.entry(text(listed)).or_insert(next)
            })
            .collect()
    };
    let (old, new) = (numbers(orig), numbers(patched));
    capture_diff_slices(Algorithm::Myers, &old, &new)
}

/// Names of rows.
type Labels = BTreeMap<usize, String>;

/// The patched version's places are numbered in order; the original's have the name of the place that they became.
fn labels(orig: &[Listed], patched: &[Listed], pairs: &[Pair]) -> (Labels, Labels) {
    let targets = |rows: &[Listed]| -> BTreeSet<usize> {
        rows.iter()
            .flat_map(|listed| listed.jumps.iter().map(|jump| jump.to))
            .collect()
    };
    let name = |number: usize| format!("L{number}");
    let new: Labels = targets(patched)
        .into_iter()
        .zip(1..)
        .map(|(row, number)| (row, name(number)))
        .collect();
    let mut next = new.len();
    let twins = twins(&new, pairs);
    let mut taken = BTreeSet::new();
    let old = targets(orig).into_iter().map(|row| {
        let same = twins.get(&row).and_then(|row| new.get(row));
        let fresh = same.filter(|label| taken.insert((*label).clone())).cloned();
        let label = fresh.unwrap_or_else(|| {
            next += 1;
            name(next)
        });
        (row, label)
    });
    (old.collect(), new)
}

/// For each row of the original the labelled one that stands for it: its partner, or one that was put right before it,
/// if no other row has that.
fn twins(new: &Labels, pairs: &[Pair]) -> BTreeMap<usize, usize> {
    let mut twins = BTreeMap::new();
    let mut waiting: Option<usize> = None;
    for pair in pairs {
        let labelled = pair.patched.filter(|row| new.contains_key(row));
        match (pair.orig, pair.matched) {
            (Some(orig), true) => {
                if let Some(row) = labelled.or(waiting) {
                    twins.insert(orig, row);
                }
                waiting = None;
            }
            (Some(orig), false) => {
                waiting = waiting.or(labelled);
                if let Some(row) = waiting {
                    twins.insert(orig, row);
                }
            }
            (None, _) => waiting = waiting.or(labelled),
        }
    }
    twins
}

fn put_labels(rows: &mut [Listed], labels: &Labels) {
    for (row, label) in labels {
        rows[*row].row.label = Some(label.clone());
    }
    for listed in rows {
        for jump in &listed.jumps {
            let pieces = if jump.in_comment {
                &mut listed.row.comment
            } else {
                &mut listed.row.pieces
            };
            if let Some(label) = labels.get(&jump.to) {
                pieces[jump.piece].text.clone_from(label);
            }
        }
    }
}

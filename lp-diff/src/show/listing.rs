//! One version of a function as rows: its instructions, those of its cold parts, and its switch tables.
//!
//! Each row has a key that says what it means wherever it lies: names instead of addresses, `L` for a place in the same
//! function. Places get their names when both versions are known, see [`super::align`].

use super::entries::{Part, Remark, remarks};
use super::names::{Named, Side};
use super::source::SourceLines;
use super::{Ink, Piece, Row};
use crate::arch::text::{Insn, Span, SpanKind, Syntax};
use crate::bundle::{BundleId, Kind};
use crate::reference::{Ref, Target};
use std::collections::{BTreeMap, BTreeSet};

/// Rows of one version.
#[derive(Debug, Default)]
pub(super) struct Listing {
    /// From the entry on.
    pub(super) rows: Vec<Listed>,
    /// What it refers to, by key.
    pub(super) named: BTreeMap<String, String>,
}

/// A row with what decides whether it is the same as another.
#[derive(Debug, Default)]
pub(super) struct Listed {
    /// What is shown.
    pub(super) row: Row,
    /// Equal for rows that mean the same.
    pub(super) key: String,
    /// The same of its comment.
    pub(super) comment_key: String,
    /// The mnemonic, by which rows that differ are paired.
    pub(super) stem: String,
    /// Places in the same function that it mentions.
    pub(super) jumps: Vec<Jump>,
}

/// A place in the same function that a row mentions.
#[derive(Debug)]
pub(super) struct Jump {
    /// Whether the comment mentions it, not the instruction.
    pub(super) in_comment: bool,
    /// Which piece is to have the name.
    pub(super) piece: usize,
    /// The row that it goes to.
    pub(super) to: usize,
}

/// Places in this version, as the part and the bytes from its start.
type Spot = (BundleId, u64);

/// Lists a function with its cold parts.
pub(super) fn list(
    side: &Side<'_, '_>,
    parts: &[BundleId],
    syntax: Syntax,
    lines: &SourceLines<'_>,
) -> Listing {
    let mut lister = Lister {
        side,
        first: parts.first().copied(),
        parts: parts.iter().copied().collect(),
        syntax,
        lines,
        listing: Listing::default(),
        row_at: BTreeMap::new(),
        open: Vec::new(),
        tables: tables(side, parts),
    };
    for part in parts {
        lister.list_part(*part);
    }
    for table in lister.tables.clone() {
        lister.list_table(table);
    }
    lister.close();
    lister.listing
}

/// Tables that refer to nothing but this function, and that it refers to: those of its switches.
fn tables(side: &Side<'_, '_>, parts: &[BundleId]) -> BTreeSet<BundleId> {
    let view = side.view;
    let targets = parts.iter().flat_map(|part| view.refs_of(*part));
    let bundles = targets.filter_map(|reference| match reference.target {
        Target::Bundle { id, .. } => Some(id),
        _ => None,
    });
    let bundles: BTreeSet<BundleId> = bundles.collect();
    let parts: BTreeSet<BundleId> = parts.iter().copied().collect();
    let is_own = |reference: Ref| {
        let is_address = !side.arch.is_pc_relative(reference.kind);
        is_address && matches!(reference.target, Target::Bundle { id, .. } if parts.contains(&id))
    };
    let is_table = |id: &BundleId| {
        let mut refs = view.refs_of(*id);
        view.bundles.get(*id).kind == Kind::Anonymous && !refs.is_empty() && refs.all(is_own)
    };
    bundles.into_iter().filter(is_table).collect()
}

struct Lister<'l, 's, 'd, 'o> {
    side: &'l Side<'s, 'd>,
    first: Option<BundleId>,
    parts: BTreeSet<BundleId>,
    syntax: Syntax,
    lines: &'l SourceLines<'o>,
    listing: Listing,
    row_at: BTreeMap<Spot, usize>,
    /// Jumps whose row is not known yet: row, whether in its comment, piece, and where to.
    open: Vec<(usize, bool, usize, Spot)>,
    tables: BTreeSet<BundleId>,
}

impl Lister<'_, '_, '_, '_> {
    fn list_part(&mut self, id: BundleId) {
        let view = self.side.view;
        let bundle = view.bundles.get(id);
        if self.first != Some(id) {
            self.head(view.name(id), "heading of a part");
        }
        let refs: Vec<Ref> = view.refs_of(id).collect();
        let fields: Vec<u64> = refs.iter().map(|reference| reference.offset).collect();
        let entry = self.side.entry(id) as i64;
        let code = view.bytes_of(id);
        let insns = self
            .side
            .arch
            .instructions(code, bundle.start, &fields, self.syntax);
        for insn in &insns {
            let offset = insn.offset - bundle.start;
            let bytes = &code[offset as usize..(offset + insn.len) as usize];
            let row = self.push(Row {
                offset: offset as i64 - entry,
                place: Some((bundle.section, insn.offset)),
                bytes: bytes.to_vec(),
                source: self.lines.at(bundle.section, insn.offset),
                ..Row::default()
            });
            self.row_at.insert((id, offset), row);
            self.write(row, id, insn, &refs);
        }
        self.remark(id);
    }

    fn push(&mut self, row: Row) -> usize {
        self.listing.rows.push(Listed {
            row,
            ..Listed::default()
        });
        self.listing.rows.len() - 1
    }

    fn head(&mut self, words: &str, stem: &str) -> usize {
        let row = self.push(Row {
            heading: true,
            pieces: vec![Piece::new(Ink::Symbol, words)],
            ..Row::default()
        });
        stem.clone_into(&mut self.listing.rows[row].key);
        stem.clone_into(&mut self.listing.rows[row].stem);
        row
    }

    /// Puts the text of an instruction into its row.
    fn write(&mut self, row: usize, part: BundleId, insn: &Insn, refs: &[Ref]) {
        let start = self.side.view.bundles.get(part).start;
        let end = insn.offset + insn.len;
        let first = refs.partition_point(|reference| reference.offset < insn.offset);
        let mut own: Vec<&Ref> = refs[first..]
            .iter()
            .take_while(|reference| reference.offset < end)
            .collect();
        for Span { kind, text } in &insn.spans {
            match kind {
                SpanKind::Field(field) => {
                    let found = own.iter().position(|found| found.offset == *field);
                    if let Some(index) = found {
                        self.refer(row, own.remove(index), false);
                    }
                }
                SpanKind::Branch(to) if *to >= start => {
                    self.jump(row, (part, to - start), false);
                }
                SpanKind::Branch(to) => self.say(row, Ink::Number, &format!("{to:#x}")),
                SpanKind::Mnemonic => {
                    self.say(row, Ink::Mnemonic, text);
                    self.listing.rows[row].stem.push_str(text);
                }
                SpanKind::Register => self.say(row, Ink::Register, text),
                SpanKind::Number => self.say(row, Ink::Number, text),
                SpanKind::Other => self.say(row, Ink::Plain, text),
            }
        }
        // What no operand takes up: a mark that writes nothing, or the code is data.
        for reference in own {
            let mark = reference.kind == self.side.arch.none_kind();
            let words = if mark { "marked " } else { "refers to " };
            self.listing.rows[row].comment(words, true);
            self.refer(row, reference, true);
        }
    }

    fn say(&mut self, row: usize, ink: Ink, text: &str) {
        let listed = &mut self.listing.rows[row];
        listed.key.push_str(text);
        listed.row.pieces.push(Piece::new(ink, text));
    }

    /// Writes the name of what a reference refers to into a row.
    fn refer(&mut self, row: usize, reference: &Ref, in_comment: bool) {
        if let Some(spot) = self.spot(&reference.target) {
            return self.jump(row, spot, in_comment);
        }
        let Named {
            ink,
            text,
            key,
            note,
        } = self.side.name(reference);
        let listed = &mut self.listing.rows[row];
        let (pieces, row_key) = listed.text(in_comment);
        row_key.push_str(&key);
        pieces.push(Piece::new(ink, &text));
        if let (Some(note), false) = (note, in_comment) {
            listed.comment(&note, false);
        }
        self.listing.named.entry(key).or_insert(text);
    }

    /// The place in this version that a target is, its entries excepted: those have names.
    fn spot(&self, target: &Target) -> Option<Spot> {
        let Target::Bundle { id, offset } = *target else {
            return None;
        };
        let offset = u64::try_from(offset).ok()?;
        let inside = self.parts.contains(&id) && offset != self.side.entry(id);
        let heads = self.tables.contains(&id) && offset == 0;
        (inside || heads).then_some((id, offset))
    }

    fn jump(&mut self, row: usize, spot: Spot, in_comment: bool) {
        let (pieces, key) = self.listing.rows[row].text(in_comment);
        key.push('L');
        self.open.push((row, in_comment, pieces.len(), spot));
        pieces.push(Piece::new(Ink::Label, ""));
    }

    /// Writes what special sections say about a part to its rows.
    fn remark(&mut self, id: BundleId) {
        for remark in remarks(self.side, id, self.syntax) {
            let Ok(offset) = u64::try_from(remark.offset) else {
                continue;
            };
            let before = self.row_at.range((id, 0)..=(id, offset)).next_back();
            if let Some((_, row)) = before {
                self.write_remark(*row, &remark);
            }
        }
    }

    fn write_remark(&mut self, row: usize, remark: &Remark) {
        self.listing.rows[row].comment("", true);
        for part in &remark.parts {
            match part {
                Part::Words(words) => {
                    let (comment, key) = self.listing.rows[row].text(true);
                    key.push_str(words);
                    comment.push(Piece::new(Ink::Plain, words));
                }
                Part::Ref(reference) => self.refer(row, reference, true),
            }
        }
    }

    fn list_table(&mut self, id: BundleId) {
        let view = self.side.view;
        let head = self.head("switch table", "heading of a table");
        self.row_at.insert((id, 0), head);
        let start = view.bundles.get(id).start;
        for reference in view.refs_of(id) {
            let row = self.push(Row {
                offset: (reference.offset - start) as i64,
                ..Row::default()
            });
            self.say(row, Ink::Mnemonic, ".quad  ");
            self.refer(row, &reference, false);
        }
    }

    /// Now that all rows are there, jumps know theirs. One that goes into the middle of an instruction shows the offset.
    fn close(&mut self) {
        for (row, in_comment, piece, spot) in std::mem::take(&mut self.open) {
            let to = self.row_at.get(&spot).copied();
            let listed = &mut self.listing.rows[row];
            if let Some(to) = to {
                listed.jumps.push(Jump {
                    in_comment,
                    piece,
                    to,
                });
                continue;
            }
            let (pieces, key) = listed.text(in_comment);
            let words = format!("{}+{:#x}", self.side.view.name(spot.0), spot.1);
            key.push_str(&words);
            pieces[piece] = Piece::new(Ink::Symbol, &words);
        }
    }
}

impl Listed {
    /// The pieces and the key of the instruction or of the comment.
    fn text(&mut self, in_comment: bool) -> (&mut Vec<Piece>, &mut String) {
        if in_comment {
            (&mut self.row.comment, &mut self.comment_key)
        } else {
            (&mut self.row.pieces, &mut self.key)
        }
    }

    /// Begins or goes on with the comment; what is no part of the meaning does not count.
    fn comment(&mut self, words: &str, counts: bool) {
        if !self.row.comment.is_empty() {
            self.row.comment.push(Piece::new(Ink::Plain, ", "));
        }
        self.row.comment.push(Piece::new(Ink::Plain, words));
        if counts {
            self.comment_key.push_str(words);
        }
    }
}

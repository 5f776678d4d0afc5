//! The lines of inventories, block by block; equal ones but for the host are counted, not kept.
//!
//! A fleet's inventory has a line for each machine and few kinds of lines. The tempting wrong ways are to parse them
//! all, and to hold them all.

use lp_klp::inventory::cut_host;
use rayon::prelude::*;
use std::collections::HashMap;
use std::io::{self, Read};

/// Bytes of an inventory that are in memory at a time.
const BLOCK: u64 = 32 << 20;
/// Bytes of a line; that of a machine with a hundred large patches has a tenth.
const LONGEST: usize = 16 << 20;

/// Whole lines and the number of the first, from 1.
pub(super) struct Block {
    pub(super) text: Vec<u8>,
    pub(super) line: u64,
}

/// Reads blocks.
pub(super) struct Blocks<R> {
    input: R,
    rest: Vec<u8>,
    line: u64,
}

impl<R: Read> Blocks<R> {
    pub(super) fn new(input: R) -> Self {
        Self {
            input,
            rest: Vec::new(),
            line: 1,
        }
    }

    /// The next one; none at the end.
    pub(super) fn next(&mut self) -> io::Result<Option<Block>> {
        let mut text = std::mem::take(&mut self.rest);
        loop {
            let read = self.input.by_ref().take(BLOCK).read_to_end(&mut text)?;
            if read == 0 && text.is_empty() {
                return Ok(None);
            }
            let end = text.iter().rposition(|byte| *byte == b'\n');
            let whole = match end {
                Some(end) => end + 1,
                None if read == 0 => text.len(),
                None => {
                    // No line is that long: what comes is thrown away, what there is says that it is none.
                    text.truncate(LONGEST);
                    continue;
                }
            };
            // Where the file ends the last line needs no end.
            let whole = if read == 0 { text.len() } else { whole };
            self.rest = text.split_off(whole);
            let line = self.line;
            self.line += lines(&text);
            return Ok(Some(Block { text, line }));
        }
    }
}

/// Lines of a block that are equal but for the host.
pub(super) struct Kind<'b> {
    pub(super) machines: u64,
    /// Number of the first line.
    pub(super) first: u64,
    /// Of the first few, as they are spelt; none where a line must be read in full to know.
    pub(super) hosts: Vec<&'b [u8]>,
    pub(super) line: &'b [u8],
}

/// A line without its host: what is before and what is after.
pub(super) type Common<'b> = (&'b [u8], &'b [u8]);

impl Block {
    /// The kinds of lines in the order of their first lines, counted by all threads; `named` hosts of each are kept.
    pub(super) fn kinds(&self, named: usize) -> Vec<(Common<'_>, Kind<'_>)> {
        let mut all: HashMap<Common<'_>, Kind<'_>> = HashMap::new();
        for piece in self.pieces(named) {
            for (common, part) in piece {
                match all.get_mut(&common) {
                    Some(kind) => {
                        kind.machines += part.machines;
                        kind.hosts.extend(part.hosts);
                        kind.hosts.truncate(named);
                    }
                    None => {
                        all.insert(common, part);
                    }
                }
            }
        }
        let mut kinds: Vec<_> = all.into_iter().collect();
        kinds.sort_by_key(|(_, kind)| kind.first);
        kinds
    }

    /// Pieces of whole lines, as many as there are threads.
    fn pieces(&self, named: usize) -> Vec<HashMap<Common<'_>, Kind<'_>>> {
        let size = self.text.len() / rayon::current_num_threads().max(1) + 1;
        let (mut pieces, mut rest, mut line) = (Vec::new(), self.text.as_slice(), self.line);
        while !rest.is_empty() {
            let from = size.min(rest.len());
            let end = rest[from..].iter().position(|byte| *byte == b'\n');
            let (piece, after) = rest.split_at(end.map_or(rest.len(), |at| from + at + 1));
            pieces.push((piece, line));
            line += lines(piece);
            rest = after;
        }
        // In the order of the pieces, whoever is done first.
        pieces
            .par_iter()
            .map(|&(piece, start)| count(piece, start, named))
            .collect()
    }
}

fn lines(bytes: &[u8]) -> u64 {
    bytes.iter().filter(|byte| **byte == b'\n').count() as u64
}

fn count<'b>(piece: &'b [u8], start: u64, named: usize) -> HashMap<Common<'b>, Kind<'b>> {
    let mut kinds: HashMap<Common<'b>, Kind<'b>> = HashMap::new();
    for (line, number) in piece.split(|byte| *byte == b'\n').zip(start..) {
        let line = line.trim_ascii();
        if line.is_empty() {
            continue;
        }
        let (host, common) = match cut_host(line) {
            Some(cut) => (Some(cut.host), (cut.before, cut.after)),
            None => (None, (line, &b""[..])),
        };
        let kind = kinds.entry(common).or_insert_with(|| Kind {
            machines: 0,
            first: number,
            hosts: Vec::new(),
            line,
        });
        kind.machines += 1;
        if kind.hosts.len() < named {
            kind.hosts.extend(host);
        }
    }
    kinds
}

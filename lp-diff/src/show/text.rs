//! The side by side view as text, for a terminal or a file.
//!
//! Where the width allows, the two versions stand beside each other; in a narrow one, one above the other. A line is cut
//! with an ellipsis, never wrapped.

use super::fold::{Run, SourceHeads, fold};
use super::line::{Line, Paint};
use super::{Aligned, Change, Fate, FunctionPair, Ink, Piece, Row, SideBySide, SourceLine};
use std::io::{self, Write};

/// The least width for two columns.
const TWO_COLUMNS: usize = 100;

/// How to render.
#[derive(Debug, Clone, Copy)]
pub struct Style {
    /// Characters of a line.
    pub width: usize,
    /// Whether to use the terminal's colours.
    pub color: bool,
    /// Rows that do not differ to show around those that do.
    pub context: usize,
}

/// Finds the text of a source line, of the original (`false`) or of the patched source.
pub type Sources<'s> = &'s dyn Fn(bool, &SourceLine) -> Option<String>;

/// Writes all functions.
///
/// # Errors
/// Those of `out`.
pub fn render(
    out: &mut dyn Write,
    shown: &SideBySide,
    style: Style,
    sources: Sources<'_>,
) -> io::Result<()> {
    let mut page = Page {
        out,
        style,
        sources,
    };
    for function in &shown.functions {
        page.function(function)?;
    }
    if !shown.gone.is_empty() {
        page.wrapped("gone", &shown.gone.join(", "))?;
        page.line(Line::default())?;
    }
    Ok(())
}

struct Page<'p> {
    out: &'p mut dyn Write,
    style: Style,
    sources: Sources<'p>,
}

/// Columns that all rows of a function share.
#[derive(Clone, Copy)]
struct Columns {
    offset: usize,
    label: usize,
}

impl Page<'_> {
    fn function(&mut self, function: &FunctionPair) -> io::Result<()> {
        self.head(function)?;
        let columns = columns(&function.rows);
        let both = function.orig.is_some() && function.patched.is_some();
        let runs = if both {
            fold(&function.rows, self.style.context)
        } else {
            vec![Run::Shown(0..function.rows.len())]
        };
        for run in runs {
            match run {
                Run::Folded(rows) => {
                    let text = format!("      ··· {} instructions are the same", rows.len());
                    self.line(Line::of(Paint::Dim, &text))?;
                }
                Run::Shown(rows) if both && self.style.width >= TWO_COLUMNS => {
                    self.side_by_side(&function.rows[rows], columns)?;
                }
                Run::Shown(rows) => self.unified(&function.rows[rows], columns)?,
            }
        }
        self.line(Line::default())
    }

    fn head(&mut self, function: &FunctionPair) -> io::Result<()> {
        let mut title = Line::of(Paint::Bold, &function.name);
        let fate = match function.fate {
            Fate::Changed => "changed",
            Fate::New => "new",
            Fate::Same => "the same in both objects",
            Fate::Gone => "gone",
        };
        title.push(Paint::Plain, &format!(": {fate}"));
        if let Some(sympos) = function.sympos.filter(|sympos| *sympos > 0) {
            title.push(Paint::Plain, &format!(", number {sympos} of its name"));
        }
        self.line(title)?;
        if function.fate == Fate::Same {
            return Ok(());
        }
        for (word, version) in [("original", &function.orig), ("patched", &function.patched)] {
            if let Some(version) = version {
                let text = format!(
                    "{} in {}, {} bytes",
                    version.symbol, version.section, version.size
                );
                self.wrapped(word, &text)?;
            }
        }
        self.wrapped("why", &function.why)?;
        if function.fate == Fate::Changed {
            let list = |names: &[String]| names.join(", ");
            self.wrapped("refers now to", &list(&function.gained))?;
            self.wrapped("no longer to", &list(&function.lost))?;
        }
        self.line(Line::default())
    }

    /// A word and a text of any length, on as many lines as it takes.
    fn wrapped(&mut self, word: &str, text: &str) -> io::Result<()> {
        const INDENT: usize = 16;
        if text.is_empty() {
            return Ok(());
        }
        let mut line = Line::of(Paint::Dim, &format!("  {word:<14}"));
        let mut used = 0;
        for part in text.split(' ') {
            let len = part.chars().count() + 1;
            if used > 0 && INDENT + used + len > self.style.width {
                self.line(std::mem::take(&mut line))?;
                line = Line::of(Paint::Plain, &" ".repeat(INDENT));
                used = 0;
            }
            line.push(Paint::Plain, &format!("{part} "));
            used += len;
        }
        self.line(line)
    }

    fn side_by_side(&mut self, rows: &[Aligned], columns: Columns) -> io::Result<()> {
        let half = self.style.width.saturating_sub(3) / 2;
        let mut heads = SourceHeads::default();
        for row in rows {
            let (before, after) = heads.begins(row);
            if before.is_some() || after.is_some() {
                let mut line = self.source(false, before).fitted(half);
                line.push(Paint::Plain, "   ");
                line.append(self.source(true, after));
                self.line(line)?;
            }
            let (mark, old, new) = match row.change {
                Change::Same => ("   ", Paint::Plain, Paint::Plain),
                Change::Changed => (" | ", Paint::Removed, Paint::Added),
                Change::Removed => (" < ", Paint::Removed, Paint::Plain),
                Change::Added => (" > ", Paint::Plain, Paint::Added),
            };
            let mut line = cell(row.orig.as_ref(), old, columns).fitted(half);
            line.push(Paint::Bold, mark);
            line.append(cell(row.patched.as_ref(), new, columns));
            self.line(line)?;
        }
        Ok(())
    }

    /// Runs of rows that differ: the original's, then the patched object's.
    fn unified(&mut self, rows: &[Aligned], columns: Columns) -> io::Result<()> {
        let mut rest = rows;
        let mut heads = SourceHeads::default();
        while let Some(first) = rest.first() {
            let same = first.change == Change::Same;
            let len = rest
                .iter()
                .take_while(|row| (row.change == Change::Same) == same)
                .count();
            let (run, after) = rest.split_at(len);
            rest = after;
            let begun: Vec<_> = run.iter().map(|row| heads.begins(row)).collect();
            if !same {
                for (row, (source, _)) in run.iter().zip(&begun) {
                    self.marked(
                        "- ",
                        Paint::Removed,
                        row.orig.as_ref(),
                        (false, *source),
                        columns,
                    )?;
                }
            }
            let (mark, paint) = if same {
                ("  ", Paint::Plain)
            } else {
                ("+ ", Paint::Added)
            };
            for (row, (_, source)) in run.iter().zip(&begun) {
                self.marked(mark, paint, row.patched.as_ref(), (true, *source), columns)?;
            }
        }
        Ok(())
    }

    fn marked(
        &mut self,
        mark: &str,
        paint: Paint,
        row: Option<&Row>,
        (patched, source): (bool, Option<&SourceLine>),
        columns: Columns,
    ) -> io::Result<()> {
        if source.is_some() {
            let mut line = Line::of(paint, mark);
            line.append(self.source(patched, source));
            self.line(line)?;
        }
        let Some(row) = row else { return Ok(()) };
        let mut line = Line::of(paint, mark);
        line.append(cell(Some(row), paint, columns));
        self.line(line)
    }

    fn source(&self, patched: bool, source: Option<&SourceLine>) -> Line {
        let Some(source) = source else {
            return Line::default();
        };
        let mut line = Line::of(Paint::Source, &super::printable(&source.to_string()));
        if let Some(text) = (self.sources)(patched, source) {
            line.push(
                Paint::Source,
                &format!("  {}", super::printable(text.trim())),
            );
        }
        line
    }

    fn line(&mut self, line: Line) -> io::Result<()> {
        line.write(self.out, self.style.width, self.style.color)
    }
}

fn columns(rows: &[Aligned]) -> Columns {
    let all = || {
        rows.iter()
            .flat_map(|row| row.orig.iter().chain(&row.patched))
    };
    let offset = all().map(|row| offset(row).len()).max().unwrap_or(0);
    let label = all()
        .filter_map(|row| row.label.as_ref())
        .map(String::len)
        .max();
    Columns {
        offset: offset.max(4),
        label: label.map_or(0, |len| len + 2),
    }
}

fn offset(row: &Row) -> String {
    let sign = if row.offset < 0 { "-" } else { "" };
    format!("{sign}{:x}", row.offset.unsigned_abs())
}

fn cell(row: Option<&Row>, paint: Paint, columns: Columns) -> Line {
    let Some(row) = row else {
        return Line::default();
    };
    let quiet = if paint == Paint::Plain {
        Paint::Dim
    } else {
        paint
    };
    let shown = if row.heading {
        String::new()
    } else {
        offset(row)
    };
    let mut line = Line::of(quiet, &format!("{shown:>width$}  ", width = columns.offset));
    let label = row
        .label
        .as_ref()
        .map_or(String::new(), |label| format!("{label}:"));
    line.push(paint, &format!("{label:<width$}", width = columns.label));
    for piece in &row.pieces {
        line.push(painted(piece, paint), &piece.text);
    }
    if !row.comment.is_empty() {
        line.push(quiet, "  ; ");
        for piece in &row.comment {
            line.push(quiet, &piece.text);
        }
    }
    line
}

fn painted(piece: &Piece, paint: Paint) -> Paint {
    match (paint, piece.differs) {
        (Paint::Removed, true) => Paint::RemovedHere,
        (Paint::Added, true) => Paint::AddedHere,
        (Paint::Plain, _) if piece.ink == Ink::Symbol => Paint::Symbol,
        _ => paint,
    }
}

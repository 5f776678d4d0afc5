//! The side by side view as one page that needs nothing but a browser: no script, no other file.
//!
//! Names and strings come from objects that anyone may have made. They reach the page through the template's escaping
//! alone, and the page forbids itself to load or run anything besides.

use super::fold::{Run, SourceHeads, fold};
use super::text::Sources;
use super::{
    Aligned, Change, Fate, FunctionPair, Ink, Piece, Row, SideBySide, SourceLine, printable,
};
use crate::report::{Report, Status, Verdict};
use minijinja::value::Serde;
use minijinja::{Environment, UndefinedBehavior};
use serde::Serialize;
use thiserror::Error;

/// The extension is what turns escaping on.
const NAME: &str = "page.html";
const TEMPLATE: &str = include_str!("page.html.j2");
/// Characters before the instruction in a line.
const INDENT: usize = 14;

/// Why there is no page.
#[derive(Debug, Error)]
#[error("the page cannot be made: {0}")]
pub struct HtmlError(#[from] minijinja::Error);

/// One pair of objects.
pub struct Unit<'u> {
    /// What it is called, as by its source.
    pub name: String,
    /// What the diff found.
    pub report: &'u Report,
    /// Both versions of its functions.
    pub shown: &'u SideBySide,
    /// The text of source lines.
    pub sources: Sources<'u>,
}

/// A page with a section for each pair of objects, and so many instructions around each that differs.
///
/// # Errors
/// Where the page cannot be put together.
pub fn page(title: &str, units: &[Unit<'_>], context: usize) -> Result<String, HtmlError> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.add_template(NAME, TEMPLATE)?;
    let units = units
        .iter()
        .zip(1..)
        .map(|(unit, number)| UnitView::new(unit, number, context));
    let filling = PageView {
        title: printable(title),
        tool: concat!("lp-diff ", env!("CARGO_PKG_VERSION")),
        indent: INDENT,
        units: units.collect(),
    };
    Ok(environment.get_template(NAME)?.render(Serde(&filling))?)
}

#[derive(Serialize)]
struct PageView {
    title: String,
    tool: &'static str,
    indent: usize,
    units: Vec<UnitView>,
}

#[derive(Serialize)]
struct UnitView {
    anchor: String,
    name: String,
    verdict: Verdict,
    verdict_text: &'static str,
    counts: String,
    lines: Vec<LineView>,
    functions: Vec<FunctionView>,
}

/// A line of the table at the top.
#[derive(Serialize)]
struct LineView {
    what: &'static str,
    anchor: Option<String>,
    name: String,
    text: String,
}

#[derive(Serialize)]
struct FunctionView {
    anchor: String,
    name: String,
    fate: &'static str,
    facts: Vec<FactView>,
    two: bool,
    has_orig: bool,
    has_patched: bool,
    runs: Vec<RunView>,
}

#[derive(Serialize)]
struct FactView {
    word: &'static str,
    text: String,
    code: bool,
}

#[derive(Serialize)]
struct RunView {
    /// How many rows are folded away, 0 where they are shown.
    folded: usize,
    rows: Vec<RowView>,
}

#[derive(Serialize)]
struct RowView {
    class: &'static str,
    orig: Option<CellView>,
    patched: Option<CellView>,
}

#[derive(Serialize, Default)]
struct CellView {
    mark: &'static str,
    offset: String,
    label: Option<String>,
    label_column: String,
    bytes: String,
    pieces: Vec<PieceView>,
    comment: String,
}

#[derive(Serialize)]
struct PieceView {
    text: String,
    symbol: bool,
    differs: bool,
    /// The side and label that it jumps to.
    to: Option<String>,
}

impl UnitView {
    fn new(unit: &Unit<'_>, number: usize, context: usize) -> Self {
        let anchor = format!("u{number}");
        let numbered = || unit.shown.functions.iter().zip(1..);
        let of = |number: usize| format!("{anchor}f{number}");
        let functions = numbered()
            .map(|(pair, number)| FunctionView::new(pair, of(number), unit.sources, context));
        let listed = numbered().map(|(pair, number)| LineView {
            what: fate(pair.fate),
            anchor: Some(of(number)),
            name: pair.name.clone(),
            text: pair.why.clone(),
        });
        let (verdict_text, counts) = verdict(unit.report);
        Self {
            verdict: unit.report.verdict,
            verdict_text,
            counts,
            lines: refusals(unit.report)
                .chain(listed)
                .chain(lines(unit.report, unit.shown))
                .collect(),
            functions: functions.collect(),
            name: printable(&unit.name),
            anchor,
        }
    }
}

fn verdict(report: &Report) -> (&'static str, String) {
    let count = |status| {
        let all = report.functions.iter();
        all.filter(|function| function.status == status).count()
    };
    let functions = format!(
        "{} changed, {} new",
        count(Status::Changed),
        count(Status::New)
    );
    match report.verdict {
        Verdict::Written => ("can be patched", functions),
        Verdict::Refused => ("refused", format!("{} reason(s)", report.refusals.len())),
        Verdict::Same => ("nothing changed", String::new()),
    }
}

fn line(what: &'static str, name: &str, text: &str) -> LineView {
    LineView {
        what,
        anchor: None,
        name: printable(name),
        text: printable(text),
    }
}

fn refusals(report: &Report) -> impl Iterator<Item = LineView> {
    report.refusals.iter().map(|refusal| {
        let text = format!("{} [{}]", refusal.message, refusal.code);
        line("refused", &refusal.place, &text)
    })
}

/// What the report says besides refusals and functions.
fn lines(report: &Report, shown: &SideBySide) -> impl Iterator<Item = LineView> {
    let data = report.data.iter().map(|datum| {
        let fate = if datum.writable {
            ", its value is lost when another patch replaces this one"
        } else {
            ""
        };
        let text = format!("{} bytes in {}{fate}", datum.size, datum.section);
        line("data", &datum.name, &text)
    });
    let callbacks = report
        .callbacks
        .iter()
        .map(|callback| line("callback", &callback.function, &callback.kind.to_string()));
    let states = report.states.iter().map(|state| {
        let text = format!("keeps state {}, {} bytes of data", state.id, state.size);
        line("state", &state.name, &text)
    });
    let notes = report.notes.iter().map(|note| line("note", "", note));
    let warnings = report.warnings.iter().map(|warning| {
        let text = format!("{} [{}]", warning.message, warning.code);
        line("warning", &warning.place, &text)
    });
    // What is not allowed is among the refusals.
    let allowed = report.layout.iter().filter(|change| change.allowed);
    let layout = allowed.map(|change| line("layout", &change.name, &change.to_string()));
    let all = |what, names: &[String], text: &str| {
        (!names.is_empty()).then(|| line(what, "", &format!("{}: {text}", names.join(", "))))
    };
    let needs = all(
        "needs",
        &report.undefined,
        "not in the target and not in this object, so left to another object of the patch",
    );
    let gone = all("gone", &shown.gone, "no longer in the patched object");
    data.chain(callbacks)
        .chain(states)
        .chain(warnings)
        .chain(layout)
        .chain(notes)
        .chain(needs)
        .chain(gone)
}

fn fate(fate: Fate) -> &'static str {
    match fate {
        Fate::Changed => "changed",
        Fate::New => "new",
        Fate::Same => "same",
        Fate::Gone => "gone",
    }
}

impl FunctionView {
    fn new(pair: &FunctionPair, anchor: String, sources: Sources<'_>, context: usize) -> Self {
        let two = pair.orig.is_some() && pair.patched.is_some();
        let runs = if two {
            fold(&pair.rows, context)
        } else {
            vec![Run::Shown(0..pair.rows.len())]
        };
        let label = labels(&pair.rows);
        let runs = runs
            .into_iter()
            .filter(|_| !pair.rows.is_empty())
            .map(|run| {
                let (folded, rows) = match run {
                    Run::Folded(rows) => (rows.len(), rows),
                    Run::Shown(rows) => (0, rows),
                };
                let mut heads = SourceHeads::default();
                let rows = pair.rows[rows].iter().flat_map(|row| {
                    let source = source_row(heads.begins(row), row.change, sources);
                    source.into_iter().chain([row_view(row, label)])
                });
                RunView {
                    folded,
                    rows: rows.collect(),
                }
            });
        Self {
            runs: runs.collect(),
            anchor,
            name: pair.name.clone(),
            fate: fate(pair.fate),
            facts: facts(pair),
            two,
            has_orig: pair.orig.is_some(),
            has_patched: pair.patched.is_some(),
        }
    }
}

fn facts(pair: &FunctionPair) -> Vec<FactView> {
    let fact = |word, text: String, code| FactView { word, text, code };
    let version = |word, version: &Option<super::Version>| {
        let found = version.as_ref()?;
        let text = format!(
            "{} in {}, {} bytes",
            found.symbol, found.section, found.size
        );
        Some(fact(word, text, true))
    };
    let sympos = pair.sympos.filter(|sympos| *sympos > 0);
    let changed = pair.fate == Fate::Changed;
    let list = |word, names: &[String]| {
        (changed && !names.is_empty()).then(|| fact(word, names.join(", "), true))
    };
    [
        Some(fact("why", pair.why.clone(), false)),
        sympos.map(|sympos| fact("symbol", format!("number {sympos} of its name"), false)),
        version("original", &pair.orig),
        version("patched", &pair.patched),
        list("refers now to", &pair.gained),
        list("no longer to", &pair.lost),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Characters that labels take.
fn labels(rows: &[Aligned]) -> usize {
    let all = rows
        .iter()
        .flat_map(|row| row.orig.iter().chain(&row.patched));
    let longest = all
        .filter_map(|row| row.label.as_ref())
        .map(String::len)
        .max();
    longest.map_or(0, |len| len + 2)
}

fn source_row(
    (orig, patched): (Option<&SourceLine>, Option<&SourceLine>),
    change: Change,
    sources: Sources<'_>,
) -> Option<RowView> {
    let cell = |is_patched, line: Option<&SourceLine>| {
        let line = line?;
        let text = sources(is_patched, line).unwrap_or_default();
        let piece = Piece::new(Ink::Plain, format!("{line}  {}", text.trim()).trim());
        Some(CellView {
            mark: " ",
            pieces: pieces(&[piece], ""),
            ..CellView::default()
        })
    };
    (orig.is_some() || patched.is_some()).then(|| RowView {
        class: if change == Change::Same { "s" } else { "s d" },
        orig: cell(false, orig),
        patched: cell(true, patched),
    })
}

fn row_view(row: &Aligned, label: usize) -> RowView {
    let (class, old, new) = match row.change {
        Change::Same => ("", " ", " "),
        Change::Changed => ("c", "-", "+"),
        Change::Removed => ("r", "-", " "),
        Change::Added => ("a", " ", "+"),
    };
    RowView {
        class,
        orig: row.orig.as_ref().map(|row| cell(row, ("o", old), label)),
        patched: row.patched.as_ref().map(|row| cell(row, ("p", new), label)),
    }
}

fn cell(row: &Row, (side, mark): (&str, &'static str), label: usize) -> CellView {
    let sign = if row.offset < 0 { "-" } else { "" };
    let offset = format!("{sign}{:x}", row.offset.unsigned_abs());
    let shown = if row.heading { "" } else { &offset };
    let named = row
        .label
        .as_ref()
        .map_or(String::new(), |label| format!("{label}:"));
    let bytes: Vec<String> = row.bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    CellView {
        mark,
        offset: format!("{shown:>5}  "),
        label: row.label.clone(),
        label_column: format!("{named:<label$}"),
        bytes: bytes.join(" "),
        pieces: pieces(&row.pieces, side),
        comment: row
            .comment
            .iter()
            .map(|piece| piece.text.as_str())
            .collect(),
    }
}

/// Pieces that look alike become one.
fn pieces(pieces: &[Piece], side: &str) -> Vec<PieceView> {
    let mut views: Vec<PieceView> = Vec::new();
    for piece in pieces {
        let view = PieceView {
            text: piece.text.clone(),
            symbol: piece.ink == Ink::Symbol,
            differs: piece.differs,
            to: (piece.ink == Ink::Label).then(|| format!("{side}{}", piece.text)),
        };
        let alike = |last: &&mut PieceView| {
            let plain = |view: &PieceView| !view.symbol && view.to.is_none();
            plain(last) && plain(&view) && last.differs == view.differs
        };
        match views.last_mut().filter(alike) {
            Some(last) => last.text.push_str(&view.text),
            None => views.push(view),
        }
    }
    views
}

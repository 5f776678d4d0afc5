//! The report as text, for people.

use lp_diff::show::printable;
use lp_diff::{Report, Status, Verdict};
use std::io::{self, Write};

/// A line for each function, datum, callback, note and refusal, then one that sums up. Names come from objects that
/// anyone may have made: what a terminal would obey is escaped.
pub(super) fn print_text(out: &mut impl Write, report: &Report) -> io::Result<()> {
    let mut text = Vec::new();
    write_lines(&mut text, report)?;
    for line in String::from_utf8_lossy(&text).lines() {
        writeln!(out, "{}", printable(line))?;
    }
    Ok(())
}

fn write_lines(out: &mut impl Write, report: &Report) -> io::Result<()> {
    for function in &report.functions {
        let status = match function.status {
            Status::Changed => "changed",
            Status::New => "new    ",
        };
        let sympos = function
            .sympos
            .filter(|sympos| *sympos > 0)
            .map(|sympos| format!(" (number {sympos} of its name)"));
        writeln!(
            out,
            "{status}  {}{}: {}",
            function.name,
            sympos.unwrap_or_default(),
            function.why
        )?;
    }
    for datum in &report.data {
        let fate = if datum.writable {
            ", its value is lost when another patch replaces this one"
        } else {
            ""
        };
        writeln!(
            out,
            "data     {} ({} bytes in {}){fate}",
            datum.name, datum.size, datum.section
        )?;
    }
    for callback in &report.callbacks {
        writeln!(out, "callback {}: {}", callback.kind, callback.function)?;
    }
    for state in &report.states {
        writeln!(
            out,
            "state    {}: {} ({} bytes of data)",
            state.id, state.name, state.size
        )?;
    }
    for note in &report.notes {
        writeln!(out, "note     {note}")?;
    }
    for change in report.layout.iter().filter(|change| change.allowed) {
        writeln!(out, "layout   {change}")?;
    }
    for warning in &report.warnings {
        writeln!(out, "warning  {warning}")?;
    }
    for name in &report.undefined {
        writeln!(
            out,
            "needs    {name}: neither the target nor this object has it, another object of the patch must"
        )?;
    }
    for refusal in &report.refusals {
        writeln!(out, "refused  {refusal}")?;
    }
    let count = |status| {
        report
            .functions
            .iter()
            .filter(|function| function.status == status)
            .count()
    };
    match report.verdict {
        Verdict::Written => writeln!(
            out,
            "{} changed, {} new",
            count(Status::Changed),
            count(Status::New)
        ),
        Verdict::Refused => writeln!(
            out,
            "refused: {} reason(s), nothing written; docs/patch-author-guide.md says more of each [code]",
            report.refusals.len()
        ),
        Verdict::Same => writeln!(out, "nothing changed"),
    }
}

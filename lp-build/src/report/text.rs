//! The report for people.

use super::{NewDatum, PatchWarning, Plan, RefusalReport, Report, Verdict};
use crate::lineage;
use crate::progress::{Step, minutes};
use std::fmt::Write;

/// The summary at the end of a run; errors are said elsewhere.
pub fn render(report: &Report) -> String {
    let mut out = String::new();
    for note in &report.notes {
        line(&mut out, format_args!("note: {note}"));
    }
    for allowed in report.layout.iter().filter(|layout| layout.change.allowed) {
        let (unit, change) = (&allowed.unit, &allowed.change);
        line(
            &mut out,
            format_args!("note: {unit}: the layout of {change}, as allowed"),
        );
    }
    for PatchWarning { unit, warning } in &report.patch_warnings {
        // A place in the source says the file already.
        let place = match &warning.source {
            Some(_) => String::new(),
            None => format!("{unit}: "),
        };
        line(&mut out, format_args!("warning: {place}{warning}"));
    }
    match report.verdict {
        Verdict::Built => built(&mut out, report),
        Verdict::Refused => refused(&mut out, report),
        Verdict::Same => line(
            &mut out,
            format_args!(
                "nothing to do: the change alters no code of this {}",
                noun(report)
            ),
        ),
        Verdict::Planned => planned(&mut out, report.plan.as_ref()),
        Verdict::Error => {}
    }
    out
}

fn line(out: &mut String, text: impl std::fmt::Display) {
    // Writing to a string cannot fail.
    let _ = writeln!(out, "{text}");
}

/// Each file that would be compiled, with the header that it is here for.
fn planned(out: &mut String, plan: Option<&Plan>) {
    let Some(plan) = plan else { return };
    for unit in &plan.units {
        let object = unit.object.as_ref().map(ToString::to_string);
        let object = object.unwrap_or_else(|| "to be looked at only".to_owned());
        let through = unit.through.as_ref();
        let through = through.map(|header| format!(", through {header}"));
        line(
            out,
            format_args!(
                "  {} ({object}){}",
                unit.source,
                through.unwrap_or_default()
            ),
        );
    }
    line(
        out,
        format_args!(
            "would compile {} in both trees, about {}; nothing was written",
            match plan.units.len() {
                1 => "1 file".to_owned(),
                count => format!("{count} files"),
            },
            minutes(plan.seconds as f64)
        ),
    );
}

fn built(out: &mut String, report: &Report) {
    let output = report
        .output
        .as_deref()
        .map(|path| path.display().to_string())
        .unwrap_or_default();
    let size = report.size.unwrap_or_default();
    line(
        out,
        format_args!(
            "built {output} ({size} bytes) for {}{}",
            report.kernel, report.target
        ),
    );
    for object in &report.objects {
        line(
            out,
            format_args!(
                "  {}: {} patched",
                object.name,
                functions(object.functions.len())
            ),
        );
        for function in &object.functions {
            let position = match function.sympos.0 {
                0 => String::new(),
                position => format!(" (position {position})"),
            };
            line(
                out,
                format_args!(
                    "    {}{position}, {}: {}",
                    function.name, function.source, function.why
                ),
            );
        }
    }
    for object in &report.objects {
        for callback in &object.callbacks {
            line(
                out,
                format_args!(
                    "  {} callback of {}: {}, {}",
                    callback.kind, object.name, callback.function, callback.source
                ),
            );
        }
    }
    for function in &report.new_functions {
        line(
            out,
            format_args!(
                "  new function {}, {}: {}",
                function.name, function.source, function.why
            ),
        );
    }
    if !report.data.is_empty() {
        line(out, format_args!("  {}", data(&report.data)));
    }
    if !report.shadow_ids.is_empty() {
        let ids: Vec<String> = report.shadow_ids.iter().map(u64::to_string).collect();
        line(out, format_args!("  shadow variables: {}", ids.join(", ")));
    }
    let states: Vec<String> = report.states.iter().map(ToString::to_string).collect();
    line(
        out,
        format_args!(
            "  states: {}",
            if states.is_empty() {
                "none".into()
            } else {
                states.join(", ")
            }
        ),
    );
    for kept in &report.kept_states {
        line(
            out,
            format_args!(
                "    state {} is kept by {}, {}: {} bytes of data",
                kept.id, kept.name, kept.source, kept.size
            ),
        );
    }
    let replace = if report.replace {
        "yes, all patches installed before it"
    } else {
        "no"
    };
    line(out, format_args!("  replaces: {replace}"));
    lineage(out, report);
    fidelity(out, report);
    line(out, format_args!("  time: {}", times(&report.steps)));
}

/// How it follows the previous patch; what may not be is among the refusals.
fn lineage(out: &mut String, report: &Report) {
    let text = report
        .lineage
        .as_ref()
        .map(lineage::text)
        .unwrap_or_default();
    for said in text.lines() {
        line(out, format_args!("  {said}"));
    }
}

/// New data in one line: most are one's own strings, flags and keys of messages.
fn data(data: &[NewDatum]) -> String {
    const SHOWN: usize = 6;
    let names: Vec<&str> = data
        .iter()
        .take(SHOWN)
        .map(|datum| datum.name.as_str())
        .collect();
    let more = match data.len().saturating_sub(SHOWN) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let bytes: u64 = data.iter().map(|datum| datum.size).sum();
    let lost = match data.iter().filter(|datum| datum.writable).count() {
        0 => String::new(),
        writable => {
            format!("; a later patch that replaces this one starts {writable} of them afresh")
        }
    };
    format!("new data: {}{more} ({bytes} bytes{lost})", names.join(", "))
}

/// The place of a refusal, with the line where its file stands; a line of another file, a header, comes first.
fn place(refusal: &RefusalReport) -> String {
    let Some(source) = &refusal.source else {
        return refusal.place.clone();
    };
    match refusal.place.strip_prefix(&source.file) {
        Some(rest) => format!("{source}{rest}"),
        None => format!("{source}: {}", refusal.place),
    }
}

fn refused(out: &mut String, report: &Report) {
    line(
        out,
        format_args!(
            "refused, for {}:",
            match report.refusals.len() {
                1 => "1 reason".to_owned(),
                count => format!("{count} reasons"),
            }
        ),
    );
    for refusal in &report.refusals {
        line(
            out,
            format_args!(
                "  {}: {} [{}]",
                place(refusal),
                refusal.message,
                refusal.code
            ),
        );
    }
    if report.fidelity.total > 0 {
        fidelity(out, report);
    }
    line(
        out,
        format_args!(
            "no {} was written; docs/patch-author-guide.md says more of each [code]",
            if report.target.is_empty() {
                "module"
            } else {
                "patch"
            }
        ),
    );
}

/// What runs.
fn noun(report: &Report) -> &'static str {
    match report.target.is_empty() {
        true => "kernel",
        false => "binary",
    }
}

fn fidelity(out: &mut String, report: &Report) {
    let fidelity = &report.fidelity;
    line(
        out,
        format_args!(
            "  fidelity: {} of {} functions reproduce",
            fidelity.reproduced, fidelity.total
        ),
    );
    for mismatch in &fidelity.mismatches {
        line(
            out,
            format_args!(
                "    {}, {} differs at +{:#x}: we get '{}', the {} has '{}'",
                mismatch.function,
                mismatch.source,
                mismatch.offset,
                mismatch.ours,
                noun(report),
                mismatch.theirs
            ),
        );
    }
    for absent in &fidelity.absent {
        line(
            out,
            format_args!(
                "    {}, {}: {}",
                absent.function, absent.source, absent.reason
            ),
        );
    }
}

fn functions(count: usize) -> String {
    match count {
        1 => "1 function".to_owned(),
        count => format!("{count} functions"),
    }
}

fn times(steps: &[Step]) -> String {
    // Indented steps are parts of the one after them.
    let whole = steps.iter().filter(|step| !step.name.starts_with(' '));
    let total: u128 = whole.clone().map(|step| step.ms).sum();
    let parts: Vec<String> = whole
        .map(|step| format!("{} {}", step.name, seconds(step.ms)))
        .collect();
    format!("{} ({})", seconds(total), parts.join(", "))
}

fn seconds(ms: u128) -> String {
    format!("{}.{:02} s", ms / 1000, ms % 1000 / 10)
}

//! Says what was found: tables for people, JSON and SARIF for programs.

use super::options::Format;
use super::{sarif, table};
use anyhow::{Result, bail};
use lp_verify::finding::Finding;
use lp_verify::fleet::Fleet;
use lp_verify::patch::Patch;
use lp_verify::sequence::Matrix;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::Write;

const MATRIX_PAGE: &str = include_str!("matrix.html.j2");

fn json_out(out: &mut impl Write, value: &Value) -> Result<()> {
    writeln!(out, "{value:#}")?;
    Ok(())
}

fn title(patch: &Patch) -> String {
    format!("{} {}", patch.name, patch.version)
        .trim_end()
        .to_owned()
}

pub(super) fn check(
    new: &Patch,
    over: &[&Patch],
    findings: &[Finding],
    format: Format,
    out: &mut impl Write,
) -> Result<()> {
    let accepted = !findings.iter().any(Finding::is_error);
    match format {
        Format::Text => check_text(new, over, findings, accepted, out),
        Format::Json => json_out(
            out,
            &json!({
                "verdict": if accepted { "accepted" } else { "refused" },
                "name": new.name,
                "version": new.version,
                "installed": over.iter().map(|patch| title(patch)).collect::<Vec<_>>(),
                "findings": findings,
            }),
        ),
        Format::Sarif => json_out(out, &sarif::report(findings)),
        Format::Html => bail!("--format html is for 'lp-verify matrix'"),
    }
}

fn check_text(
    new: &Patch,
    over: &[&Patch],
    findings: &[Finding],
    accepted: bool,
    out: &mut impl Write,
) -> Result<()> {
    for finding in findings {
        writeln!(
            out,
            "{:7}  {:11}  {}: {}",
            finding.severity, finding.promise, finding.place, finding.message
        )?;
    }
    let over = match over {
        [] => "nothing installed".to_owned(),
        patches => patches
            .iter()
            .map(|patch| title(patch))
            .collect::<Vec<_>>()
            .join(", "),
    };
    writeln!(
        out,
        "{} {} be installed over {over}",
        title(new),
        if accepted { "may" } else { "may NOT" }
    )?;
    Ok(())
}

pub(super) fn matrix(matrix: &Matrix, format: Format, out: &mut impl Write) -> Result<()> {
    match format {
        Format::Text => matrix_text(matrix, out),
        Format::Json => {
            let cells = matrix.allowed.iter().zip(&matrix.names).flat_map(|(row, over)| {
                row.iter().zip(&matrix.names).filter_map(move |(cell, new)| {
                    let reasons = cell.as_ref()?;
                    Some(json!({ "installed": over, "new": new, "allowed": reasons.is_empty(), "reasons": reasons }))
                })
            });
            json_out(
                out,
                &json!({ "patches": matrix.names, "pairs": cells.collect::<Vec<_>>() }),
            )
        }
        Format::Html => {
            let mut environment = minijinja::Environment::new();
            environment.set_auto_escape_callback(|_| minijinja::AutoEscape::Html);
            let page = environment.render_str(
                MATRIX_PAGE,
                minijinja::context! { names => &matrix.names, rows => &matrix.allowed },
            )?;
            write!(out, "{page}")?;
            Ok(())
        }
        Format::Sarif => bail!("--format sarif is for checks of one module"),
    }
}

fn matrix_text(matrix: &Matrix, out: &mut impl Write) -> Result<()> {
    let mut heads = vec!["installed"];
    heads.extend(matrix.names.iter().map(String::as_str));
    let word = |cell: &Option<Vec<String>>| match cell {
        None => "-",
        Some(reasons) if reasons.is_empty() => "yes",
        Some(_) => "NO",
    };
    let rows = matrix.names.iter().zip(&matrix.allowed).map(|(over, row)| {
        let mut cells = vec![over.clone()];
        cells.extend(row.iter().map(|cell| word(cell).to_owned()));
        cells
    });
    table::print(out, &heads, &rows.collect::<Vec<_>>())?;
    for (over, row) in matrix.names.iter().zip(&matrix.allowed) {
        for (new, reasons) in matrix.names.iter().zip(row) {
            for reason in reasons.iter().flatten() {
                writeln!(out, "{new} over {over}: {reason}")?;
            }
        }
    }
    Ok(())
}

pub(super) fn plan(
    names: &[String],
    steps: Option<&[&str]>,
    matrix: &Matrix,
    format: Format,
    out: &mut impl Write,
) -> Result<()> {
    let why: Vec<String> = match steps {
        Some(_) => Vec::new(),
        None => {
            let reasons = matrix
                .allowed
                .iter()
                .zip(names)
                .filter_map(|(row, over)| Some((over, row.get(1)?.as_ref()?)));
            reasons
                .flat_map(|(over, reasons)| {
                    reasons
                        .iter()
                        .map(move |reason| format!("over {over}: {reason}"))
                })
                .collect()
        }
    };
    match (format, steps) {
        (Format::Text, Some(steps)) => writeln!(out, "{}", steps.join(" -> "))?,
        (Format::Text, None) => {
            writeln!(
                out,
                "there is no way from {} to {} by loading these",
                names[0], names[1]
            )?;
            for reason in &why {
                writeln!(out, "  {} {reason}", names[1])?;
            }
        }
        (Format::Json, steps) => json_out(out, &json!({ "steps": steps, "reasons": why }))?,
        _ => bail!("a plan is said as text or json"),
    }
    Ok(())
}

pub(super) fn fleet(
    new: &Patch,
    fleet: &Fleet,
    format: Format,
    out: &mut impl Write,
) -> Result<()> {
    match format {
        Format::Text => fleet_text(new, fleet, out),
        Format::Json => json_out(
            out,
            &json!({ "name": new.name, "version": new.version, "fleet": fleet }),
        ),
        _ => bail!("a fleet is said as text or json"),
    }
}

fn fleet_text(new: &Patch, fleet: &Fleet, out: &mut impl Write) -> Result<()> {
    let row = |group: &lp_verify::fleet::Group| {
        let more = if group.machines > group.hosts.len() as u64 {
            ", .."
        } else {
            ""
        };
        let installed = if group.installed.is_empty() {
            "nothing".to_owned()
        } else {
            group.installed.join(", ")
        };
        vec![
            if group.accepted { "may" } else { "may NOT" }.to_owned(),
            group.machines.to_string(),
            group.release.clone(),
            installed,
            format!("{}{more}", group.hosts.join(", ")),
        ]
    };
    let rows: Vec<_> = fleet.groups.iter().map(row).collect();
    table::print(
        out,
        &["verdict", "machines", "kernel", "installed", "hosts"],
        &rows,
    )?;
    for (reason, machines) in reasons(fleet) {
        writeln!(out, "{machines} machine(s): {reason}")?;
    }
    for (line, wrong) in &fleet.broken_lines {
        writeln!(out, "line {line}: {wrong}")?;
    }
    writeln!(
        out,
        "{}: {} of {} machines may, {} may not, {} broken line(s)",
        title(new),
        fleet.accepted,
        fleet.machines,
        fleet.machines - fleet.accepted,
        fleet.broken
    )?;
    Ok(())
}

/// Why not, and on how many machines; many kinds of machines can share a reason.
fn reasons(fleet: &Fleet) -> BTreeMap<String, u64> {
    let mut reasons = BTreeMap::new();
    for group in &fleet.groups {
        for finding in group.findings.iter().filter(|finding| finding.is_error()) {
            *reasons.entry(finding.to_string()).or_default() += group.machines;
        }
    }
    reasons
}

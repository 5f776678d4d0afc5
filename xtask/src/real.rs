//! `cargo xtask real`: real programs, built by their own build systems, patched and reverted again and again under load.
//!
//! Each fix is one of a real defect: the program runs without it, and gets it while requests come in. What must not happen: a
//! failed request, a wrong result, a crash, mappings or memory that grow.

mod cycles;
mod program;
mod programs;
mod server;
mod source;
mod trial;

use anyhow::{Result, bail, ensure};

use crate::{system, tools};
use program::{Fix, Program};
use programs::PROGRAMS;
use source::Source;
use trial::{HEADS, Seen, Trial};

/// Options of `real`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// redis, nginx, zlib, sqlite3, or cycles: as many of these as are asked for, in one process by one loader
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    program: Option<String>,
    /// All of them
    #[arg(long)]
    all: bool,
    /// Only fixes with this in their names
    #[arg(long, value_name = "TEXT")]
    fix: Option<String>,
    /// How often each fix is put in and taken out
    #[arg(long, value_name = "N", default_value_t = 200)]
    cycles: usize,
    /// How often with --all in one process by one loader
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    many: usize,
}

/// What came of one fix.
struct Shown {
    program: &'static str,
    fix: &'static str,
    outcome: Result<Seen>,
}

/// Does all that is asked for; an error if one of them went wrong.
pub(crate) fn run(args: &Args) -> Result<()> {
    if args.program.as_deref() == Some("cycles") {
        return cycles::run(args.cycles);
    }
    let wanted = |program: &&Program| {
        let name = args.program.as_deref();
        name.is_none_or(|name| name == program.name)
    };
    let programs: Vec<&Program> = PROGRAMS.iter().filter(wanted).collect();
    let names: Vec<&str> = PROGRAMS.iter().map(|program| program.name).collect();
    ensure!(
        !programs.is_empty(),
        "there is no such program here, there are {} and cycles",
        names.join(", ")
    );
    let (lp_build, lp_ctl) = (tools::lp_build()?, tools::lp_ctl()?);
    let mut all = Vec::new();
    for program in &programs {
        let asked = |fix: &&Fix| {
            args.fix
                .as_ref()
                .is_none_or(|text| fix.name().contains(text))
        };
        let fixes: Vec<&Fix> = program.fixes.iter().filter(asked).collect();
        if fixes.is_empty() {
            continue;
        }
        system::ensure(program.packages)?;
        let source = Source::newest(program.name)?;
        for fix in fixes {
            let name = fix.name();
            let trial = Trial {
                program,
                source: &source,
                fix,
                lp_build: &lp_build,
                lp_ctl: &lp_ctl,
            };
            println!("\n== {} {name}", program.name);
            let shown = Shown {
                program: program.name,
                fix: name,
                outcome: trial.run(args.cycles),
            };
            table(std::slice::from_ref(&shown));
            all.push(shown);
        }
    }
    ensure!(
        !all.is_empty(),
        "no fix has this text in its name, there are:\n  {}",
        programs
            .iter()
            .flat_map(|program| program.fixes.iter().map(Fix::name))
            .collect::<Vec<_>>()
            .join("\n  ")
    );
    let many = if args.all {
        cycles::run(args.many)
    } else {
        Ok(())
    };
    println!();
    table(&all);
    let failed = all.iter().filter(|shown| shown.outcome.is_err()).count();
    if failed > 0 {
        bail!("{failed} of {} failed", all.len());
    }
    many?;
    println!("real: ok");
    Ok(())
}

/// Prints what came of fixes, in columns; `->` is between the time before the patching and with it.
fn table(all: &[Shown]) {
    let heads = ["program", "fix"].iter().chain(&HEADS);
    let mut rows: Vec<Vec<String>> = vec![heads.map(|head| (*head).to_owned()).collect()];
    for shown in all {
        let fix: String = shown.fix.chars().take(40).collect();
        let mut row = vec![shown.program.to_owned(), fix];
        if let Ok(seen) = &shown.outcome {
            row.extend(seen.row());
        }
        rows.push(row);
    }
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.len()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..HEADS.len() + 2).map(width).collect();
    for (at, row) in rows.iter().enumerate() {
        let cells = row.iter().zip(&widths);
        let cells: Vec<String> = cells
            .map(|(cell, width)| format!("{cell:<width$}"))
            .collect();
        println!("{}", cells.join("  ").trim_end());
        let shown = at.checked_sub(1).and_then(|at| all.get(at));
        if let Some(Err(error)) = shown.map(|shown| &shown.outcome) {
            println!("  FAILED: {error:#}");
        }
    }
}

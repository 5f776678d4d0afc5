//! The `lp-diff` command: options are parsed first, interpreted second.
//!
//! [`inputs`] reads files, [`output`] writes them, [`print`] is the report for people.

mod inputs;
mod options;
mod output;
mod print;

pub(crate) use options::{Format, Options};

use anyhow::{Context, Result};
use lp_diff::{Config, Exports, Outcome, Verdict, diff};
use std::io::{self, Write};

/// Does what the options say.
pub(crate) fn run(options: &Options) -> Result<Verdict> {
    let orig = inputs::read(&options.orig)?;
    let patched = inputs::read(&options.patched)?;
    let symbols_file = options.symbols.as_deref().unwrap_or(&options.orig);
    let (symbols, mut entry_sizes) = if symbols_file == options.orig {
        inputs::symbols_of(&orig)
    } else {
        inputs::read_symbols(symbols_file, &options.object)
    }
    .with_context(|| format!("{}", symbols_file.display()))?;
    for (name, bytes) in &options.entry_size {
        entry_sizes.set(name, *bytes);
    }
    let exports = options
        .symvers
        .as_deref()
        .map_or(Ok(Exports::default()), inputs::read_exports)?;
    let unit = options
        .output
        .file_stem()
        .map_or_else(|| "out".into(), |stem| stem.to_string_lossy());
    let config = Config {
        object: options.object.clone(),
        entry_sizes,
        unit: unit.into_owned(),
        places: Default::default(),
        overridden: Default::default(),
    };
    let outcome = diff(&orig, &patched, &symbols, &exports, &config).with_context(|| {
        format!(
            "cannot diff {} and {}",
            options.orig.display(),
            options.patched.display()
        )
    })?;
    finish(options, &outcome)?;
    Ok(outcome.report.verdict)
}

fn finish(options: &Options, outcome: &Outcome) -> Result<()> {
    if let Some(object) = &outcome.object {
        output::write_whole(&options.output, object)
            .with_context(|| format!("cannot write {}", options.output.display()))?;
    }
    let mut out = io::stdout().lock();
    match options.report {
        Format::Json => {
            serde_json::to_writer_pretty(&mut out, &outcome.report)?;
            writeln!(out)?;
        }
        Format::Text => print::print_text(&mut out, &outcome.report)?,
    }
    Ok(())
}

//! The `lp-diff` command: options are parsed first, interpreted second.
//!
//! [`inputs`] reads files, [`output`] writes them, [`print`] is the report for people,
//! [`show`] the two versions side by side on a [`terminal`], with the text of [`sources`]; [`pairs`] is the same for two
//! folders of objects.

mod inputs;
mod options;
mod output;
mod pairs;
mod print;
mod show;
mod sources;
mod terminal;

pub(crate) use options::{Format, Options};

use anyhow::{Context, Result, bail};
use lp_diff::explain::layout;
use lp_diff::object::ObjectFile;
use lp_diff::show::SideBySide;
use lp_diff::{Config, DiffError, EntrySizes, Exports, Flavour, Outcome, Verdict, diff_files};
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

/// Does what the options say.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    if options.pairs {
        return pairs::run(options);
    }
    Ok(ExitCode::from(match run_one(options)? {
        Verdict::Written => 0,
        Verdict::Refused => 2,
        Verdict::Same => 3,
    }))
}

fn run_one(options: &Options) -> Result<Verdict> {
    let orig = inputs::read(&options.orig)?;
    let symbols_file = options.symbols.as_deref().unwrap_or(&options.orig);
    let (symbols, entry_sizes) = if symbols_file == options.orig {
        inputs::symbols_of(&orig)
    } else {
        inputs::read_symbols(symbols_file, &options.object)
    }
    .with_context(|| format!("{}", symbols_file.display()))?;
    let exports = options
        .symvers
        .as_deref()
        .map_or(Ok(Exports::default()), inputs::read_exports)?;
    let flavour = inputs::flavour(options, Some(symbols_file))?;
    let config = config(
        options,
        flavour,
        entry_sizes,
        unit(options.output.as_deref()),
    );
    let wanted = show::wanted(options)?;
    let cannot = || {
        let (orig, patched) = (options.orig.display(), options.patched.display());
        format!("cannot diff {orig} and {patched}")
    };
    let orig = ObjectFile::new(orig)
        .map_err(DiffError::Orig)
        .with_context(cannot)?;
    let patched = ObjectFile::new(inputs::read(&options.patched)?);
    let patched = patched.map_err(DiffError::Patched).with_context(cannot)?;
    let found = diff_files(
        (&orig, &patched),
        &symbols,
        &exports,
        &config,
        wanted.as_ref(),
    );
    let (mut outcome, shown) = found.with_context(cannot)?;
    let report = &mut outcome.report;
    let in_vain = layout::needless(&config.allow_layout_change, report.layout.iter());
    report.notes.extend(in_vain);
    finish(options, &outcome, shown.as_ref())?;
    Ok(outcome.report.verdict)
}

fn config(
    options: &Options,
    flavour: Flavour,
    mut entry_sizes: EntrySizes,
    unit: String,
) -> Config {
    for (name, bytes) in &options.entry_size {
        entry_sizes.set(name, *bytes);
    }
    Config {
        object: options.object.clone(),
        flavour,
        entry_sizes,
        unit,
        places: Default::default(),
        overridden: Default::default(),
        allow_layout_change: options.allow_layout_change.iter().cloned().collect(),
    }
}

fn unit(output: Option<&Path>) -> String {
    let stem = output.and_then(Path::file_stem);
    stem.map_or_else(|| "out".into(), |stem| stem.to_string_lossy())
        .into_owned()
}

fn finish(options: &Options, outcome: &Outcome, shown: Option<&SideBySide>) -> Result<()> {
    if let (Some(shown), Some(name)) = (shown, show::named(options))
        && shown.functions.is_empty()
    {
        bail!("neither object has a function {name}");
    }
    if let (Some(object), Some(path)) = (&outcome.object, &options.output) {
        output::write_whole(path, object)
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    if let Some(shown) = shown {
        show::write_html(options, &outcome.report, shown)?;
    }
    if let (Some(shown), Some(_)) = (shown, &options.view.show) {
        return show::page(options, &outcome.report, shown);
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

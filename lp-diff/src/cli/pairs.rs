//! `--pairs`: all objects of two folders, compared by relative path, on as many threads as there are processors.
//!
//! A pair is read, compared, written and dropped; only its report stays, so that a whole kernel's worth fits. What is
//! printed has the order of the paths, whatever thread was first. A pair that cannot be read is that pair's error and
//! not the end of the rest. Objects with equal bytes, which most are, are not even parsed.

use super::{Format, Options, config, inputs, output};
use anyhow::{Context, Result, bail, ensure};
use indicatif::{ProgressBar, ProgressStyle};
use lp_diff::object::ObjectFile;
use lp_diff::{
    DiffError, EntrySizes, Exports, Flavour, Report, Status, SymbolTable, Verdict, diff_files,
};
use rayon::prelude::*;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use walkdir::WalkDir;

/// What is the same for all pairs.
struct Target<'o> {
    options: &'o Options,
    /// Of `--symbols`; else each pair's original is asked.
    symbols: Option<(SymbolTable, EntrySizes)>,
    exports: Exports,
    flavour: Flavour,
}

/// What came of one pair.
enum Done {
    Compared(Box<Report>),
    /// The same bytes.
    Equal,
    /// It has no other half, in this folder.
    Alone(&'static str),
    Error(anyhow::Error),
}

/// Compares all pairs and prints what came of it. The exit code is the worst of theirs: 1 (an error), 2 (refused),
/// 0 (written), 3 (nothing changed).
pub(super) fn run(options: &Options) -> Result<ExitCode> {
    let target = Target {
        options,
        symbols: options
            .symbols
            .as_deref()
            .map(|path| {
                inputs::read_symbols(path, &options.object)
                    .with_context(|| path.display().to_string())
            })
            .transpose()?,
        exports: options
            .symvers
            .as_deref()
            .map_or(Ok(Exports::default()), inputs::read_exports)?,
        flavour: inputs::flavour(options, options.symbols.as_deref())?,
    };
    let paths = objects(&options.orig)?;
    let paths: Vec<PathBuf> = paths.union(&objects(&options.patched)?).cloned().collect();
    ensure!(
        !paths.is_empty(),
        "neither {} nor {} has an object (*.o)",
        options.orig.display(),
        options.patched.display()
    );
    let progress = progress(paths.len());
    let done: Vec<Done> = paths
        .par_iter()
        .with_max_len(1)
        .map(|path| {
            let done = target.compare(path).unwrap_or_else(Done::Error);
            progress.inc(1);
            done
        })
        .collect();
    progress.finish_and_clear();
    let out = &mut io::stdout().lock();
    match options.report {
        Format::Json => print_json(out, &paths, &done)?,
        Format::Text => print_text(out, &paths, &done)?,
    }
    Ok(worst(&done))
}

impl Target<'_> {
    fn compare(&self, path: &Path) -> Result<Done> {
        let (orig, patched) = (
            self.options.orig.join(path),
            self.options.patched.join(path),
        );
        match (orig.exists(), patched.exists()) {
            (true, false) => return Ok(Done::Alone("original")),
            (false, true) => return Ok(Done::Alone("patched")),
            _ => {}
        }
        let (orig, patched) = (inputs::read(&orig)?, inputs::read(&patched)?);
        if orig == patched {
            return Ok(Done::Equal);
        }
        let own;
        let (symbols, entry_sizes) = match &self.symbols {
            Some(known) => known,
            None => {
                own = inputs::symbols_of(&orig)?;
                &own
            }
        };
        let config = config(
            self.options,
            self.flavour.clone(),
            entry_sizes.clone(),
            unit(path),
        );
        let orig = ObjectFile::new(orig).map_err(DiffError::Orig)?;
        let patched = ObjectFile::new(patched).map_err(DiffError::Patched)?;
        let (outcome, _) = diff_files((&orig, &patched), symbols, &self.exports, &config, None)?;
        if let (Some(object), Some(folder)) = (&outcome.object, &self.options.output) {
            self.write(&folder.join(path), object)?;
        }
        Ok(Done::Compared(Box::new(outcome.report)))
    }

    fn write(&self, path: &Path, object: &[u8]) -> Result<()> {
        let folder = path.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(folder)
            .with_context(|| format!("cannot create {}", folder.display()))?;
        output::write_whole(path, object)
            .with_context(|| format!("cannot write {}", path.display()))
    }
}

/// The objects below a folder, by relative path.
fn objects(folder: &Path) -> Result<BTreeSet<PathBuf>> {
    if !folder.is_dir() {
        bail!(
            "{} is not a folder, which --pairs compares",
            folder.display()
        );
    }
    let mut paths = BTreeSet::new();
    for entry in WalkDir::new(folder) {
        let entry = entry.with_context(|| format!("cannot read {}", folder.display()))?;
        let is_object =
            entry.file_type().is_file() && entry.path().extension() == Some(OsStr::new("o"));
        if let (true, Ok(path)) = (is_object, entry.path().strip_prefix(folder)) {
            paths.insert(path.to_owned());
        }
    }
    Ok(paths)
}

/// `fs/proc/meminfo.o` is `fs.proc.meminfo`.
fn unit(path: &Path) -> String {
    let stem = path.with_extension("");
    let words: Vec<_> = stem.iter().map(OsStr::to_string_lossy).collect();
    words.join(".")
}

/// On a terminal alone: elsewhere it would be noise in a log.
fn progress(len: usize) -> ProgressBar {
    let bar = ProgressBar::new(len as u64);
    match ProgressStyle::with_template("{bar:40} {pos}/{len} pairs, {eta} left") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

impl Done {
    /// As in a report, or `error`.
    fn verdict(&self) -> &'static str {
        match self {
            Done::Compared(report) => match report.verdict {
                Verdict::Written => "written",
                Verdict::Refused => "refused",
                Verdict::Same => "same",
            },
            Done::Equal => "same",
            Done::Alone(_) => "refused",
            Done::Error(_) => "error",
        }
    }
}

fn worst(done: &[Done]) -> ExitCode {
    let has = |verdict: &str| done.iter().any(|done| done.verdict() == verdict);
    ExitCode::from(match () {
        () if has("error") => 1,
        () if has("refused") => 2,
        () if has("written") => 0,
        () => 3,
    })
}

/// One object a line: the report, with the pair's `path`.
fn print_json(out: &mut impl Write, paths: &[PathBuf], done: &[Done]) -> Result<()> {
    for (path, done) in paths.iter().zip(done) {
        let mut value = match done {
            Done::Compared(report) => serde_json::to_value(report)?,
            Done::Equal => serde_json::json!({ "verdict": "same" }),
            Done::Alone(tree) => serde_json::json!({ "verdict": "refused", "only_in": tree }),
            Done::Error(error) => {
                serde_json::json!({ "verdict": "error", "error": format!("{error:#}") })
            }
        };
        value["path"] = path.to_string_lossy().into();
        serde_json::to_writer(&mut *out, &value)?;
        writeln!(out)?;
    }
    Ok(())
}

fn print_text(out: &mut impl Write, paths: &[PathBuf], done: &[Done]) -> Result<()> {
    for (path, done) in paths.iter().zip(done) {
        write!(out, "{:<8} {}", done.verdict(), path.display())?;
        match done {
            Done::Compared(report) if report.verdict != Verdict::Same => print_counts(out, report)?,
            Done::Compared(_) | Done::Equal => writeln!(out)?,
            Done::Alone(tree) => writeln!(
                out,
                ": only the {tree} folder has it: keep the file, or put what it adds into one that both have"
            )?,
            Done::Error(error) => writeln!(out, ": {error:#}")?,
        }
    }
    let count = |verdict: &str| done.iter().filter(|done| done.verdict() == verdict).count();
    writeln!(
        out,
        "{} pairs: {} written, {} refused, {} without a change, {} errors",
        done.len(),
        count("written"),
        count("refused"),
        count("same"),
        count("error")
    )?;
    Ok(())
}

fn print_counts(out: &mut impl Write, report: &Report) -> io::Result<()> {
    let count = |status| {
        let functions = report.functions.iter();
        functions
            .filter(|function| function.status == status)
            .count()
    };
    writeln!(
        out,
        ": {} changed, {} new, {} refusals",
        count(Status::Changed),
        count(Status::New),
        report.refusals.len()
    )?;
    for refusal in &report.refusals {
        writeln!(out, "           {refusal}")?;
    }
    Ok(())
}

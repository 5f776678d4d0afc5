//! The command line of `lp-verify`: parsed first, judged second, said last.
//!
//! Exit codes: 0 it may, 1 something could not be read, 2 it may not.

mod inputs;
mod options;
mod sarif;
mod say;
mod table;

use anyhow::{Result, bail, ensure};
use clap::Parser;
use lp_klp::manifest::TargetKind;
use lp_verify::finding::Finding;
use lp_verify::fleet;
use lp_verify::kernel::Kernel;
use lp_verify::patch::Patch;
use lp_verify::rules;
use lp_verify::sequence;
use options::{Check, Command, Common, Format, Options};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

const REFUSED: u8 = 2;

pub(crate) fn run() -> ExitCode {
    if let Some(done) = lp_cli::generate::<Options>() {
        return done;
    }
    let options = match Options::try_parse() {
        Ok(options) => options,
        Err(error) => {
            // Help and version are asked for; anything else is an error like others, and 2 means refused here.
            let _ = error.print();
            return ExitCode::from(u8::from(error.use_stderr()));
        }
    };
    match judge(&options) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(REFUSED),
        Err(error) if is_closed(&error) => ExitCode::SUCCESS,
        Err(error) => {
            say_error(&error, options.format());
            ExitCode::FAILURE
        }
    }
}

/// Who does not read to the end has seen enough.
fn is_closed(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<io::Error>()
        .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// Says what went wrong; where nobody listens the exit status says it.
fn say_error(error: &anyhow::Error, format: Format) {
    if format != Format::Text {
        let report = serde_json::json!({ "verdict": "error", "error": lp_cli::in_words(error) });
        let _ = writeln!(io::stdout().lock(), "{report:#}");
    }
    let _ = writeln!(
        io::stderr().lock(),
        "lp-verify: {}",
        lp_cli::in_words(error)
    );
}

fn judge(options: &Options) -> Result<bool> {
    let mut out = io::stdout().lock();
    match &options.command {
        None => check(&options.check, &mut out),
        Some(Command::Matrix { modules, common }) => matrix(modules, common, &mut out),
        Some(Command::Plan {
            from,
            to,
            modules,
            common,
        }) => plan(from, to, modules, common, &mut out),
        Some(Command::Fleet {
            new,
            inventory,
            common,
        }) => judge_fleet(new, inventory, common, &mut out),
    }
}

fn check(check: &Check, out: &mut impl Write) -> Result<bool> {
    let layout = inputs::layout(&check.common)?;
    let new = inputs::module(
        check.new.as_deref().unwrap_or(Path::new("")),
        layout.as_ref(),
    )?;
    let installed = match &check.installed {
        Some(what) => inputs::installed(what, layout.as_ref())?,
        None if check.nothing_installed => Default::default(),
        None if new.kind() == TargetKind::Process => bail!(
            "this patch is for processes: say over what with --installed, what 'lp-ctl inventory --pid PID' printed or other \
             patches, or --nothing-installed"
        ),
        None => inputs::this_machine()?,
    };
    let kernel = inputs::kernel(&check.common)?;
    ensure!(
        kernel.is_none() || new.kind() == TargetKind::Kernel,
        "--vmlinux and --modules are for a kernel's patch, this one is for processes"
    );
    let findings = rules::check(&new, &installed, kernel.as_ref());
    let over: Vec<&Patch> = installed.patches.iter().collect();
    say::check(&new.patch(), &over, &findings, check.common.format, out)?;
    Ok(!findings.iter().any(Finding::is_error))
}

/// A matrix is a table of facts: what may not follow is no failure.
fn matrix(modules: &[PathBuf], common: &Common, out: &mut impl Write) -> Result<bool> {
    let modules = inputs::modules(modules, common)?;
    let kernel = inputs::kernel(common)?;
    let matrix = sequence::matrix(&modules, kernel.as_ref());
    say::matrix(&matrix, common.format, out)?;
    Ok(true)
}

fn plan(
    from: &Path,
    to: &Path,
    others: &[PathBuf],
    common: &Common,
    out: &mut impl Write,
) -> Result<bool> {
    let mut files = vec![from.to_owned(), to.to_owned()];
    files.extend(
        others
            .iter()
            .filter(|file| *file != from && *file != to)
            .cloned(),
    );
    let modules = inputs::modules(&files, common)?;
    let names: Vec<String> = modules.iter().map(|module| module.patch().name).collect();
    let kernel = inputs::kernel(common)?;
    let steps = sequence::plan(&modules, (0, 1), kernel.as_ref())?;
    let steps = steps.map(|steps| {
        steps
            .into_iter()
            .map(|step| names[step].as_str())
            .collect::<Vec<_>>()
    });
    say::plan(
        &names,
        steps.as_deref(),
        &sequence::matrix(&modules, kernel.as_ref()),
        common.format,
        out,
    )?;
    Ok(steps.is_some())
}

fn judge_fleet(
    new: &Path,
    inventories: &[PathBuf],
    common: &Common,
    out: &mut impl Write,
) -> Result<bool> {
    let layout = inputs::layout(common)?;
    let new = inputs::module(new, layout.as_ref())?;
    let kernel: Option<Kernel> = inputs::kernel(common)?;
    let fleet = fleet::judge(&new, inputs::concatenated(inventories)?, kernel.as_ref())?;
    say::fleet(&new.patch(), &fleet, common.format, out)?;
    Ok(fleet.accepted == fleet.machines && fleet.broken == 0)
}

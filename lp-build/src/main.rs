//! The `lp-build` command.

use anyhow::Result;
use clap::Parser;
use lp_build::cli::{Cli, Command, KernelArgs, ReportFormat};
use lp_build::progress::{Progress, say};
use lp_build::report::{Report, Verdict, error_text, json, text};
use lp_build::{cache, doctor, kernel, lineage, new, options, process, watch};
use std::io::{ErrorKind, Write};
use std::process::ExitCode;

fn main() -> ExitCode {
    // A compiler's command line is none of ours: it comes before everything else.
    if let Some(done) = process::shim::entered() {
        return done;
    }
    if let Some(done) = lp_cli::generate::<Cli>() {
        return done;
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    match cli.command {
        Command::Kernel(args) => {
            log(args.run.verbose);
            build(*args)
        }
        Command::Process(args) => {
            log(args.run.verbose);
            let format = args.run.report;
            reported(format, |progress, report| {
                let options = process::options::interpret(*args)?;
                process::build(&options, progress, report)
            })
        }
        Command::Watch(args) => {
            log(args.run.verbose);
            watch::run(&args, build)
        }
        Command::New(args) => new::run(&args),
        Command::Doctor(args) => doctor::run(&args),
        Command::Cache(command) => cache::command::run(&command),
        Command::Changelog(args) => lineage::changelog(&args),
        Command::Template(args) => {
            // Who does not read to the end has seen enough.
            let _ = std::io::stdout()
                .lock()
                .write_all(args.of.text().as_bytes());
            ExitCode::SUCCESS
        }
    }
}

/// One run of `lp-build kernel`.
fn build(args: KernelArgs) -> ExitCode {
    reported(args.run.report, |progress, report| {
        let options = options::interpret(args)?;
        kernel::build(&options, progress, report)
    })
}

/// A run that ends with a report, whatever came of it.
fn reported(
    format: ReportFormat,
    run: impl FnOnce(&Progress, &mut Report) -> Result<Verdict>,
) -> ExitCode {
    let mut report = Report::default();
    let progress = Progress::on_stderr();
    match run(&progress, &mut report) {
        Ok(verdict) => report.verdict = verdict,
        Err(error) => {
            let text = error_text(&error);
            say(format_args!("error: {text}"));
            report.error = Some(text);
        }
    }
    report.steps = progress.steps();
    show(&report, format)
}

/// Each command that is run, to stderr; without `-v` only what LP_LOG asks for.
fn log(verbose: bool) {
    use tracing_subscriber::EnvFilter;
    let default = if verbose { "lp_build=debug" } else { "off" };
    let filter = EnvFilter::try_from_env("LP_LOG").unwrap_or_else(|_| EnvFilter::new(default));
    let format = tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .without_time()
        .log_internal_errors(false)
        .with_target(false);
    format.with_env_filter(filter).init();
}

/// Shows what came out; who does not read to the end still learns the verdict.
fn show(report: &Report, format: ReportFormat) -> ExitCode {
    let text = match format {
        ReportFormat::Text => text::render(report),
        ReportFormat::Json => json::render(report),
    };
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            say(format_args!(
                "error: cannot write the report to stdout: {error}"
            ));
            Verdict::Error.exit_code()
        }
        _ => report.verdict.exit_code(),
    }
}

/// Wrong words are an error like others (1), not clap's 2, which means refused here.
fn usage(error: &clap::Error) -> ExitCode {
    // Nothing can be done where even the terminal is gone.
    let _ = error.print();
    if !error.use_stderr() {
        return ExitCode::SUCCESS;
    }
    let words: Vec<String> = std::env::args().collect();
    let json = words.iter().any(|word| word == "--report=json")
        || words
            .windows(2)
            .any(|pair| matches!(pair, [option, value] if option == "--report" && value == "json"));
    if json {
        let report = Report {
            error: Some(error.to_string()),
            ..Report::default()
        };
        return show(&report, ReportFormat::Json);
    }
    Verdict::Error.exit_code()
}

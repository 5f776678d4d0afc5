//! The `lp-build` command.

use anyhow::Result;
use clap::Parser;
use lp_build::cli::{Cli, Command, KernelArgs, ReportFormat};
use lp_build::progress::Progress;
use lp_build::report::{Report, Verdict, json, text};
use lp_build::{kernel, options};
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    let Command::Kernel(args) = cli.command;
    let format = args.report;
    let mut report = Report::default();
    log(args.verbose);
    let progress = Progress::on_stderr();
    match run(*args, &progress, &mut report) {
        Ok(verdict) => report.verdict = verdict,
        Err(error) => {
            eprintln!("error: {error:#}");
            report.error = Some(format!("{error:#}"));
        }
    }
    report.steps = progress.steps();
    show(&report, format);
    report.verdict.exit_code()
}

/// Each command that is run, to stderr; without `-v` only what LP_LOG asks for.
fn log(verbose: bool) {
    use tracing_subscriber::EnvFilter;
    let default = if verbose { "lp_build=debug" } else { "off" };
    let filter = EnvFilter::try_from_env("LP_LOG").unwrap_or_else(|_| EnvFilter::new(default));
    let format = tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .without_time()
        .with_target(false);
    format.with_env_filter(filter).init();
}

fn run(args: KernelArgs, progress: &Progress, report: &mut Report) -> Result<Verdict> {
    let options = options::interpret(args)?;
    kernel::build(&options, progress, report)
}

fn show(report: &Report, format: ReportFormat) {
    print!(
        "{}",
        match format {
            ReportFormat::Text => text::render(report),
            ReportFormat::Json => json::render(report),
        }
    );
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
        show(&report, ReportFormat::Json);
    }
    Verdict::Error.exit_code()
}

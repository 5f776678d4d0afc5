//! The `lp-diff` command: two objects in, one object and a report out.

mod cli;

use clap::Parser;
use cli::{Format, Options};
use std::io::{self, Write};
use std::process::ExitCode;

fn main() -> ExitCode {
    if let Some(done) = lp_cli::generate::<Options>() {
        return done;
    }
    let options = match Options::try_parse() {
        Ok(options) => options,
        Err(error) => return usage(&error),
    };
    match cli::run(&options) {
        Ok(code) => code,
        Err(error) => {
            let message = lp_cli::in_words(&error);
            if let Format::Json = options.report {
                // Where stdout is gone, stderr is what is left.
                let _ = writeln!(
                    io::stdout(),
                    "{}",
                    serde_json::json!({ "verdict": "error", "error": message })
                );
            }
            let _ = writeln!(io::stderr(), "lp-diff: {message}");
            ExitCode::from(1)
        }
    }
}

/// Wrong words are an error like others (1), not clap's 2, which means refused here.
fn usage(error: &clap::Error) -> ExitCode {
    // Nothing can be done where even the terminal is gone.
    let _ = error.print();
    if error.use_stderr() {
        ExitCode::from(1)
    } else {
        ExitCode::SUCCESS
    }
}

//! `lp-ctl`: loads, watches and removes livepatches on this machine.

mod cli;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    if let Some(done) = lp_cli::generate::<cli::Args>() {
        return done;
    }
    match cli::Args::try_parse() {
        Ok(args) => cli::run(args),
        Err(error) => {
            // Help and version are asked for; anything else is a mistake in the call, and 2 means refused here.
            let mistake = error.use_stderr();
            let _ = error.print();
            ExitCode::from(u8::from(mistake))
        }
    }
}

//! `lp-verify`: may this livepatch be installed over those that are installed?

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::run()
}

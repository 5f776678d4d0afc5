//! The command line of `lp-ctl`: parsed first, done second, shown last.
//!
//! Exit codes: 0 done, 1 a mistake in the call or its surroundings, 2 refused or a transition did not end. Scripts that
//! roll a patch out need to tell the last two apart, so they are not folded into one.

mod args;
mod every;
mod process;
mod progress;
mod run;
mod show;
mod watch;

use std::io::ErrorKind;
use std::process::ExitCode;

pub(crate) use args::Args;

/// Does what was asked, prints the outcome in the format asked for.
pub(crate) fn run(args: Args) -> ExitCode {
    let shown = run::run(&args).and_then(|outcome| match show::outcome(&outcome, args.format) {
        // It is done; who does not read to the end has seen enough.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(outcome.failure()),
        shown => shown.map(|()| outcome.failure()).map_err(Into::into),
    });
    match shown {
        Ok(None) => ExitCode::SUCCESS,
        Ok(Some(run::Failure::Error)) => ExitCode::FAILURE,
        Ok(Some(run::Failure::Refused)) => ExitCode::from(2),
        Err(error) => {
            show::error(&error, args.format);
            let refused = error
                .downcast_ref()
                .is_some_and(lp_runtime::error::Error::is_the_kernels)
                || error
                    .downcast_ref()
                    .is_some_and(lp_runtime::process::prepare::trust::TrustError::is_refusal);
            ExitCode::from(if refused { 2 } else { 1 })
        }
    }
}

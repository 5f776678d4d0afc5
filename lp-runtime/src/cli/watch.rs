//! `lp-ctl watch`: says what happens, a line each, until it is interrupted.

use std::io::{self, Write};

use anyhow::{Context, Result};
use lp_runtime::process::kept::journal::Steps;
use lp_runtime::process::{Ended, Process, Watched};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use serde_json::json;

use super::args::Format;
use super::run::Outcome;

/// Watches a process.
pub(crate) fn watch(pid: i32, format: Format) -> Result<Outcome> {
    // They are waited for instead, so that nothing is left in the process.
    let signals: SigSet = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP]
        .into_iter()
        .collect();
    signals.thread_block().context("block signals")?;
    let interrupted =
        SignalFd::with_flags(&signals, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC);
    let interrupted = interrupted.context("wait for signals")?;
    let process = Process::attach(pid)?;
    let mut tell = |watched: Watched| say(pid, &watched, format);
    let mut until = || matches!(interrupted.read_signal(), Ok(Some(_)));
    let ended = match process.watch(Steps::default(), &mut tell, &mut until)? {
        Ended::Told => "not watched any more",
        Ended::Exited => "it has ended",
        Ended::Exec => "it runs another program now (exec), without patches",
        Ended::TakenAway => "another lp-ctl took the watch away",
    };
    Ok(Outcome::Watched { pid, ended })
}

fn say(pid: i32, watched: &Watched, format: Format) {
    let text = match watched {
        Watched::Began => "watched: what it loads is patched before it runs".to_owned(),
        Watched::Happened { happened, in_time } => {
            let late = " (its code may have run before)";
            let late = if *in_time || !happened.is_patched() {
                ""
            } else {
                late
            };
            format!("{happened}{late}")
        }
        Watched::Failed(error) => format!("error: {error}"),
        Watched::Late => {
            "it did not wait longer: what it loaded ran unpatched for a while".to_owned()
        }
        other => format!("{other:?}"),
    };
    let line = match format {
        Format::Text => format!("process {pid}: {text}"),
        Format::Json => json!({ "pid": pid, "watch": text }).to_string(),
    };
    // Who does not read any more still has the process watched.
    let mut out = io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

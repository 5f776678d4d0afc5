//! Prints outcomes and errors, for people or for programs.

use std::io::{self, Write};

use lp_runtime::error::Error;
use lp_runtime::kernel::{Patch, Task};
use serde_json::json;

use super::args::Format;
use super::process::{InTransition, Listed, One, WOULD_GO};
use super::run::{Outcome, Status};

/// How much of a task's stack is shown.
const FRAMES: usize = 6;

pub(crate) fn outcome(outcome: &Outcome, format: Format) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if let Outcome::Inventory(inventories) = outcome {
        // Lines in every format: they are lines of a fleet's file.
        for inventory in inventories {
            let line = inventory.to_line().map_err(io::Error::other)?;
            writeln!(out, "{line}")?;
        }
        return Ok(());
    }
    if format == Format::Json {
        let text = serde_json::to_string_pretty(outcome).map_err(io::Error::other)?;
        return writeln!(out, "{text}");
    }
    match outcome {
        Outcome::Loaded {
            name,
            load_ms,
            transition_ms,
        } => {
            writeln!(
                out,
                "{name}: loaded in {}, all tasks run it after {}",
                time(*load_ms),
                time(*transition_ms)
            )
        }
        Outcome::Disabled {
            name,
            transition_ms,
        } => {
            writeln!(
                out,
                "{name}: disabled, all tasks have left it after {}",
                time(*transition_ms)
            )
        }
        Outcome::Enabled {
            name,
            transition_ms,
        } => {
            writeln!(
                out,
                "{name}: enabled, all tasks run it after {}",
                time(*transition_ms)
            )
        }
        Outcome::Unloaded { name } => writeln!(out, "{name}: unloaded"),
        Outcome::Forced { name } => writeln!(
            out,
            "{name}: forced; its module stays until the next reboot"
        ),
        Outcome::Inventory(_) => Ok(()),
        Outcome::List { patches } => list(&mut out, patches),
        Outcome::Status { patches } => status(&mut out, patches),
        Outcome::Processes { processes } => done(&mut out, processes),
        Outcome::Watched { pid, ended } => writeln!(out, "process {pid}: {ended}"),
        Outcome::Installed { processes } | Outcome::ProcessStatus { processes } => {
            installed(&mut out, processes)
        }
    }
}

pub(crate) fn error(error: &anyhow::Error, format: Format) {
    let known = error.downcast_ref::<Error>();
    if format == Format::Json {
        // The exit code tells those who cannot be written to.
        let _ = writeln!(io::stdout().lock(), "{:#}", error_json(error, known));
        return;
    }
    let mut text = format!("error: {}\n", lp_cli::in_words(error));
    if let Some(known) = known {
        for line in known.kernel_log() {
            text += &format!("  kernel log: {line}\n");
        }
        text += &tasks(known.tasks());
        if let Some(advice) = known.advice() {
            text += &format!("  help: {advice}\n");
        }
    }
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

fn error_json(error: &anyhow::Error, known: Option<&Error>) -> serde_json::Value {
    let errno = match known {
        Some(Error::Refused(refusal)) => Some(refusal.errno_name()),
        _ => None,
    };
    json!({ "error": {
        "message": lp_cli::in_words(error),
        "errno": errno,
        "kernel_log": known.map(Error::kernel_log).unwrap_or_default(),
        "tasks": known.map(Error::tasks).unwrap_or_default(),
        "advice": known.and_then(Error::advice),
    }})
}

/// What was done goes to where results go, why not to where errors go.
fn done(out: &mut dyn Write, processes: &[One]) -> io::Result<()> {
    for one in processes {
        for happened in &one.happened {
            writeln!(out, "process {}: {happened}", one.pid)?;
        }
        match &one.error {
            Some(error) => writeln!(io::stderr().lock(), "error: process {}: {error}", one.pid)?,
            None if one.what == WOULD_GO => {
                writeln!(out, "{}: {WOULD_GO} process {}", one.name, one.pid)?
            }
            None => writeln!(
                out,
                "{}: {} process {} in {}, all threads stood for {} us",
                one.name,
                one.what,
                one.pid,
                time(one.took_ms),
                one.stood_us
            )?,
        }
        for replaced in &one.replaces {
            writeln!(out, "  in the place of {}", replaced.name)?;
            if !replaced.lost.is_empty() {
                writeln!(
                    io::stderr().lock(),
                    "warning: process {}: {} changed {}, which {} does not: the fix that this was goes back to the program's own code. Make one patch of both, or build this one with --replace=false",
                    one.pid,
                    replaced.name,
                    replaced.lost.join(", "),
                    one.name
                )?;
            }
        }
        for warning in &one.warnings {
            writeln!(
                io::stderr().lock(),
                "warning: process {}: {warning}",
                one.pid
            )?;
        }
    }
    Ok(())
}

fn installed(out: &mut dyn Write, processes: &[Listed]) -> io::Result<()> {
    for process in processes {
        writeln!(out, "process {} ({})", process.pid, process.program)?;
        if process.patches.is_empty() {
            writeln!(out, "  no livepatch is installed")?;
        }
        for patch in &process.patches {
            let of_patch = process.transition.as_ref();
            let state = match of_patch.filter(|it| it.name == patch.name) {
                Some(transition) if transition.enabling => "enabling",
                Some(_) => "disabling",
                None if patch.forced => "forced out, its memory stays",
                None if patch.enabled => "enabled",
                None => "replaced",
            };
            let (name, functions) = (&patch.name, patch.functions.len());
            writeln!(
                out,
                "  {name}  {state}  {functions} functions: {}",
                patch.functions.join(", ")
            )?;
            for of in &patch.not_patched {
                writeln!(out, "    {of}")?;
            }
        }
        if let Some(by) = process.watched_by {
            writeln!(
                out,
                "  watched by process {by}: what it loads is patched before it runs"
            )?;
        }
        if let Some(transition) = &process.transition {
            write!(out, "{}", left(transition))?;
        }
        for stays in &process.stays {
            writeln!(
                out,
                "  {} is out; {} KiB of it stay in memory until nothing suspended can come back to its code",
                stays.name,
                stays.bytes.div_ceil(1024)
            )?;
        }
        if let Some(patch) = &process.unfinished {
            writeln!(
                out,
                "  {patch} was left half way by a loader that ended; the next load or unload undoes it"
            )?;
        }
    }
    Ok(())
}

/// Who holds a transition up, and what can be done.
fn left(transition: &InTransition) -> String {
    let name = &transition.name;
    let Some(left) = &transition.held_up_by else {
        return format!("  {name} is in transition; `lp-ctl status` shows who holds it up\n");
    };
    let mut text = format!("  {name}: {} threads left\n", left.len());
    for thread in left {
        text += &format!(
            "  thread {} ({}): {}\n",
            thread.tid, thread.name, thread.why
        );
        for frame in thread.frames.iter().take(FRAMES) {
            text += &format!("    {frame}\n");
        }
    }
    let (on, back) = if transition.enabling {
        ("enable", "disable")
    } else {
        ("disable", "enable")
    };
    text +=
        &format!("  help: `lp-ctl {on} {name}` goes on, `lp-ctl {back} {name}` turns it back\n");
    text
}

fn list(out: &mut dyn Write, patches: &[Patch]) -> io::Result<()> {
    if patches.is_empty() {
        return writeln!(out, "no livepatch is installed");
    }
    let width = patches
        .iter()
        .map(|patch| patch.name.len())
        .max()
        .unwrap_or(0)
        .max("NAME".len());
    writeln!(
        out,
        "{:width$}  {:11}  {:>7}  {:>9}",
        "NAME", "STATE", "OBJECTS", "FUNCTIONS"
    )?;
    for patch in patches {
        let (objects, functions) = (patch.objects.len(), patch.function_count());
        writeln!(
            out,
            "{:width$}  {:11}  {objects:>7}  {functions:>9}",
            patch.name,
            state(patch)
        )?;
    }
    Ok(())
}

fn status(out: &mut dyn Write, patches: &[Status]) -> io::Result<()> {
    if patches.is_empty() {
        return writeln!(out, "no livepatch is installed");
    }
    for Status { patch, held_up_by } in patches {
        let replaces = if patch.replace == Some(true) {
            ", replaces all before it"
        } else {
            ""
        };
        writeln!(out, "{}: {}{replaces}", patch.name, state(patch))?;
        for object in &patch.objects {
            let absent = if object.patched == Some(false) {
                " (not loaded)"
            } else {
                ""
            };
            writeln!(out, "  {}{absent}", object.name)?;
            for function in &object.functions {
                writeln!(out, "    {},{}", function.name, function.sympos)?;
            }
        }
        if patch.transition {
            writeln!(out, "  {} tasks left", held_up_by.len())?;
        }
        write!(out, "{}", tasks(held_up_by))?;
    }
    Ok(())
}

fn state(patch: &Patch) -> &'static str {
    match (patch.enabled, patch.transition) {
        (true, false) => "enabled",
        (true, true) => "enabling",
        (false, true) => "disabling",
        (false, false) => "disabled",
    }
}

fn tasks(tasks: &[Task]) -> String {
    let mut text = String::new();
    for task in tasks {
        text += &format!(
            "  task {} ({}, process {})\n",
            task.tid, task.comm, task.pid
        );
        for frame in task.stack.iter().take(FRAMES) {
            text += &format!("    {frame}\n");
        }
    }
    text
}

fn time(milliseconds: u64) -> String {
    match milliseconds {
        0..1000 => format!("{milliseconds} ms"),
        _ => format!("{}.{} s", milliseconds / 1000, milliseconds % 1000 / 100),
    }
}

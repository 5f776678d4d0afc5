//! `lp-build watch`: builds again whenever the fixed source is saved.
//!
//! What is watched is what a run reads of the author's: the patched tree or the patches, and the description. Editors
//! save in several steps, so a build waits for a moment of silence. Reading counts as no change: the tempting wrong way
//! is to take every event, and then each build starts the next one.

use crate::cli::KernelArgs;
use crate::progress::say;
use anyhow::{Context, Result};
use notify::{Event, EventKind, RecursiveMode, Watcher};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

/// How long nothing must have been written before a build starts.
const SILENCE: Duration = Duration::from_millis(200);

/// Builds with `build` at once and after each save; ends with an error alone.
pub fn run(args: &KernelArgs, build: fn(KernelArgs) -> ExitCode) -> ExitCode {
    match watch(args, build) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(format_args!("error: {}", lp_cli::in_words(&error)));
            ExitCode::FAILURE
        }
    }
}

fn watch(args: &KernelArgs, build: fn(KernelArgs) -> ExitCode) -> Result<()> {
    let (sender, events) = channel();
    // Once the receiver is gone, nobody waits for events.
    let mut watcher = notify::recommended_watcher(move |event| {
        let _ = sender.send(event);
    })
    .context("cannot watch files")?;
    for (path, mode) in places(args) {
        watcher.watch(&path, mode).with_context(|| {
            format!(
                "cannot watch {} (is /proc/sys/fs/inotify/max_user_watches large enough?)",
                path.display()
            )
        })?;
    }
    loop {
        // What came of it was said; the next save may make it better.
        build(args.clone());
        say("watching for the next save; Ctrl-C ends");
        let saved = saved(&events, args)?;
        say(format_args!("\n{} was saved", saved.display()));
    }
}

/// What is watched: folders, because editors replace files.
fn places(args: &KernelArgs) -> Vec<(PathBuf, RecursiveMode)> {
    let folder = |file: &PathBuf| match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        _ => PathBuf::from("."),
    };
    let files = args.patch.iter().chain(&args.identity.describe).map(folder);
    let mut places: Vec<_> = files
        .map(|folder| (folder, RecursiveMode::NonRecursive))
        .collect();
    places.extend(
        args.patched
            .iter()
            .map(|tree| (tree.clone(), RecursiveMode::Recursive)),
    );
    places.sort_by(|a, b| a.0.cmp(&b.0));
    places.dedup_by(|a, b| a.0 == b.0);
    places
}

/// Waits for a save, and then for silence; a file that was saved.
fn saved(events: &Receiver<notify::Result<Event>>, args: &KernelArgs) -> Result<PathBuf> {
    let mut saved = None;
    loop {
        let event = match saved {
            None => events.recv().context("the watch ended")?,
            Some(path) => match events.recv_timeout(SILENCE) {
                Ok(event) => {
                    saved = Some(path);
                    event
                }
                Err(RecvTimeoutError::Timeout) => return Ok(path),
                Err(error) => return Err(error).context("the watch ended"),
            },
        };
        let event = event.context("the watch was lost")?;
        if let Some(path) = counts(&event, args) {
            saved = Some(path.to_owned());
        }
    }
}

/// The file of an event that is a save.
fn counts<'a>(event: &'a Event, args: &KernelArgs) -> Option<&'a Path> {
    if matches!(event.kind, EventKind::Access(_) | EventKind::Other) {
        return None;
    }
    let of_author = |path: &Path| {
        let name = path.file_name().and_then(|name| name.to_str());
        let name = name.unwrap_or_default();
        let of_editor = name.starts_with('.') || name.starts_with('#') || name.ends_with('~');
        let is_named = |file: &PathBuf| file.file_name() == path.file_name();
        let in_tree = args.patched.is_some() && !path.ends_with(&args.output);
        !of_editor
            && (in_tree
                || args
                    .patch
                    .iter()
                    .chain(&args.identity.describe)
                    .any(is_named)
                || name == crate::options::DESCRIBE_FILE)
    };
    event
        .paths
        .iter()
        .map(PathBuf::as_path)
        .find(|path| of_author(path))
}

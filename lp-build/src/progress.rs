//! What is being done and for how long: a live line on a terminal, plain lines elsewhere, always on stderr.

use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use std::io::{IsTerminal, Write};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// How long one step took.
#[derive(Debug, Clone, Serialize)]
pub struct Step {
    /// What was done.
    pub name: String,
    /// Milliseconds.
    pub ms: u128,
}

/// Shows the steps of one run and keeps their times.
#[derive(Debug)]
pub struct Progress {
    steps: Mutex<Vec<Step>>,
    terminal: bool,
}

impl Progress {
    /// Progress on stderr.
    pub fn on_stderr() -> Self {
        let terminal = std::io::stderr().is_terminal();
        Self {
            steps: Mutex::default(),
            terminal,
        }
    }

    /// Does one step, shows it, and keeps its time, also when it fails.
    pub fn step<T>(&self, name: &str, work: impl FnOnce() -> T) -> T {
        let bar = self.terminal.then(|| spinner(name));
        let start = Instant::now();
        let result = work();
        let took = start.elapsed();
        if let Some(bar) = bar {
            bar.finish_and_clear();
        }
        self.finish(name, took);
        result
    }

    /// Says something that must not be missed.
    pub fn warn(&self, text: impl std::fmt::Display) {
        say(format_args!("warning: {text}"));
    }

    /// The steps so far.
    pub fn steps(&self) -> Vec<Step> {
        self.steps
            .lock()
            .map(|steps| steps.clone())
            .unwrap_or_default()
    }

    fn finish(&self, name: &str, took: Duration) {
        say(format_args!("{:>7.2} s  {name}", took.as_secs_f64()));
        if let Ok(mut steps) = self.steps.lock() {
            steps.push(Step {
                name: name.to_owned(),
                ms: took.as_millis(),
            });
        }
    }
}

/// How many of a number of files are done, said now and then.
#[derive(Debug)]
pub struct Count {
    all: usize,
    done: AtomicUsize,
    start: Instant,
}

impl Count {
    /// Nothing of `all` is done yet.
    pub fn of(all: usize) -> Self {
        Self {
            all,
            done: AtomicUsize::new(0),
            start: Instant::now(),
        }
    }

    /// One more is done; each twentieth part is said, with the time that the rest takes at this rate.
    pub fn one_more(&self) {
        const MANY: usize = 40;
        let done = self.done.fetch_add(1, Ordering::Relaxed) + 1;
        let part = self.all / 20;
        if self.all < MANY || !done.is_multiple_of(part.max(1)) {
            return;
        }
        let took = self.start.elapsed().as_secs_f64();
        let left = took / done as f64 * self.all.saturating_sub(done) as f64;
        say(format_args!(
            "           {done} of {} files, {} left",
            self.all,
            minutes(left)
        ));
    }
}

/// A time in words: seconds below two minutes.
pub fn minutes(seconds: f64) -> String {
    match seconds < 120.0 {
        true => format!("{seconds:.0} s"),
        false => format!("{:.0} min", seconds / 60.0),
    }
}

/// Writes a line to stderr. Where that is closed or full nobody can be told, and the run goes on.
pub fn say(text: impl std::fmt::Display) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

fn spinner(name: &str) -> ProgressBar {
    let bar = ProgressBar::new_spinner().with_message(name.to_owned());
    if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} ({elapsed})") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}

//! The line that a person sees while tasks switch. Shown on a terminal's stderr only: in a log it would be noise.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use lp_runtime::kernel::{Direction, Progress, Task};

/// How many of the tasks left are named.
const NAMED: usize = 3;

pub(crate) struct Spinner(ProgressBar);

impl Spinner {
    pub(crate) fn new() -> Self {
        let bar = ProgressBar::new_spinner();
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}") {
            bar.set_style(style);
        }
        Self(bar)
    }

    pub(crate) fn show(&self, progress: &Progress<'_>) {
        self.0.enable_steady_tick(Duration::from_millis(100));
        self.0.set_message(line(progress));
    }

    pub(crate) fn clear(&self) {
        self.0.finish_and_clear();
    }
}

fn line(progress: &Progress<'_>) -> String {
    let going = match progress.direction {
        Direction::Patching => "to the new code",
        Direction::Unpatching => "back to the old code",
    };
    let seconds = progress.elapsed.as_secs_f64();
    format!(
        "tasks go {going}, {seconds:.1} s, {} left{}",
        progress.tasks.len(),
        some_names(progress.tasks)
    )
}

fn some_names(tasks: &[Task]) -> String {
    let mut names: Vec<String> = tasks
        .iter()
        .take(NAMED)
        .map(|task| format!("{} ({})", task.comm, task.tid))
        .collect();
    if tasks.len() > NAMED {
        names.push("..".into());
    }
    if names.is_empty() {
        String::new()
    } else {
        format!(": {}", names.join(", "))
    }
}

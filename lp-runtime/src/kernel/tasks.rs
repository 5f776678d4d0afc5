//! The tasks that hold up a transition, from `/proc/PID/task/TID/patch_state`.
//!
//! The state is 0 (runs the old code), 1 (runs the new) or -1 (no transition). A task that is not where the transition
//! goes has a function to be changed on its stack, or has not been asked yet. Threads are looked at one by one: `/proc/PID/patch_state`
//! speaks of the first thread only, and it is mostly another one that sleeps.

use std::fs;
use std::path::Path;

use serde::Serialize;

use super::host::Host;
use super::transition::Direction;

/// A thread that has not switched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Task {
    /// Its process.
    pub pid: u32,
    /// The thread itself.
    pub tid: u32,
    /// Its name, at most 15 bytes.
    pub comm: String,
    /// Its kernel stack, innermost call first; empty without the right to read it.
    pub stack: Vec<String>,
}

/// All threads that have not yet gone to where the transition goes, by thread id. Tasks that end meanwhile are left out.
pub fn holding_up(host: &Host, direction: Direction) -> Vec<Task> {
    let mut tasks = Vec::new();
    for (pid, process) in numbered(&host.proc()) {
        for (tid, thread) in numbered(&process.join("task")) {
            if patch_state(&thread).is_some_and(|state| state == direction.state_left()) {
                tasks.push(Task {
                    pid,
                    tid,
                    comm: line(&thread.join("comm")),
                    stack: stack(&thread),
                });
            }
        }
    }
    tasks.sort_by_key(|task| task.tid);
    tasks
}

fn patch_state(thread: &Path) -> Option<i32> {
    fs::read_to_string(thread.join("patch_state"))
        .ok()?
        .trim()
        .parse()
        .ok()
}

fn stack(thread: &Path) -> Vec<String> {
    let text = fs::read_to_string(thread.join("stack")).unwrap_or_default();
    // `[<0>] do_nanosleep+0x5f/0x180`
    text.lines()
        .map(|line| line.trim_start_matches("[<0>] ").to_owned())
        .collect()
}

fn line(path: &Path) -> String {
    fs::read_to_string(path)
        .unwrap_or_default()
        .trim_end()
        .to_owned()
}

fn numbered(folder: &Path) -> Vec<(u32, std::path::PathBuf)> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let number =
        |entry: fs::DirEntry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path()));
    entries.filter_map(Result::ok).filter_map(number).collect()
}

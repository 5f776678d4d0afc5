//! What the scripts run: this machine's own programs, which are Debian's, with the libraries that they need.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::command;

const PROGRAMS: [&str; 46] = [
    "awk", "basename", "bash", "cat", "comm", "cp", "cut", "date", "diff", "dirname", "dmesg",
    "echo", "expr", "false", "getconf", "grep", "head", "id", "insmod", "kill", "ls", "mkdir",
    "mktemp", "modinfo", "modprobe", "mv", "printf", "ps", "pwd", "rm", "rmmod", "sed", "seq",
    "sleep", "sort", "stat", "sync", "sysctl", "tail", "test", "touch", "tr", "true", "uname",
    "wc", "xargs",
];
const FOLDERS: [&str; 4] = ["/usr/bin", "/usr/sbin", "/bin", "/sbin"];

/// Programs and libraries, and where they go.
pub(crate) fn files() -> Result<Vec<(PathBuf, String)>> {
    let mut files = Vec::new();
    let mut libraries = BTreeSet::new();
    for name in PROGRAMS {
        let places = FOLDERS.iter().map(|folder| Path::new(folder).join(name));
        let program = places.into_iter().find(|path| path.exists());
        let program = program.with_context(|| format!("this machine has no `{name}`"))?;
        libraries.extend(needed(&program)?);
        files.push((program, format!("bin/{name}")));
    }
    let place = |path: &String| path.trim_start_matches('/').to_owned();
    files.extend(libraries.iter().map(|path| (path.into(), place(path))));
    Ok(files)
}

/// The libraries of a program, and the loader.
fn needed(program: &Path) -> Result<Vec<String>> {
    let text = command::capture(Command::new("ldd").arg(program))?;
    let paths = text.split_whitespace().filter(|word| word.starts_with('/'));
    Ok(paths.map(str::to_owned).collect())
}

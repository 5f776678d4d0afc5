//! What `/proc` says of a process's threads.

use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;

use super::Tid;
use super::error::SeizeError;
use crate::process::read::identity::is_kernel_thread;

/// A thread that did not stop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sluggish {
    /// The process.
    pub pid: i32,
    /// The thread.
    pub tid: Tid,
    /// Its name.
    pub name: String,
    /// Its state as `/proc/PID/stat` has it, `D` for one that nothing but its end wakes.
    pub state: char,
}

impl Sluggish {
    pub(super) fn of(pid: i32, tid: Tid) -> Self {
        let (name, state) = stat(pid, tid).unwrap_or_else(|| ("?".into(), '?'));
        Self {
            pid,
            tid,
            name,
            state,
        }
    }
}

impl fmt::Display for Sluggish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pid, tid, name, .. } = self;
        write!(
            f,
            "thread {tid} ({name}) of process {pid} did not stop in time"
        )?;
        match self.state {
            'D' => f.write_str(": it waits in the kernel for a vfork child or a device; try again"),
            _ => f.write_str("; try again"),
        }
    }
}

/// Whether a process is one that can be traced, as far as can be told without trying.
pub(super) fn check(pid: i32) -> Result<(), SeizeError> {
    if u32::try_from(pid) == Ok(std::process::id()) {
        return Err(SeizeError::Ourselves { pid });
    }
    let status = Status::read(pid).ok_or(SeizeError::NoSuchProcess { pid })?;
    if let Some(leader) = status.number("Tgid").filter(|leader| *leader != pid) {
        return Err(SeizeError::NotAProcess {
            tid: pid,
            pid: leader,
        });
    }
    // A process whose main thread alone has ended shows as a zombie, and cannot be looked into by its number.
    if status.get("State").is_some_and(|it| it.starts_with('Z')) {
        return Err(SeizeError::Zombie { pid });
    }
    // A kernel thread has no memory, and so no line of it; neither has one that is ending.
    if status.get("VmSize").is_none() {
        return Err(match is_kernel_thread(pid) {
            true => SeizeError::KernelThread { pid },
            false => SeizeError::NoSuchProcess { pid },
        });
    }
    match status.number("TracerPid") {
        Some(tracer) if tracer != 0 => Err(already_traced(pid, tracer)),
        _ => Ok(()),
    }
}

pub(super) fn already_traced(pid: i32, tracer: i32) -> SeizeError {
    let name = fs::read_to_string(format!("/proc/{tracer}/comm")).unwrap_or_default();
    SeizeError::AlreadyTraced {
        pid,
        tracer,
        name: name.trim_end().to_owned(),
    }
}

/// The threads that there are now.
pub(crate) fn tids(pid: i32) -> Result<Vec<Tid>, SeizeError> {
    let folder = match fs::read_dir(format!("/proc/{pid}/task")) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(SeizeError::NoSuchProcess { pid });
        }
        Err(_) => return Ok(Vec::new()),
        Ok(folder) => folder,
    };
    let number = |entry: fs::DirEntry| entry.file_name().to_str()?.parse().ok();
    Ok(folder.map_while(Result::ok).filter_map(number).collect())
}

/// How many threads the kernel counts: it links each one's folder.
pub(super) fn count(pid: i32) -> Option<usize> {
    let links = fs::metadata(format!("/proc/{pid}/task")).ok()?.nlink();
    usize::try_from(links).ok()?.checked_sub(2)
}

pub(super) fn is_thread_of(pid: i32, tid: Tid) -> bool {
    fs::metadata(format!("/proc/{pid}/task/{tid}")).is_ok()
}

/// Whether it has ended, or is nowhere.
pub(super) fn is_dead(pid: i32, tid: Tid) -> bool {
    stat(pid, tid).is_none_or(|(_, state)| matches!(state, 'Z' | 'X' | 'x'))
}

/// Whether this process's own thread traces it.
pub(super) fn is_ours(pid: i32, tid: Tid) -> bool {
    let status = Status::from(format!("/proc/{pid}/task/{tid}/status"));
    let tracer = status.and_then(|status| status.number("TracerPid"));
    tracer == Some(nix::unistd::gettid().as_raw())
        || tracer.and_then(|it| u32::try_from(it).ok()) == Some(std::process::id())
}

/// Name and state of a thread.
pub(crate) fn stat(pid: i32, tid: Tid) -> Option<(String, char)> {
    let stat = fs::read(format!("/proc/{pid}/task/{tid}/stat")).ok()?;
    let stat = String::from_utf8_lossy(&stat);
    // The name is in parentheses and may hold any.
    let (before, after) = stat.rsplit_once(')')?;
    let (_, name) = before.split_once('(')?;
    Some((name.to_owned(), after.trim_start().chars().next()?))
}

/// What a process runs: another program has another file, or, where addresses are random, another place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Program {
    file: (u64, u64),
    start_code: u64,
    start_stack: u64,
}

impl Program {
    /// What it runs now; none where it has ended.
    pub(super) fn of(pid: i32) -> Option<Self> {
        let exe = fs::metadata(format!("/proc/{pid}/exe")).ok()?;
        let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
        let stat = String::from_utf8_lossy(&stat);
        // Fields 26 and 28; field 3 is the first behind the name.
        let (_, fields) = stat.rsplit_once(')')?;
        let mut fields = fields.split_ascii_whitespace().skip(23);
        let mut field = || fields.next()?.parse().ok();
        let (start_code, _, start_stack) = (field()?, field()?, field()?);
        Some(Self {
            file: (exe.dev(), exe.ino()),
            start_code,
            start_stack,
        })
    }
}

/// The file `status` of a process or thread.
pub(crate) struct Status(String);

impl Status {
    /// Of a process.
    pub(crate) fn read(pid: i32) -> Option<Self> {
        Self::from(format!("/proc/{pid}/status"))
    }

    /// Of a thread.
    pub(crate) fn of_thread(pid: i32, tid: Tid) -> Option<Self> {
        Self::from(format!("/proc/{pid}/task/{tid}/status"))
    }

    fn from(path: String) -> Option<Self> {
        let text = fs::read(path).ok()?;
        Some(Self(String::from_utf8_lossy(&text).into_owned()))
    }

    /// A line's value.
    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        let value = |line: &'_ str| -> Option<usize> {
            let (name, _) = line.split_once(':')?;
            (name == key).then_some(name.len() + 1)
        };
        self.0
            .lines()
            .find_map(|line| line.get(value(line)?..))
            .map(str::trim)
    }

    /// The first number of a line.
    pub(crate) fn number(&self, key: &str) -> Option<i32> {
        self.get(key)?.split_whitespace().next()?.parse().ok()
    }
}

//! Every process that is meant: one by its number, or all that run a program.
//!
//! A server forks and its children end while we go from one to the next. A child of one that had not had its turn has nothing of
//! what was done, so we look again until all that are there have had theirs. The tempting wrong way is to look
//! once: the child would run the old code, and nobody would know.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use super::args::Place;

/// Somebody may fork faster than we come along; then it is said, and nothing is promised.
const MOST_LOOKS: usize = 1000;

/// So many looks in a row must find none to do anything to, where one of each look had ended before its turn: it may have left a child.
const QUIET_LOOKS: usize = 3;

/// The processes in turn.
pub(crate) struct Every<'a> {
    place: &'a Place,
    known: BTreeSet<i32>,
    looks: usize,
}

/// What became of a process that was meant.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
pub(crate) enum Turn {
    /// Something was done to it, or went wrong.
    Taken,
    /// It was as it should be.
    Needless,
    /// There is no such process any more.
    Gone,
}

impl<'a> Every<'a> {
    /// Of a place.
    pub(crate) fn of(place: &'a Place) -> Self {
        Self {
            place,
            known: BTreeSet::new(),
            looks: 0,
        }
    }

    /// Has each of them take its turn, those that come meanwhile, too.
    ///
    /// # Errors
    /// Where there is none, and where they come without an end.
    pub(crate) fn take(mut self, mut turn: impl FnMut(i32) -> Turn) -> Result<()> {
        let mut quiet = 0;
        loop {
            let new = self.look()?;
            let turns: Vec<Turn> = new.into_iter().map(&mut turn).collect();
            quiet = match turns.contains(&Turn::Taken) {
                true => 0,
                false => quiet + 1,
            };
            let is_over = quiet > 0 && (quiet >= QUIET_LOOKS || !turns.contains(&Turn::Gone));
            if is_over || self.place.all.is_none() {
                return Ok(());
            }
            ensure!(
                self.looks < MOST_LOOKS,
                "new processes come faster than they can be looked at: some may have been missed, so do it again"
            );
        }
    }

    /// Those that we do not know yet.
    fn look(&mut self) -> Result<Vec<i32>> {
        let found = match (&self.place.pid, &self.place.all) {
            (Some(pid), _) => vec![*pid],
            (None, Some(program)) => running(program)?,
            (None, None) => Vec::new(),
        };
        if let (Some(program), 0, true) = (&self.place.all, self.looks, found.is_empty()) {
            anyhow::bail!(
                "no process runs {}, or none that we may look at",
                program.display()
            );
        }
        self.looks += 1;
        let new = found.into_iter().filter(|pid| self.known.insert(*pid));
        Ok(new.collect())
    }
}

impl Place {
    /// Whether a process is meant and not the kernel.
    pub(crate) fn is_process(&self) -> bool {
        self.pid.is_some() || self.all.is_some()
    }

    /// Whether a process has ended, or runs another program now, and so is none of those that are meant.
    pub(crate) fn has_lost(&self, pid: i32) -> bool {
        let wanted = self.all.as_deref().map(names);
        wanted.is_some_and(|wanted| !runs(pid, &wanted))
    }
}

/// The processes that run a program, also where its file was deleted or replaced meanwhile.
fn running(program: &Path) -> Result<Vec<i32>> {
    let wanted = names(program);
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").context("read /proc")?.flatten() {
        let name = entry.file_name();
        let pid: Option<i32> = name.to_str().and_then(|name| name.parse().ok());
        found.extend(pid.filter(|pid| runs(*pid, &wanted)));
    }
    found.sort_unstable();
    Ok(found)
}

/// What `/proc/PID/exe` says of a program.
fn names(program: &Path) -> [PathBuf; 2] {
    let path = fs::canonicalize(program).unwrap_or_else(|_| program.to_path_buf());
    let mut deleted = path.clone().into_os_string();
    deleted.push(" (deleted)");
    [path, PathBuf::from(deleted)]
}

/// Nothing is said of one that has ended and was not waited for yet.
fn runs(pid: i32, wanted: &[PathBuf; 2]) -> bool {
    let exe = fs::read_link(format!("/proc/{pid}/exe"));
    exe.is_ok_and(|exe| wanted.contains(&exe))
}

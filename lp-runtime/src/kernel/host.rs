//! Where the kernel's files are: `/`, or in tests a folder that has `sys`, `proc` and `dev` in it.
//!
//! The tempting way is a constant per path; then nothing can be tested without root and a kernel to spare.

use std::path::{Path, PathBuf};

/// The file system through which a kernel is seen.
#[derive(Debug, Clone)]
pub struct Host {
    root: PathBuf,
}

impl Host {
    /// The kernel that this process runs on.
    pub fn running() -> Self {
        Self::at("/")
    }

    /// A tree that looks like one, for tests.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// `/sys/kernel/livepatch`
    pub fn livepatch(&self) -> PathBuf {
        self.root.join("sys/kernel/livepatch")
    }

    /// `/sys/module/NAME`
    pub fn module(&self, name: &str) -> PathBuf {
        self.root.join("sys/module").join(name)
    }

    /// `/proc`
    pub fn proc(&self) -> PathBuf {
        self.root.join("proc")
    }

    /// `/dev/kmsg`
    pub fn kmsg(&self) -> PathBuf {
        self.root.join("dev/kmsg")
    }

    /// The release of the running kernel, as `uname -r` has it.
    pub fn release(&self) -> Option<String> {
        let path = self.proc().join("sys/kernel/osrelease");
        let text = std::fs::read_to_string(path).ok()?;
        Some(text.trim().to_owned())
    }

    /// The root folder.
    pub fn root(&self) -> &Path {
        &self.root
    }
}

//! A folder that looks like a kernel: what `/sys/kernel/livepatch`, `/sys/module` and `/proc` have in them, as plain files.

use std::fs;
use std::io::Write as _;
use std::path::Path;

use lp_runtime::kernel::{Host, PatchName};
use tempfile::TempDir;

/// The folder, removed when dropped.
pub(crate) struct FakeKernel {
    folder: TempDir,
}

impl FakeKernel {
    /// A kernel that can livepatch and has no patch.
    pub(crate) fn new() -> Self {
        let fake = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        fs::create_dir_all(fake.host().livepatch()).unwrap();
        fake.write("proc/sys/kernel/osrelease", "6.1.0-53-cloud-amd64\n");
        fake
    }

    pub(crate) fn host(&self) -> Host {
        Host::at(self.folder.path())
    }

    pub(crate) fn root(&self) -> &Path {
        self.folder.path()
    }

    /// Installs a patch of one function.
    pub(crate) fn patch(&self, name: &str, enabled: bool, transition: bool) {
        let folder = format!("sys/kernel/livepatch/{name}");
        self.write(
            &format!("{folder}/enabled"),
            if enabled { "1\n" } else { "0\n" },
        );
        self.write(
            &format!("{folder}/transition"),
            if transition { "1\n" } else { "0\n" },
        );
        self.write(&format!("{folder}/force"), "");
        fs::create_dir_all(self.root().join(folder).join("vmlinux/cmdline_proc_show,1")).unwrap();
        fs::create_dir_all(self.host().module(name)).unwrap();
    }

    /// Removes a patch, as the kernel does when its disabling ends.
    pub(crate) fn remove(&self, name: &str) {
        fs::remove_dir_all(self.host().livepatch().join(name)).unwrap();
    }

    /// Adds a thread.
    pub(crate) fn task(&self, pid: u32, tid: u32, comm: &str, patch_state: i32) {
        let folder = format!("proc/{pid}/task/{tid}");
        self.write(
            &format!("{folder}/patch_state"),
            &format!("{patch_state}\n"),
        );
        self.write(&format!("{folder}/comm"), &format!("{comm}\n"));
        self.write(
            &format!("{folder}/stack"),
            "[<0>] do_nanosleep+0x5f/0x180\n[<0>] hrtimer_nanosleep+0x8d/0x120\n",
        );
    }

    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.root().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        // At once, as the kernel shows it: whoever reads it meanwhile must not find nothing.
        let mut file = tempfile::NamedTempFile::new_in(self.root()).unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file.persist(path).unwrap();
    }

    pub(crate) fn read(&self, path: &str) -> String {
        fs::read_to_string(self.root().join(path))
            .unwrap()
            .trim()
            .to_owned()
    }
}

/// A name that is known to be one.
pub(crate) fn name(text: &str) -> PatchName {
    text.parse().unwrap()
}

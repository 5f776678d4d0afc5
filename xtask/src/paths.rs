//! Where things are: the workspace, cargo's output, and our own folders under `target/`.
//!
//! Kernels and caches stay in the workspace's `target/` even when `CARGO_TARGET_DIR` moves cargo's output: they are gigabytes, and
//! the same for every build.

use std::env;
use std::path::{Path, PathBuf};

/// The workspace's root.
pub(crate) fn workspace() -> PathBuf {
    // Set by `cargo run`; the value of the build is for a binary that is started by hand.
    let xtask = env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from);
    xtask.parent().map_or(xtask.clone(), Path::to_path_buf)
}

/// `target/NAME` in the workspace.
pub(crate) fn output(name: &str) -> PathBuf {
    workspace().join("target").join(name)
}

/// Where cargo puts what it builds.
pub(crate) fn cargo_output() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace().join("target"), PathBuf::from)
}

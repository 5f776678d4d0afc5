//! The differential test's modules: their sources are written by `lp-pool` (of lp-tests); one run of kbuild makes all of them.

use std::path::PathBuf;

use anyhow::Result;

use crate::kernels::Installed;
use crate::{command, kbuild, tools};

/// The modules' files.
pub(crate) fn ensure(kernel: &Installed) -> Result<Vec<PathBuf>> {
    let fresh = kbuild::fresh("pool")?;
    let mut write = tools::cargo();
    write.args(["run", "--quiet", "-p", "lp-tests", "--bin", "lp-pool", "--"]);
    command::run(write.arg(&fresh).arg(&kernel.release))?;
    kbuild::modules(kernel, &fresh, "pool")
}

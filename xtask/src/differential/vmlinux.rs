//! A vmlinux that fits into a guest's memory: its symbols and data, without debug information and relocations.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::kernels::Installed;
use crate::{command, paths};

/// The file, made if it is not there.
pub(crate) fn ensure(kernel: &Installed) -> Result<PathBuf> {
    let folder = paths::output("differential");
    let place = folder.join(format!("vmlinux-{}-{}", kernel.release, kernel.version));
    if place.exists() {
        return Ok(place);
    }
    let full = kernel.image();
    if full == kernel.boots() {
        return Ok(full);
    }
    fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
    let fresh = place.with_extension("new");
    let mut strip = Command::new("objcopy");
    strip.args(["--strip-debug", "--remove-section=.rela.*"]);
    command::quiet(strip.arg(full).arg(&fresh))?;
    fs::rename(&fresh, &place).with_context(|| format!("rename {}", fresh.display()))?;
    Ok(place)
}

//! The header that a patched file may include: `#include "livepatch.h"`, from `templates/`.
//!
//! It is part of this program and is put into a folder of the run that both trees are compiled with, so that no tree
//! must hold it. The folder is the last that the compiler looks in (`-idirafter`): no file of a kernel can be hidden
//! by it.

use crate::cache::Scratch;
use anyhow::{Context, Result};
use std::fs;
use std::path::PathBuf;

const NAME: &str = "livepatch.h";
/// Its text.
pub const TEXT: &str = include_str!("../../../../templates/livepatch.h");

/// Writes the header; the folder that it is in.
pub fn provide(scratch: &Scratch) -> Result<PathBuf> {
    let folder = scratch.folder("include")?;
    let path = folder.join(NAME);
    fs::write(&path, TEXT).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(folder)
}

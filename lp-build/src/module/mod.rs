//! The patch module: its tables as C, the kernel's own module build around lp-diff's objects, then the livepatch
//! relocations that this build knows nothing of.

pub mod kbuild;
pub mod klp_rela;
pub mod noreturn;
pub mod post_link;
pub mod reload;
pub mod scope;
pub mod template;

use self::klp_rela::When;
use crate::kernel::kbuild::make::Make;
use crate::progress::Progress;
use anyhow::{Context, Result};
use lp_diff::Exports;
use lp_klp::name::ObjName;
use std::path::Path;
use template::Tables;

/// What a module is made of.
#[derive(Debug)]
pub struct Parts {
    /// The tables.
    pub tables: Tables,
    /// Objects with the new code, each with the kernel or module that it is for.
    pub objects: Vec<(ObjName, Vec<u8>)>,
}

/// A module that is ready to be written.
#[derive(Debug)]
pub struct Module {
    /// The file's bytes.
    pub bytes: Vec<u8>,
    /// What the build warned of.
    pub warnings: Vec<String>,
}

/// Builds the module named `name` in the new folder `folder`.
pub fn build(
    name: &str,
    parts: Parts,
    exports: &Exports,
    make: Make<'_>,
    folder: &Path,
    progress: &Progress,
) -> Result<Module> {
    let main = template::render(&parts.tables)?;
    let objects = scope::separate(parts.objects)?;
    let linked = progress.step("building the module", || {
        let known = noreturn::known(make.tree);
        let (objects, plain) = noreturn::plain(objects, &known)?;
        let mut linked = kbuild::build(name, (&main, &objects), make, folder)?;
        linked.bytes = noreturn::restored(linked.bytes, &plain)?;
        kbuild::check_undefined(&linked.bytes, exports)?;
        anyhow::Ok(linked)
    })?;
    let bytes = progress
        .step("writing livepatch relocations", || {
            post_link::run(&linked.bytes, When::of(make.release))
        })
        .context("the linked module cannot become a livepatch")?;
    let mut warnings = linked.warnings;
    warnings.extend(reload::warning(&bytes, make.release));
    Ok(Module { bytes, warnings })
}

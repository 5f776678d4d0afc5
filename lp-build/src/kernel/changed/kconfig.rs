//! Whether changed Kconfig files leave the kernel's configuration as it is.
//!
//! The tree's own `make olddefconfig` decides, in a folder aside: what it makes of the kernel's configuration with the
//! patched tree must be what the original made of it. A new option that is off is no difference; one that is on, or a default that
//! changed, would be other code in any file.

use crate::kernel::kbuild::make::Make;
use crate::kernel::kbuild::prepare::Prepared;
use crate::kernel::running::config::{self, Config};
use crate::report::RefusalReport;
use anyhow::{Context, Result};
use std::path::Path;

/// Configures the patched tree in `folder`; the refusal if that gives another configuration.
pub fn check(
    changed: &[String],
    prepared: &Prepared,
    patched: Make<'_>,
    folder: &Path,
) -> Result<Option<RefusalReport>> {
    let ours = config::read(&prepared.folder.join(".config"))?;
    std::fs::write(folder.join(".config"), &ours)
        .with_context(|| format!("cannot write into {}", folder.display()))?;
    let make = Make {
        build: folder,
        ..patched
    };
    make.run(["olddefconfig"])
        .context("the patched tree cannot be configured")?;
    let theirs = config::read(&folder.join(".config"))?;
    Ok(refusal(
        changed,
        &config::parse(&ours),
        &config::parse(&theirs),
    ))
}

/// The refusal where the options' values differ.
pub fn refusal(changed: &[String], orig: &Config, patched: &Config) -> Option<RefusalReport> {
    let differences = config::differences(patched, orig);
    let shown = differences.get(..4).unwrap_or(&differences);
    (!differences.is_empty()).then(|| RefusalReport {
        code: "changed-kconfig".to_owned(),
        place: changed.join(", "),
        message: format!(
            "with it the configuration of this kernel becomes another one, and a running kernel's cannot change: {}; \
             leave what sets it as it was",
            shown.join(", ")
        ),
        source: None,
    })
}

//! A file that is written: whoever looks sees the old one or the whole new one, whatever happens in between.

use anyhow::{Context, Result};
use std::io::Write;
use std::path::Path;

/// Writes a file in one step, by a rename.
///
/// # Errors
/// Where the folder cannot be written to, or is full; what was there is then still there.
pub fn publish(output: &Path, bytes: &[u8]) -> Result<()> {
    let folder = output
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let write = || -> Result<()> {
        let mut file = tempfile::Builder::new()
            .prefix(".livepatch-")
            .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))
            .tempfile_in(folder)?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        file.persist(output)?;
        Ok(())
    };
    write().with_context(|| format!("cannot write {}", output.display()))
}

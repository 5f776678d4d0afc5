//! Files that are written: under its final name there is a whole file or none.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Writes `bytes` beside `path` and gives the file its name at the end.
pub(super) fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    // A device or pipe is written to, not replaced.
    if path.exists() && !path.is_file() {
        return fs::write(path, bytes);
    }
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(bytes)?;
    file.as_file()
        .set_permissions(fs::Permissions::from_mode(0o644))?;
    file.persist(path)?;
    Ok(())
}

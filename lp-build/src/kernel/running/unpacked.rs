//! The kernel's files as packages have them, made readable: a kernel that boots becomes a vmlinux with the symbols that it
//! has of itself, a packed module is unpacked.
//!
//! What is made is kept in the cache by the content of the file it is made from. The tempting wrong way is to keep it by
//! the kernel's release, which two builds of a kernel share.

use anyhow::{Context, Result};
use lp_verify::kernel::image;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Goes into the names of what is kept; counts up when the same file would be unpacked to another one.
const VERSION: u32 = 1;

/// The place for unpacked files.
#[derive(Debug, Clone)]
pub struct Unpacked {
    folder: PathBuf,
}

impl Unpacked {
    /// In a cache.
    pub fn of(cache: &Path) -> Self {
        Self {
            folder: cache.join("images"),
        }
    }

    /// The file if it can be read as it is, else the one that was made of it.
    pub fn readable(&self, path: &Path) -> Result<PathBuf> {
        let wrong = || format!("cannot read {}", path.display());
        if image::is_ready(path).with_context(wrong)? {
            return Ok(path.to_owned());
        }
        let made = self.place(path).with_context(wrong)?;
        if !made.is_file() {
            let bytes = image::unpacked(path).with_context(wrong)?;
            self.keep(&made, &bytes)
                .with_context(|| format!("cannot write {} to the cache", made.display()))?;
        }
        Ok(made)
    }

    /// Under the name that people know, in a folder for the content.
    fn place(&self, path: &Path) -> Result<PathBuf> {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&VERSION.to_le_bytes()).update_mmap(path)?;
        let key = hasher.finalize().to_hex();
        let name = path.file_name().unwrap_or_default();
        Ok(self.folder.join(key.get(..32).unwrap_or(&key)).join(name))
    }

    /// By a rename: another run finds nothing or all of it.
    fn keep(&self, made: &Path, bytes: &[u8]) -> Result<()> {
        let folder = made.parent().unwrap_or(&self.folder);
        fs::create_dir_all(folder)?;
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(bytes)?;
        file.persist(made)?;
        Ok(())
    }
}

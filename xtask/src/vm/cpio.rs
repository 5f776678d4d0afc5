//! Writes an initramfs: a cpio archive in the "newc" format (Documentation/driver-api/early-userspace/buffer-format.rst).
//!
//! Each entry is a header of 6 magic and 13 times 8 hex digits, the name with its zero byte, and the data, both padded to 4 bytes. The
//! kernel creates folders only where an entry says so, and wants them before what is in them.

use std::collections::BTreeSet;
use std::io::{self, Write};

const FOLDER: u32 = 0o040_755;
const PROGRAM: u32 = 0o100_755;
const CHARACTER_DEVICE: u32 = 0o020_600;

/// An archive being written.
pub(crate) struct Archive<W> {
    out: W,
    inode: u32,
    folders: BTreeSet<String>,
}

struct Entry<'a> {
    name: &'a str,
    mode: u32,
    device: (u32, u32),
    data: &'a [u8],
}

impl<W: Write> Archive<W> {
    pub(crate) fn new(out: W) -> Self {
        Self {
            out,
            inode: 0,
            folders: BTreeSet::new(),
        }
    }

    /// Adds a file that may be run, and the folders it is in. `path` has no leading slash.
    pub(crate) fn file(&mut self, path: &str, data: &[u8]) -> io::Result<()> {
        if let Some((folder, _)) = path.rsplit_once('/') {
            self.folder(folder)?;
        }
        self.entry(&Entry {
            name: path,
            mode: PROGRAM,
            device: (0, 0),
            data,
        })
    }

    /// Adds a folder and those it is in.
    pub(crate) fn folder(&mut self, path: &str) -> io::Result<()> {
        if self.folders.contains(path) {
            return Ok(());
        }
        if let Some((parent, _)) = path.rsplit_once('/') {
            self.folder(parent)?;
        }
        self.folders.insert(path.to_owned());
        self.entry(&Entry {
            name: path,
            mode: FOLDER,
            device: (0, 0),
            data: &[],
        })
    }

    /// Adds a character device.
    pub(crate) fn device(&mut self, path: &str, major: u32, minor: u32) -> io::Result<()> {
        if let Some((folder, _)) = path.rsplit_once('/') {
            self.folder(folder)?;
        }
        self.entry(&Entry {
            name: path,
            mode: CHARACTER_DEVICE,
            device: (major, minor),
            data: &[],
        })
    }

    /// Ends the archive.
    pub(crate) fn finish(mut self) -> io::Result<W> {
        self.entry(&Entry {
            name: "TRAILER!!!",
            mode: 0,
            device: (0, 0),
            data: &[],
        })?;
        self.out.flush()?;
        Ok(self.out)
    }

    fn entry(&mut self, entry: &Entry<'_>) -> io::Result<()> {
        let too_big = |_| {
            io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("{} is too big", entry.name),
            )
        };
        let size = u32::try_from(entry.data.len()).map_err(too_big)?;
        let name_size = u32::try_from(entry.name.len() + 1).map_err(too_big)?;
        let (major, minor) = entry.device;
        self.inode += 1;
        // inode, mode, uid, gid, links, mtime, size, device major and minor, rdev major and minor, name size, check
        let fields = [
            self.inode, entry.mode, 0, 0, 1, 0, size, 0, 0, major, minor, name_size, 0,
        ];
        self.out.write_all(b"070701")?;
        for field in fields {
            write!(self.out, "{field:08x}")?;
        }
        self.out.write_all(entry.name.as_bytes())?;
        self.out.write_all(b"\0")?;
        self.pad(110 + name_size)?;
        self.out.write_all(entry.data)?;
        self.pad(size)
    }

    fn pad(&mut self, written: u32) -> io::Result<()> {
        let zeros: &[u8] = match written % 4 {
            1 => &[0; 3],
            2 => &[0; 2],
            3 => &[0; 1],
            _ => &[],
        };
        self.out.write_all(zeros)
    }
}

#[cfg(test)]
mod tests {
    use super::Archive;

    #[test]
    fn folders_come_once_and_before_what_is_in_them() {
        let mut archive = Archive::new(Vec::new());
        archive.file("a/b/one", b"1").unwrap();
        archive.file("a/b/two", b"22").unwrap();
        let bytes = archive.finish().unwrap();
        assert_eq!(bytes.len() % 4, 0);
        let text = String::from_utf8(bytes).unwrap();
        assert_eq!(text.matches("070701").count(), 5);
        assert_eq!(text.matches("a/b\0").count(), 1);
        assert!(text.find("a/b\0") < text.find("a/b/one\0"));
    }
}

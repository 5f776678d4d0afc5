//! What is mapped in a process: `/proc/PID/maps` (`Documentation/filesystems/proc.rst`).
//!
//! A mapping is of a file by device and inode. The tempting wrong way is to go by the path: the file that has it now may be
//! another one, in another mount namespace it means something else, and a deleted file's ends with a word
//! that a file's name may end with, too.

use std::ffi::OsString;
use std::io;
use std::ops::Range;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use thiserror::Error;

const DELETED: &[u8] = b" (deleted)";

/// Why a process's mappings are not known.
#[derive(Debug, Error)]
pub enum MapsError {
    /// The file cannot be read.
    #[error("the mappings of process {pid} cannot be read: {source}")]
    Read {
        /// The process.
        pid: i32,
        /// What the kernel said.
        source: io::Error,
    },
    /// A line of another form.
    #[error("'{0}' is not a line of /proc/PID/maps")]
    Line(String),
}

/// A file, wherever its name leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId {
    /// Major and minor number of the device, as `maps` prints them.
    pub dev: (u32, u32),
    /// The inode's number.
    pub inode: u64,
}

/// What may be done with a mapping's memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Perms {
    /// `r`
    pub read: bool,
    /// `w`
    pub write: bool,
    /// `x`
    pub exec: bool,
    /// `s`: what is written is seen by others.
    pub shared: bool,
}

/// A line of `/proc/PID/maps`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapping {
    /// Its addresses.
    pub range: Range<u64>,
    /// What may be done with it.
    pub perms: Perms,
    /// Bytes from the start of the file.
    pub offset: u64,
    /// The file; none where the memory is anonymous.
    pub file: Option<FileId>,
    /// The file's path as the process saw it, or a name in brackets (`[heap]`); empty where there is none.
    pub path: PathBuf,
    /// Whether the kernel says that the file has this path no more.
    pub deleted: bool,
}

/// All mappings of a process, by ascending address.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Maps(Vec<Mapping>);

impl Maps {
    /// Reads those of a process.
    ///
    /// # Errors
    /// Where it has gone, or without the right to trace it.
    pub fn read(pid: i32) -> Result<Self, MapsError> {
        let text = std::fs::read(format!("/proc/{pid}/maps"));
        Self::parse(&text.map_err(|source| MapsError::Read { pid, source })?)
    }

    /// Reads the text of `/proc/PID/maps`.
    ///
    /// # Errors
    /// Where a line has another form.
    pub fn parse(text: &[u8]) -> Result<Self, MapsError> {
        let lines = text.split(|byte| *byte == b'\n');
        let parsed = lines.filter(|line| !line.is_empty()).map(|line| {
            let wrong = || MapsError::Line(String::from_utf8_lossy(line).into_owned());
            parse_line(line).ok_or_else(wrong)
        });
        let mut mappings: Vec<Mapping> = parsed.collect::<Result<_, _>>()?;
        mappings.sort_by_key(|mapping| mapping.range.start);
        Ok(Self(mappings))
    }

    /// Takes addresses as mapped that will be.
    pub(in crate::process) fn reserve(&mut self, ranges: impl Iterator<Item = Range<u64>>) {
        let none = Perms {
            read: false,
            write: false,
            exec: false,
            shared: false,
        };
        self.0.extend(ranges.map(|range| Mapping {
            range,
            perms: none,
            offset: 0,
            file: None,
            path: PathBuf::new(),
            deleted: false,
        }));
        self.0.sort_by_key(|mapping| mapping.range.start);
    }

    /// All of them.
    pub fn iter(&self) -> std::slice::Iter<'_, Mapping> {
        self.0.iter()
    }

    /// The one that holds an address.
    pub fn at(&self, address: u64) -> Option<&Mapping> {
        let after = self.0.partition_point(|it| it.range.start <= address);
        let mapping = self.0.get(after.checked_sub(1)?)?;
        mapping.range.contains(&address).then_some(mapping)
    }
}

impl<'a> IntoIterator for &'a Maps {
    type Item = &'a Mapping;
    type IntoIter = std::slice::Iter<'a, Mapping>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

fn parse_line(line: &[u8]) -> Option<Mapping> {
    let mut rest = line;
    let mut field = || {
        let end = rest.iter().position(|byte| *byte == b' ');
        let (field, after) = rest.split_at(end.unwrap_or(rest.len()));
        rest = after.get(1..).unwrap_or_default();
        std::str::from_utf8(field).ok()
    };
    let (start, end) = field()?.split_once('-')?;
    let perms = field()?.as_bytes();
    let offset = hex(field()?)?;
    let (major, minor) = field()?.split_once(':')?;
    let dev = (narrow(hex(major)?)?, narrow(hex(minor)?)?);
    let inode = field()?.parse().ok()?;
    let path = rest.trim_ascii_start();
    let live = path.strip_suffix(DELETED);
    let range = hex(start)?..hex(end)?;
    let &[read, write, exec, shared] = perms else {
        return None;
    };
    (range.start < range.end).then(|| Mapping {
        range,
        perms: Perms {
            read: read == b'r',
            write: write == b'w',
            exec: exec == b'x',
            shared: shared == b's',
        },
        offset,
        file: (inode != 0).then_some(FileId { dev, inode }),
        path: unescape(live.unwrap_or(path)),
        deleted: live.is_some(),
    })
}

/// The kernel writes a line's end in a path as `\012`, and nothing else so (`seq_file_path`).
fn unescape(path: &[u8]) -> PathBuf {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path;
    while let Some((first, after)) = rest.split_first() {
        let newline = rest.strip_prefix(b"\\012");
        bytes.push(if newline.is_some() { b'\n' } else { *first });
        rest = newline.unwrap_or(after);
    }
    OsString::from_vec(bytes).into()
}

fn hex(text: &str) -> Option<u64> {
    u64::from_str_radix(text, 16).ok()
}

fn narrow(number: u64) -> Option<u32> {
    u32::try_from(number).ok()
}

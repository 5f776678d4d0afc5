//! Error numbers, as the kernel returns them to whoever loads a module or writes to sysfs
//! (`include/uapi/asm-generic/errno-base.h`).

use std::fmt;

/// An error number, positive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Errno(pub i32);

impl Errno {
    /// No such file: a patch without a folder in sysfs.
    pub const ENOENT: Self = Self(2);
    /// Another transition is under way.
    pub const EBUSY: Self = Self(16);
    /// A name that is taken.
    pub const EEXIST: Self = Self(17);
    /// No such device; what callbacks answer by custom.
    pub const ENODEV: Self = Self(19);
    /// What cannot be asked for in this state.
    pub const EINVAL: Self = Self(22);

    fn name(self) -> Option<&'static str> {
        Some(match self {
            Self::ENOENT => "ENOENT",
            Self::EBUSY => "EBUSY",
            Self::EEXIST => "EEXIST",
            Self::ENODEV => "ENODEV",
            Self::EINVAL => "EINVAL",
            _ => return None,
        })
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "errno {}", self.0),
        }
    }
}

impl std::error::Error for Errno {}

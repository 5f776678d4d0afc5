//! What differs between architectures: QEMU's name and machine, console ports, where the kernel image is.

use anyhow::{Result, bail};

/// The virtual machine of an architecture.
#[derive(Debug, Clone)]
pub(crate) struct Arch {
    /// QEMU's program.
    pub(crate) qemu: &'static str,
    /// `-machine`
    pub(crate) machine: &'static str,
    /// The kernel's console.
    pub(crate) console: &'static str,
    /// The kernel image's name in `/boot` before the release.
    pub(crate) image_stem: &'static str,
}

impl Arch {
    /// That of this machine.
    pub(crate) fn host() -> Result<Self> {
        match std::env::consts::ARCH {
            "x86_64" => Ok(Self {
                qemu: "qemu-system-x86_64",
                machine: "pc",
                console: "ttyS0",
                image_stem: "vmlinuz",
            }),
            other => {
                bail!("no virtual machine is described for {other}; add it in xtask/src/vm/arch.rs")
            }
        }
    }
}

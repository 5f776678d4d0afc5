//! Makes a bare kernel usable: file systems, busybox's commands, modules; and ends it.

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};
use rustix::mount::MountFlags;
use rustix::system::RebootCommand;

/// Put there by the host, statically linked.
pub const BUSYBOX: &str = "/bin/busybox";

/// Mounts the file systems that the kernel offers, where lp-runtime and the probes expect them.
pub fn mount_all() -> Result<()> {
    for (kind, target) in [
        ("proc", "/proc"),
        ("sysfs", "/sys"),
        ("devtmpfs", "/dev"),
        ("tmpfs", "/tmp"),
        ("debugfs", "/sys/kernel/debug"),
        ("tracefs", "/sys/kernel/tracing"),
    ] {
        fs::create_dir_all(target).with_context(|| format!("create {target}"))?;
        rustix::mount::mount(kind, target, kind, MountFlags::empty(), None)
            .with_context(|| format!("mount {kind} on {target}"))?;
    }
    Ok(())
}

/// Links busybox's commands into `/bin`.
pub fn install_busybox() -> Result<()> {
    let status = Command::new(BUSYBOX)
        .args(["--install", "-s", "/bin"])
        .status()
        .context("run busybox")?;
    if !status.success() {
        bail!("busybox --install: {status}");
    }
    Ok(())
}

/// Inserts an ordinary kernel module; one that is there already is fine.
pub fn insmod(module: &Path) -> Result<()> {
    let file = File::open(module).with_context(|| format!("open {}", module.display()))?;
    match rustix::system::finit_module(file, c"", 0) {
        Ok(()) | Err(rustix::io::Errno::EXIST) => Ok(()),
        Err(error) => Err(error).with_context(|| format!("insert {}", module.display())),
    }
}

/// Removes an ordinary kernel module.
pub fn rmmod(module: &Path) -> Result<()> {
    let name = module
        .file_stem()
        .unwrap_or_default()
        .to_string_lossy()
        .replace('-', "_");
    let name = std::ffi::CString::new(name)?;
    let flags = rustix::fs::OFlags::NONBLOCK.bits() as i32;
    rustix::system::delete_module(&name, flags)
        .with_context(|| format!("remove {}", module.display()))
}

/// Ends the machine. Does not return when it works.
pub fn power_off() -> Result<()> {
    rustix::fs::sync();
    rustix::system::reboot(RebootCommand::PowerOff).context("power off")
}

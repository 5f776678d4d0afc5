//! Builds our own programs: those for this machine, and those for the guest.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use crate::command;
use crate::paths;
use crate::vm::arch::Arch;

/// The programs that the guest needs, statically linked.
#[derive(Debug)]
pub(crate) struct GuestTools {
    pub(crate) init: PathBuf,
    pub(crate) lp_ctl: PathBuf,
}

/// Builds `lp-build` in release; its path.
pub(crate) fn lp_build() -> Result<PathBuf> {
    command::run(cargo().args(["build", "--release", "--quiet", "--bin", "lp-build"]))?;
    Ok(paths::cargo_output().join("release").join("lp-build"))
}

/// Builds `lp-verify` in release; its path.
pub(crate) fn lp_verify() -> Result<PathBuf> {
    command::run(cargo().args(["build", "--release", "--quiet", "--bin", "lp-verify"]))?;
    Ok(paths::cargo_output().join("release").join("lp-verify"))
}

/// Builds `lp-diff` in release; its path.
pub(crate) fn lp_diff() -> Result<PathBuf> {
    command::run(cargo().args(["build", "--release", "--quiet", "--bin", "lp-diff"]))?;
    Ok(paths::cargo_output().join("release").join("lp-diff"))
}

/// Builds `lp-ctl` in release; its path.
pub(crate) fn lp_ctl() -> Result<PathBuf> {
    command::run(cargo().args(["build", "--release", "--quiet", "--bin", "lp-ctl"]))?;
    Ok(paths::cargo_output().join("release").join("lp-ctl"))
}

/// Builds the guest's programs.
pub(crate) fn guest(arch: &Arch) -> Result<GuestTools> {
    let mut build = cargo();
    // The initramfs has no C library. `--target` keeps the flag away from build scripts and macros.
    build
        .env("RUSTFLAGS", "-Ctarget-feature=+crt-static")
        .args(["build", "--release", "--quiet"]);
    build.args([
        "--target",
        arch.rust_target,
        "--bin",
        "lp-guest-init",
        "--bin",
        "lp-ctl",
    ]);
    command::run(&mut build)?;
    let folder = paths::cargo_output().join(arch.rust_target).join("release");
    Ok(GuestTools {
        init: folder.join("lp-guest-init"),
        lp_ctl: folder.join("lp-ctl"),
    })
}

/// The cargo that runs us, in the workspace.
pub(crate) fn cargo() -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(paths::workspace());
    cargo
}

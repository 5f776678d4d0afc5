//! Builds our own programs: those for this machine, and those for the guest.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

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

/// How the tools are built.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Profile {
    /// As users have them.
    Release,
    /// As the tests have them: overflows and broken assumptions end the program, and nothing is compiled twice.
    Dev,
}

static PROFILE: OnceLock<Profile> = OnceLock::new();

/// Has all tools built so, which is in release if nobody says otherwise.
pub(crate) fn build_in(profile: Profile) {
    // Who comes second is told nothing else: tools were built already.
    let _ = PROFILE.set(profile);
}

impl Profile {
    fn set() -> Self {
        *PROFILE.get_or_init(|| Profile::Release)
    }

    fn args(self) -> &'static [&'static str] {
        match self {
            Profile::Release => &["build", "--quiet", "--release"],
            Profile::Dev => &["build", "--quiet"],
        }
    }

    /// The folder below cargo's target folder.
    fn folder(self) -> &'static str {
        match self {
            Profile::Release => "release",
            Profile::Dev => "debug",
        }
    }
}

/// Builds `lp-build`; its path.
pub(crate) fn lp_build() -> Result<PathBuf> {
    tool("lp-build")
}

/// Builds `lp-verify`; its path.
pub(crate) fn lp_verify() -> Result<PathBuf> {
    tool("lp-verify")
}

/// Builds `lp-diff`; its path.
pub(crate) fn lp_diff() -> Result<PathBuf> {
    tool("lp-diff")
}

/// Builds `lp-ctl`; its path.
pub(crate) fn lp_ctl() -> Result<PathBuf> {
    tool("lp-ctl")
}

fn tool(name: &str) -> Result<PathBuf> {
    let profile = Profile::set();
    command::run(cargo().args(profile.args()).args(["--bin", name]))?;
    Ok(paths::cargo_output().join(profile.folder()).join(name))
}

/// Builds the guest's programs.
pub(crate) fn guest(arch: &Arch) -> Result<GuestTools> {
    let profile = Profile::set();
    let mut build = cargo();
    // The initramfs has no C library. `--target` keeps the flag away from build scripts and macros.
    build
        .env("RUSTFLAGS", "-Ctarget-feature=+crt-static")
        .args(profile.args());
    build.args([
        "--target",
        arch.rust_target,
        "--bin",
        "lp-guest-init",
        "--bin",
        "lp-ctl",
    ]);
    command::run(&mut build)?;
    let folder = paths::cargo_output()
        .join(arch.rust_target)
        .join(profile.folder());
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

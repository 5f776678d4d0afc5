//! Builds our own programs: those for this machine, and those for the guest.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Result, ensure};

use crate::command;
use crate::paths;

/// The programs that the guest needs.
#[derive(Debug)]
pub(crate) struct GuestTools {
    pub(crate) init: PathBuf,
    pub(crate) lp_ctl: PathBuf,
    /// What they are loaded with, which has the same place in the guest.
    pub(crate) libraries: BTreeSet<PathBuf>,
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

/// Builds the guest's programs: those of this machine, with the libraries that they need. Static ones would have to be compiled once more
/// with all that they use.
pub(crate) fn guest() -> Result<GuestTools> {
    let (init, lp_ctl) = (tool("lp-guest-init")?, lp_ctl()?);
    let mut libraries = libraries(&init)?;
    libraries.extend(self::libraries(&lp_ctl)?);
    Ok(GuestTools {
        init,
        lp_ctl,
        libraries,
    })
}

/// The libraries that a program is loaded with, and the loader; the kernel's own (vDSO) is no file.
fn libraries(program: &Path) -> Result<BTreeSet<PathBuf>> {
    let told = command::capture(Command::new("ldd").arg(program))?;
    let paths = told.split_whitespace().filter(|word| word.starts_with('/'));
    let found: BTreeSet<PathBuf> = paths.map(PathBuf::from).collect();
    ensure!(
        !found.is_empty(),
        "ldd tells of no library of {}: {told}",
        program.display()
    );
    Ok(found)
}

/// The cargo that runs us, in the workspace.
pub(crate) fn cargo() -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(paths::workspace());
    cargo
}

//! The system packages that the tests, building patches and running virtual machines need.
//!
//! As root they are installed; otherwise the one line that installs them is named. Calling `sudo` on our own would be the
//! tempting way, and asks people for a password in the middle of a test run.

use std::process::Command;

use anyhow::{Result, bail};

use crate::command;

/// To build patches for the pinned kernels and to boot those.
const PACKAGES: [&str; 17] = [
    "bc",
    "binutils",
    "bison",
    "busybox-static",
    "dpkg-dev",
    "dwarves",
    "flex",
    "gcc-12",
    "kmod",
    "libelf-dev",
    "libssl-dev",
    "make",
    "patch",
    "procps",
    "qemu-system-x86",
    "util-linux",
    "xz-utils",
];

/// What the workspace's tests compile with besides. Not every release of a distribution has them all.
const COMPILERS: [&str; 4] = ["clang-14", "clang-19", "g++", "musl-tools"];

/// Sees to it that all packages of the tests are installed.
pub(crate) fn ensure_packages_of_tests() -> Result<()> {
    ensure(&[PACKAGES.as_slice(), COMPILERS.as_slice()].concat())
}

/// Sees to it that all packages are installed that patches and machines need.
pub(crate) fn ensure_packages() -> Result<()> {
    ensure(&PACKAGES)
}

/// Sees to it that these packages are installed.
pub(crate) fn ensure(packages: &[&'static str]) -> Result<()> {
    let missing = missing(packages)?;
    if missing.is_empty() {
        return Ok(());
    }
    let names = missing.join(" ");
    if !is_root() {
        bail!(
            "system packages are missing; install them with this line, then run this again:\n\n  \
               sudo apt-get install -y {names}\n"
        );
    }
    println!("installing {names}");
    if install(&missing).is_err() {
        update_package_lists()?;
        install(&missing)?;
    }
    Ok(())
}

/// `apt-get update`, which needs root.
pub(crate) fn update_package_lists() -> Result<()> {
    if !is_root() {
        bail!(
            "the package lists are out of date; update them with this line, then run this again:\n\n  \
               sudo apt-get update\n"
        );
    }
    command::run(Command::new("apt-get").args(["-q", "update"]))
}

fn install(packages: &[&str]) -> Result<()> {
    let mut apt = Command::new("apt-get");
    apt.env("DEBIAN_FRONTEND", "noninteractive");
    apt.args(["-q", "-y", "--no-install-recommends", "install"])
        .args(packages);
    command::run(&mut apt)
}

fn missing(packages: &[&'static str]) -> Result<Vec<&'static str>> {
    let mut query = Command::new("dpkg-query");
    query
        .args([
            "--show",
            "--showformat",
            "${binary:Package} ${db:Status-Abbrev}\n",
        ])
        .args(packages);
    // It fails as soon as one of them is unknown; what it knows it prints all the same.
    let output = command::output(&mut query)?;
    let text = String::from_utf8_lossy(&output.stdout);
    // `libelf-dev:amd64 ii `
    let installed: Vec<&str> = text
        .lines()
        .filter_map(|line| line.trim_end().strip_suffix(" ii"))
        .map(|name| name.split(':').next().unwrap_or(name))
        .collect();
    Ok(packages
        .iter()
        .copied()
        .filter(|name| !installed.contains(name))
        .collect())
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

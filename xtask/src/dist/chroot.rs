//! Tries a package in a fresh Debian: it installs with what it depends on, its programs and pages are there, a program
//! does its work, and removing it leaves nothing.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::{command, paths};

const SUITE: &str = "bookworm";
/// What is run inside, one after the other; each must succeed.
const STEPS: [&str; 8] = [
    "apt-get -q -y --no-install-recommends install /package.deb",
    "lp-build --version && lp-diff --version && lp-verify --version && lp-ctl --version",
    "lp-build new livepatch_try && grep -q livepatch_try livepatch_try/livepatch.toml",
    // A fresh Debian has no kernel: the doctor must say so, and how to get one.
    "lp-build doctor --kernel 6.1.0-0-cloud-amd64 > doctor.txt; test $? = 2 && grep -q linux-headers-6.1.0-0-cloud-amd64 doctor.txt",
    "for page in lp-build lp-build-kernel lp-diff lp-verify lp-ctl; do test -s /usr/share/man/man1/$page.1.gz || exit 1; done",
    "bash -n /usr/share/bash-completion/completions/lp-build",
    "apt-get -q -y remove livepatch-tools",
    "! command -v lp-build && ! ls /usr/share/man/man1/lp-* 2>/dev/null",
];

/// Makes the Debian, tries the package in it, and removes it again.
pub(super) fn attempt(package: &Path) -> Result<()> {
    ensure!(
        rustix::process::geteuid().is_root(),
        "--try makes a Debian in a folder with debootstrap, which needs root"
    );
    let debootstrap = command::output(Command::new("debootstrap").arg("--version"));
    if debootstrap.is_err() {
        let mut apt = Command::new("apt-get");
        apt.env("DEBIAN_FRONTEND", "noninteractive");
        command::quiet(apt.args([
            "-q",
            "-y",
            "--no-install-recommends",
            "install",
            "debootstrap",
        ]))?;
    }
    let root = paths::output("dist").join("chroot");
    remove(&root)?;
    println!("a fresh Debian {SUITE} in {}", root.display());
    let mut bootstrap = Command::new("debootstrap");
    command::quiet(bootstrap.args(["--variant=minbase", SUITE]).arg(&root))?;
    fs::copy(package, root.join("package.deb")).context("copy the package")?;
    for step in STEPS {
        let mut inside = Command::new("chroot");
        inside.arg(&root).args(["/bin/bash", "-c", step]);
        inside
            .env("DEBIAN_FRONTEND", "noninteractive")
            .env("LC_ALL", "C")
            .env("HOME", "/root");
        let output = command::output(&mut inside)?;
        if !output.status.success() {
            bail!(
                "in the fresh Debian, `{step}`: {}\n{}{}",
                output.status,
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr)
            );
        }
        println!("ok: {step}");
    }
    remove(&root)?;
    println!("dist: ok");
    Ok(())
}

fn remove(root: &Path) -> Result<()> {
    match root.is_dir() {
        true => fs::remove_dir_all(root).with_context(|| format!("remove {}", root.display())),
        false => Ok(()),
    }
}

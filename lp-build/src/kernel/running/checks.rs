//! Whether trees, configuration, vmlinux and compiler belong to the kernel that runs.
//!
//! Each is checked before any work that takes time. A release such as `6.1.0-53-cloud-amd64` says nothing of the
//! sublevel: the configuration's first lines and the banner in the vmlinux do.

use super::config::{self, Config};
use super::find::KernelFiles;
use super::image::Image;
use crate::kernel::arch::{self, Arch};
use crate::tree::{Tree, TreeVersion};
use anyhow::{Context, Result, ensure};
use std::path::Path;
use std::process::Command;

/// The compiler that built the kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compiler {
    /// The command.
    pub command: String,
    /// The first line of what it says of its version.
    pub version: String,
}

/// Checks that a tree is the kernel's, to the sublevel where the kernel tells it.
pub fn tree(tree: &Tree, files: &KernelFiles, config: &str, image: &Image) -> Result<()> {
    let version = &tree.version;
    let expected = kernel_version(files, config, image)?;
    ensure!(
        *version == expected,
        "the tree {} is Linux {version}, but the kernel {} was built from {expected}: unpack the source of {expected}",
        tree.root.display(),
        files.release
    );
    Ok(())
}

/// The version of the tree that the kernel was built from.
fn kernel_version(files: &KernelFiles, config: &str, image: &Image) -> Result<TreeVersion> {
    let from_config = config::kernel_version(config).and_then(version);
    let from_config = from_config.with_context(|| {
        format!(
            "{} does not begin with the version of its kernel, give the kernel's own",
            files.config.display()
        )
    })?;
    if let Some(banner) = banner_version(&image.banner) {
        ensure!(
            banner == from_config,
            "the configuration {} is of Linux {from_config}, but {} was built from {banner}: give files of one kernel",
            files.config.display(),
            files.vmlinux.display()
        );
    }
    Ok(from_config)
}

/// The upstream version in a distribution's banner, such as `Debian 6.1.187-1`; none where it has only the release.
pub fn banner_version(banner: &str) -> Option<TreeVersion> {
    let (_, rest) = banner.split_once(" Debian ")?;
    version(rest.split(['-', ' ', '~', '+']).next()?)
}

fn version(text: &str) -> Option<TreeVersion> {
    let mut parts = text.split(['.', '-']);
    Some(TreeVersion {
        version: parts.next()?.parse().ok()?,
        patchlevel: parts.next()?.parse().ok()?,
        sublevel: parts.next().unwrap_or("0").parse().ok()?,
    })
}

/// Checks that the vmlinux is of this release.
pub fn image(files: &KernelFiles, image: &Image) -> Result<()> {
    let found = image
        .banner
        .strip_prefix("Linux version ")
        .and_then(|rest| rest.split(' ').next());
    let found = found.with_context(|| {
        format!(
            "{} has no 'Linux version' banner: it is not a kernel",
            files.vmlinux.display()
        )
    })?;
    ensure!(
        found == files.release,
        "{} is the kernel {found}, not {}: give the vmlinux of {} or --kernel {found}",
        files.vmlinux.display(),
        files.release,
        files.release
    );
    Ok(())
}

/// Checks that a configuration that was given is the one in the kernel's packages.
pub fn same_config(files: &KernelFiles, given: &Config, own: &Path) -> Result<()> {
    let own_config = config::parse(&config::read(own)?);
    let differences = config::differences(given, &own_config);
    ensure!(
        differences.is_empty(),
        "--config {} is not the configuration of {}, which is {}; {} options differ:\n  {}\nleave out --config",
        files.config.display(),
        files.release,
        own.display(),
        differences.len(),
        differences.get(..8).unwrap_or(&differences).join("\n  ")
    );
    Ok(())
}

/// Checks that the kernel can be patched at all, and says which architecture it is of.
pub fn livepatch(files: &KernelFiles, config: &Config) -> Result<&'static Arch> {
    ensure!(
        config
            .get("CONFIG_LIVEPATCH")
            .is_some_and(|value| value == "y"),
        "the kernel {} has no CONFIG_LIVEPATCH=y in {}: it cannot load livepatches",
        files.release,
        files.config.display()
    );
    arch::of(config).with_context(|| {
        let known: Vec<&str> = arch::ALL.iter().map(|arch| arch.uname).collect();
        format!(
            "the configuration {} is of an architecture that this version cannot build for, it knows {}",
            files.config.display(),
            known.join(", ")
        )
    })
}

/// Finds the compiler that built the kernel, by its whole version text.
pub fn compiler(files: &KernelFiles, config: &Config) -> Result<Compiler> {
    let wanted = config::string(config, "CONFIG_CC_VERSION_TEXT").with_context(|| {
        format!(
            "{} has no CONFIG_CC_VERSION_TEXT: give the kernel's own configuration",
            files.config.display()
        )
    })?;
    let (name, text) = wanted.split_once(' ').unwrap_or((wanted, ""));
    let mut found = Vec::new();
    for command in [name, "gcc", "cc"] {
        let Some(version) = compiler_version(command) else {
            continue;
        };
        if version.split_once(' ').is_some_and(|(_, its)| its == text) {
            return Ok(Compiler {
                command: command.to_owned(),
                version,
            });
        }
        found.push(format!("{command} is '{version}'"));
    }
    let found = if found.is_empty() {
        "no compiler is installed".to_owned()
    } else {
        found.join(", ")
    };
    Err(anyhow::anyhow!(
        "the kernel {} was built by '{wanted}', but {found}: install the package {name} in that version",
        files.release
    ))
}

fn compiler_version(command: &str) -> Option<String> {
    let output = Command::new(command)
        .arg("--version")
        .env("LC_ALL", "C")
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    text.lines()
        .next()
        .filter(|_| output.status.success())
        .map(str::to_owned)
}

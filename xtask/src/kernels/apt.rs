//! Asks apt: is a package version served, with which hash, and which is the newest kernel of a series.

use std::process::Command;

use anyhow::{Result, bail};

use super::pinned::{Kernel, Package, Role, package_names};
use crate::command;

/// The hash of a package at a version, or `None` when apt does not know that version.
pub(crate) fn sha256(name: &str, version: &str) -> Result<Option<String>> {
    let output =
        command::output(Command::new("apt-cache").args(["show", &format!("{name}={version}")]))?;
    // A version that is installed but served no more is shown too, without a hash.
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(field(&text, "SHA256").map(str::to_owned))
}

/// The newest kernel of a series and flavour whose packages are all served.
pub(crate) fn newest(series: &str, flavour: &str) -> Result<Kernel> {
    let releases = releases(series, flavour)?;
    for release in &releases {
        if let Some(kernel) = complete(series, flavour, release)? {
            return Ok(kernel);
        }
    }
    bail!(
        "apt serves no kernel {series} {flavour} with its debug symbols and source; is a Debian 12 mirror configured?"
    )
}

/// All releases of a series and flavour that apt knows, of whatever version.
pub(crate) fn all_releases(series: &str, flavour: &str) -> Result<Vec<String>> {
    // `linux-image-6.1.0-53-cloud-amd64`, `linux-image-6.12.95+deb12-cloud-amd64`
    let pattern = format!(
        "^linux-image-{}\\.[0-9].*-{flavour}$",
        series.replace('.', "\\.")
    );
    let text =
        command::capture(Command::new("apt-cache").args(["search", "--names-only", &pattern]))?;
    let names = text
        .lines()
        .filter_map(|line| line.split_whitespace().next()?.strip_prefix("linux-image-"));
    Ok(names.map(str::to_owned).collect())
}

/// Highest ABI number first.
fn releases(series: &str, flavour: &str) -> Result<Vec<String>> {
    let pattern = format!(
        "^linux-image-{}\\.0-[0-9]+-{flavour}$",
        series.replace('.', "\\.")
    );
    let text =
        command::capture(Command::new("apt-cache").args(["search", "--names-only", &pattern]))?;
    let mut releases: Vec<(u32, String)> = text
        .lines()
        .filter_map(|line| line.split_whitespace().next()?.strip_prefix("linux-image-"))
        .filter_map(|release| Some((release.split('-').nth(1)?.parse().ok()?, release.to_owned())))
        .collect();
    releases.sort_by(|a, b| b.cmp(a));
    Ok(releases.into_iter().map(|(_, release)| release).collect())
}

fn complete(series: &str, flavour: &str, release: &str) -> Result<Option<Kernel>> {
    let names = package_names(series, release);
    let image = names
        .iter()
        .find(|(role, _)| *role == Role::Image)
        .map(|(_, name)| name.as_str());
    let mut show = Command::new("apt-cache");
    let text =
        command::capture(show.args(["show", "--no-all-versions", image.unwrap_or_default()]))?;
    let Some(version) = field(&text, "Version") else {
        return Ok(None);
    };
    let mut packages = Vec::new();
    for (role, name) in names {
        let Some(sha256) = sha256(&name, version)? else {
            return Ok(None);
        };
        packages.push(Package {
            role,
            name,
            version: version.to_owned(),
            sha256,
        });
    }
    let (series, flavour, release) = (series.to_owned(), flavour.to_owned(), release.to_owned());
    Ok(Some(Kernel {
        series,
        flavour,
        release,
        version: version.to_owned(),
        packages,
    }))
}

fn field<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    text.lines()
        .find_map(|line| line.strip_prefix(key)?.strip_prefix(": "))
}

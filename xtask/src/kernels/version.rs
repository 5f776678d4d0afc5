//! A kernel or a source tree by its Debian version, pinned or not.
//!
//! A pinned version has its hashes here; any other has those of apt's package index, which is signed. Which release a version is
//! (`uname -r`, with an ABI number that Debian counts up) the index says too: the packages of a flavour are asked who has it.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use super::pinned::{self, Kernel, Package, Role, Suite, package_names};
use super::{Installed, apt, download, installed, is_installed, source_place, unpack};

/// The kernel of a version, fetched and unpacked if it is not there yet.
pub(crate) fn ensure_version(version: &str, flavour: &str) -> Result<Installed> {
    let pinned = pinned::kernels().into_iter();
    let kernel = pinned
        .into_iter()
        .find(|kernel| kernel.version == version && kernel.flavour == flavour);
    let _lock = super::lock()?;
    let kernel = match kernel {
        Some(kernel) => kernel,
        None => updated(version, || kernel_of(version, flavour))?,
    };
    if !is_installed(&kernel) {
        super::install(&kernel)?;
    }
    Ok(installed(&kernel))
}

/// The source tree of a version, fetched and unpacked if it is not there yet.
pub(crate) fn ensure_source(version: &str) -> Result<PathBuf> {
    let name = format!("linux-source-{}", series(version)?);
    let place = source_place(version);
    let _lock = super::lock()?;
    if !place.exists() {
        let later = pinned::later_sources().into_iter();
        let known = later.into_iter().find(|known| known.version == version);
        let package = match known {
            Some(package) => package,
            None => updated(version, || package(Role::Source, &name, version))?,
        };
        let deb = download::ensure(&super::debs(), &package)?;
        unpack::source(&deb, &name, &place)?;
    }
    Ok(place.join(name))
}

/// `6.1` of `6.1.187-1`.
fn series(version: &str) -> Result<String> {
    let mut parts = version.split(['.', '-']);
    match (parts.next(), parts.next()) {
        (Some(major), Some(minor)) if minor.bytes().all(|byte| byte.is_ascii_digit()) => {
            Ok(format!("{major}.{minor}"))
        }
        _ => bail!("`{version}` is no version of a kernel package, such as 6.1.187-1"),
    }
}

/// Asks apt, and once more with new package lists.
fn updated<T>(version: &str, ask: impl Fn() -> Result<T>) -> Result<T> {
    ask().or_else(|_| {
        apt::update(Suite::of(version))?;
        ask()
    })
}

fn kernel_of(version: &str, flavour: &str) -> Result<Kernel> {
    let (suite, series) = (Suite::of(version), series(version)?);
    for release in apt::all_releases(suite, &series, flavour)? {
        if apt::sha256(suite, &format!("linux-image-{release}"), version)?.is_none() {
            continue;
        }
        let mut names = package_names(&series, &release).to_vec();
        let parts = parts_of_image(&release);
        let is_there =
            |name: &String| Ok::<_, anyhow::Error>(apt::sha256(suite, name, version)?.is_some());
        if is_there(&parts[0])? {
            names.retain(|(role, _)| *role != Role::Image);
            names.extend(parts.map(|name| (Role::Image, name)));
        }
        let packages = names
            .iter()
            .map(|(role, name)| package(*role, name, version));
        let packages = packages.collect::<Result<_>>()?;
        return Ok(Kernel {
            name: version.to_owned(),
            series,
            flavour: flavour.to_owned(),
            suite,
            release,
            version: version.to_owned(),
            packages,
        });
    }
    bail!(
        "apt serves no {flavour} kernel of version {version}; is a mirror of its suite configured?"
    )
}

/// What newer kernels have in place of the image's package, which then only asks for these.
fn parts_of_image(release: &str) -> [String; 3] {
    ["binary", "modules", "base"].map(|part| format!("linux-{part}-{release}"))
}

fn package(role: Role, name: &str, version: &str) -> Result<Package> {
    let suite = Suite::of(version);
    let sha256 = apt::sha256(suite, name, version)?;
    Ok(Package {
        role,
        suite,
        name: name.to_owned(),
        version: version.to_owned(),
        sha256: sha256.with_context(|| format!("apt serves no {name} of version {version}"))?,
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_version_names_its_series() {
        let series = |version| super::series(version).ok();
        assert_eq!(series("6.1.187-1").as_deref(), Some("6.1"));
        assert_eq!(series("6.12.95-1~bpo12+1").as_deref(), Some("6.12"));
        assert_eq!(series("stable"), None);
    }
}

//! Asks apt: is a package version served, with which hash, and which is the newest kernel of a series.
//!
//! A suite that this machine does not use is read through lists of our own, so that no setting of the machine changes:
//! the mirror is the one that serves it the distribution, whichever that is.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::pinned::{Kernel, Package, Role, Suite, package_names};
use crate::{command, paths, system};

/// `apt-get` or `apt-cache` for a suite.
pub(crate) fn program(name: &str, suite: Suite) -> Command {
    let mut apt = Command::new(name);
    // No sandbox user: it could not write into our folders.
    apt.args(["-q", "-o", "APT::Sandbox::User=root"]);
    if suite == Suite::Backports {
        let place = lists().display().to_string();
        for (option, value) in [
            ("Dir::Etc::SourceList", format!("{place}/sources.list")),
            ("Dir::Etc::SourceParts", "/dev/null".into()),
            ("Dir::State::Lists", format!("{place}/lists")),
            ("Dir::Cache", format!("{place}/cache")),
        ] {
            apt.arg("-o").arg(format!("{option}={value}"));
        }
    }
    apt
}

/// Reads anew what a suite serves.
pub(crate) fn update(suite: Suite) -> Result<()> {
    if suite == Suite::Configured {
        return system::update_package_lists();
    }
    for folder in ["lists/partial", "cache/archives/partial"] {
        let folder = lists().join(folder);
        fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
    }
    let sources = lists().join("sources.list");
    fs::write(&sources, backports()?).with_context(|| format!("write {}", sources.display()))?;
    command::quiet(program("apt-get", suite).arg("update"))
}

fn lists() -> std::path::PathBuf {
    paths::output("kernels/apt")
}

/// The line of a `sources.list`.
fn backports() -> Result<String> {
    let mut targets = Command::new("apt-get");
    targets.args(["indextargets", "--format"]);
    targets.args([
        "$(REPO_URI) $(RELEASE) $(COMPONENT) $(ORIGIN)",
        "Created-By: Packages",
    ]);
    let text = command::capture(&mut targets)?;
    // The release has no suffix such as `-updates`, so what it serves is the distribution itself.
    let line = text.lines().find_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let &[mirror, release, "main", "Debian"] = words.as_slice() else {
            return None;
        };
        (!release.contains('-')).then(|| format!("deb {mirror} {release}-backports main\n"))
    });
    line.context("apt has no Debian mirror configured")
}

/// The hash of a package at a version, or `None` when apt does not know that version.
pub(crate) fn sha256(suite: Suite, name: &str, version: &str) -> Result<Option<String>> {
    let mut show = program("apt-cache", suite);
    let output = command::output(show.args(["show", &format!("{name}={version}")]))?;
    // A version that is installed but served no more is shown too, without a hash.
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(field(&text, "SHA256").map(str::to_owned))
}

/// The newest kernel of the same series and flavour whose packages are all served.
pub(crate) fn newest(like: &Kernel) -> Result<Kernel> {
    for release in &releases(like)? {
        if let Some(kernel) = complete(like, release)? {
            return Ok(kernel);
        }
    }
    bail!(
        "apt serves no kernel {} {} with its debug symbols and source; is a Debian 12 mirror configured?",
        like.series,
        like.flavour
    )
}

/// All releases of a series and flavour that apt knows, of whatever version.
pub(crate) fn all_releases(suite: Suite, series: &str, flavour: &str) -> Result<Vec<String>> {
    // `linux-image-6.1.0-53-cloud-amd64`, `linux-image-6.12.95+deb12-cloud-amd64`
    let pattern = format!(
        "^linux-image-{}\\.[0-9].*-{flavour}$",
        series.replace('.', "\\.")
    );
    let mut search = program("apt-cache", suite);
    let text = command::capture(search.args(["search", "--names-only", &pattern]))?;
    let names = text
        .lines()
        .filter_map(|line| line.split_whitespace().next()?.strip_prefix("linux-image-"));
    Ok(names.map(str::to_owned).collect())
}

/// Highest ABI number first.
fn releases(like: &Kernel) -> Result<Vec<String>> {
    let mut search = program("apt-cache", like.suite);
    let text = command::capture(search.args(["search", "--names-only", "^linux-image-"]))?;
    let mut releases: Vec<(Vec<u32>, &str)> = text
        .lines()
        .filter_map(|line| line.split_whitespace().next()?.strip_prefix("linux-image-"))
        .filter_map(|release| Some((abi(like, release)?, release)))
        .collect();
    releases.sort_by(|a, b| b.cmp(a));
    Ok(releases
        .into_iter()
        .map(|(_, release)| release.to_owned())
        .collect())
}

/// The numbers in `6.1.0-53-cloud-amd64` or `6.12.95+deb12-cloud-amd64` between series and flavour.
fn abi(like: &Kernel, release: &str) -> Option<Vec<u32>> {
    let rest = release.strip_prefix(&like.series)?.strip_prefix('.')?;
    let rest = rest.strip_suffix(&like.flavour)?.strip_suffix('-')?;
    let words = rest.split(['.', '-', '+']);
    let number = |word: &str| word.strip_prefix("deb").unwrap_or(word).parse().ok();
    words.map(number).collect()
}

fn complete(like: &Kernel, release: &str) -> Result<Option<Kernel>> {
    let suite = like.suite;
    let names = package_names(&like.series, release);
    let image = names
        .iter()
        .find(|(role, _)| *role == Role::Image)
        .map(|(_, name)| name.as_str());
    let mut show = program("apt-cache", suite);
    let text =
        command::capture(show.args(["show", "--no-all-versions", image.unwrap_or_default()]))?;
    let Some(version) = field(&text, "Version") else {
        return Ok(None);
    };
    let mut packages = Vec::new();
    let is_wanted = |role: Role| like.packages.iter().any(|package| package.role == role);
    for (role, name) in names.into_iter().filter(|(role, _)| is_wanted(*role)) {
        let Some(sha256) = sha256(suite, &name, version)? else {
            return Ok(None);
        };
        packages.push(Package {
            role,
            suite,
            name,
            version: version.to_owned(),
            sha256,
        });
    }
    Ok(Some(Kernel {
        release: release.to_owned(),
        version: version.to_owned(),
        packages,
        ..like.clone()
    }))
}

fn field<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    text.lines()
        .find_map(|line| line.strip_prefix(key)?.strip_prefix(": "))
}

#[cfg(test)]
mod tests {
    use super::super::pinned;

    #[test]
    fn a_release_is_of_one_flavour() {
        let kernels = pinned::kernels();
        let abi = |at: usize, release| kernels.get(at).and_then(|like| super::abi(like, release));
        assert_eq!(abi(0, "6.1.0-53-cloud-amd64"), Some(vec![0, 53]));
        assert_eq!(abi(1, "6.12.90+deb12.1-cloud-amd64"), Some(vec![90, 12, 1]));
        assert_eq!(abi(0, "6.12.90+deb12-cloud-amd64"), None);
        assert_eq!(abi(0, "6.1.0-53-amd64"), None);
        assert_eq!(abi(0, "6.1.0-53-cloud-amd64-dbg"), None);
    }
}

//! A Debian source package: fetched, unpacked with all of Debian's patches, and once more without one of them.
//!
//! Machines are seldom set up for source packages, so apt reads lists of our own, from the same mirrors.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{command, paths};

/// The unpacked tree of the newest version that is served.
pub(crate) fn ensure(name: &str) -> Result<PathBuf> {
    let folder = folder(name);
    let tree = folder.join("patched");
    if tree.exists() {
        return Ok(tree);
    }
    fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
    lists()?;
    let description = download(name, &folder)?;
    let partial = folder.join("partial");
    if partial.exists() {
        fs::remove_dir_all(&partial).with_context(|| format!("remove {}", partial.display()))?;
    }
    let mut unpack = Command::new("dpkg-source");
    unpack.args(["--no-check", "--extract"]);
    command::quiet(unpack.arg(&description).arg(&partial))?;
    fs::rename(&partial, &tree).with_context(|| format!("rename to {}", tree.display()))?;
    Ok(tree)
}

/// The tree with one of Debian's patches taken out again.
pub(crate) fn without(name: &str, fix: &str, patched: &Path) -> Result<PathBuf> {
    let tree = folder(name).join(format!("without-{fix}"));
    if tree.exists() {
        return Ok(tree);
    }
    let partial = folder(name).join("partial");
    if partial.exists() {
        fs::remove_dir_all(&partial).with_context(|| format!("remove {}", partial.display()))?;
    }
    copy(patched, &partial)?;
    let mut reverse = Command::new("patch");
    reverse.args([
        "--reverse",
        "--strip=1",
        "--silent",
        "--force",
        "--directory",
    ]);
    reverse.arg(&partial).arg("--input");
    command::quiet(reverse.arg(patched.join("debian/patches").join(fix)))?;
    fs::rename(&partial, &tree).with_context(|| format!("rename to {}", tree.display()))?;
    Ok(tree)
}

/// A tree of its own.
pub(crate) fn copy(from: &Path, to: &Path) -> Result<()> {
    command::quiet(Command::new("cp").arg("--archive").arg(from).arg(to))
}

/// Where all of a program is.
pub(crate) fn folder(name: &str) -> PathBuf {
    paths::output("real").join(name)
}

/// The newest version that can be fetched: a mirror may list one that it does not have.
fn download(name: &str, folder: &Path) -> Result<PathBuf> {
    let shown = command::capture(apt("apt-cache").args(["showsrc", "--only-source", name]))?;
    let mut versions: Vec<&str> = shown
        .lines()
        .filter_map(|line| line.strip_prefix("Version: "))
        .collect();
    versions.dedup();
    let mut failure = None;
    for version in versions.iter().rev() {
        println!("fetching the source of {name} {version}");
        let mut fetch = apt("apt-get");
        fetch.args(["--download-only", "source", &format!("{name}={version}")]);
        match command::quiet(fetch.current_dir(folder)) {
            Ok(()) => return description(folder, version),
            Err(error) => failure = Some(error),
        }
    }
    Err(failure.unwrap_or_else(|| anyhow::anyhow!("apt knows no source of {name}")))
}

fn description(folder: &Path, version: &str) -> Result<PathBuf> {
    // The epoch is not part of a file's name.
    let version = version.split_once(':').map_or(version, |(_, rest)| rest);
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.ends_with(&format!("_{version}.dsc")) {
            return Ok(path);
        }
    }
    bail!("{}: no .dsc of version {version}", folder.display())
}

fn apt(program: &str) -> Command {
    let place = paths::output("real").join("apt").display().to_string();
    let mut apt = Command::new(program);
    // No sandbox user: it could not write into our folders.
    apt.args(["-q", "-o", "APT::Sandbox::User=root"]);
    for (option, value) in [
        ("Dir::Etc::SourceList", format!("{place}/sources.list")),
        ("Dir::Etc::SourceParts", "/dev/null".into()),
        ("Dir::State::Lists", format!("{place}/lists")),
        ("Dir::Cache", format!("{place}/cache")),
    ] {
        apt.arg("-o").arg(format!("{option}={value}"));
    }
    apt
}

/// Reads what the configured mirrors of Debian have of sources.
fn lists() -> Result<()> {
    let place = paths::output("real").join("apt");
    for folder in ["lists/partial", "cache/archives/partial"] {
        let folder = place.join(folder);
        fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
    }
    let mut targets = Command::new("apt-get");
    targets.args(["indextargets", "--format"]);
    targets.args([
        "$(REPO_URI) $(RELEASE) $(COMPONENT) $(ORIGIN)",
        "Created-By: Packages",
    ]);
    let text = command::capture(&mut targets)?;
    let mut lines: Vec<String> = text
        .lines()
        .filter_map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let &[mirror, release, "main", "Debian"] = words.as_slice() else {
                return None;
            };
            Some(format!("deb-src {mirror} {release} main\n"))
        })
        .collect();
    lines.sort();
    lines.dedup();
    if lines.is_empty() {
        bail!("apt has no Debian mirror configured");
    }
    let sources = place.join("sources.list");
    fs::write(&sources, lines.concat()).with_context(|| format!("write {}", sources.display()))?;
    command::quiet(apt("apt-get").arg("update"))
}

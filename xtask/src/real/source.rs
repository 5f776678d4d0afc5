//! A Debian source package: fetched, unpacked with all of Debian's patches, and once more without or with a fix.
//!
//! Machines are seldom set up for source packages, so apt reads lists of our own, from the same mirrors.

use std::cmp::Ordering;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use super::program::Fix;
use crate::{command, paths};

/// The source without a fix and with it.
#[derive(Debug)]
pub(crate) struct Trees {
    pub(crate) orig: PathBuf,
    pub(crate) patched: PathBuf,
}

/// Both trees of a fix.
pub(crate) fn trees(name: &str, fix: &Fix) -> Result<Trees> {
    let unpacked = unpacked(name)?;
    let (patch, has_it) = match fix {
        Fix::Debian(file) => (unpacked.join("debian/patches").join(file), true),
        Fix::Came(_, text) => (write(name, fix, text)?, true),
        Fix::Newer(_, text) => (write(name, fix, text)?, false),
    };
    ensure!(
        patch.is_file(),
        "the source in {} is of a version without this fix: remove that folder, and the newest one is fetched",
        folder(name).display()
    );
    let changed = changed(name, fix, &unpacked, &patch, has_it)?;
    Ok(if has_it {
        Trees {
            orig: changed,
            patched: unpacked,
        }
    } else {
        Trees {
            orig: unpacked,
            patched: changed,
        }
    })
}

/// The unpacked tree of the newest version that is served, with all of Debian's patches.
fn unpacked(name: &str) -> Result<PathBuf> {
    let folder = folder(name);
    let tree = folder.join("patched");
    if tree.exists() {
        return Ok(tree);
    }
    fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
    lists()?;
    let description = download(name, &folder)?;
    let partial = partial(name)?;
    let mut unpack = Command::new("dpkg-source");
    unpack.args(["--no-check", "--extract"]);
    command::quiet(unpack.arg(&description).arg(&partial))?;
    fs::rename(&partial, &tree).with_context(|| format!("rename to {}", tree.display()))?;
    Ok(tree)
}

/// The tree with one fix taken out again, or put in.
fn changed(name: &str, fix: &Fix, unpacked: &Path, patch: &Path, out: bool) -> Result<PathBuf> {
    let word = if out { "without" } else { "with" };
    let tree = folder(name).join(format!("{word}-{}", fix.patch_name()));
    if tree.exists() {
        return Ok(tree);
    }
    let partial = partial(name)?;
    copy(unpacked, &partial)?;
    let mut change = Command::new("patch");
    change.args([
        "--strip=1",
        "--silent",
        "--force",
        "--no-backup-if-mismatch",
        "--directory",
    ]);
    change.arg(&partial).arg("--input").arg(patch);
    if out {
        change.arg("--reverse");
    }
    command::quiet(&mut change)?;
    fs::rename(&partial, &tree).with_context(|| format!("rename to {}", tree.display()))?;
    Ok(tree)
}

/// A new place for a tree that is not complete yet.
fn partial(name: &str) -> Result<PathBuf> {
    let partial = folder(name).join("partial");
    if partial.exists() {
        fs::remove_dir_all(&partial).with_context(|| format!("remove {}", partial.display()))?;
    }
    Ok(partial)
}

fn write(name: &str, fix: &Fix, text: &str) -> Result<PathBuf> {
    let file = folder(name).join(format!("{}.patch", fix.patch_name()));
    fs::write(&file, text).with_context(|| format!("write {}", file.display()))?;
    Ok(file)
}

/// A tree of its own.
pub(crate) fn copy(from: &Path, to: &Path) -> Result<()> {
    command::quiet(Command::new("cp").arg("--archive").arg(from).arg(to))
}

/// Where all of a program is.
pub(crate) fn folder(name: &str) -> PathBuf {
    paths::output("real").join(name)
}

/// The newest version that can be fetched: a mirror may list one that it does not have, and two releases the same one in
/// different places.
fn download(name: &str, folder: &Path) -> Result<PathBuf> {
    let shown = command::capture(apt("apt-cache").args(["showsrc", "--only-source", name]))?;
    let versions = shown
        .lines()
        .filter_map(|line| line.strip_prefix("Version: "));
    let mut versions: Vec<&str> = versions.collect();
    versions.sort_by(|one, other| newer_first(one, other));
    versions.dedup();
    let wanted = versions.iter().map(|version| format!("{name}={version}"));
    let releases = releases()?.into_iter();
    let wanted = wanted.chain(releases.map(|release| format!("{name}/{release}")));
    let mut failure = None;
    for wanted in wanted {
        println!("fetching the source {wanted}");
        for old in descriptions(folder)? {
            fs::remove_file(&old).with_context(|| format!("remove {}", old.display()))?;
        }
        let mut fetch = apt("apt-get");
        fetch.args(["--download-only", "source", &wanted]);
        match command::quiet(fetch.current_dir(folder)) {
            Ok(()) => {
                let found = descriptions(folder)?.into_iter().next();
                return found.with_context(|| format!("{}: no .dsc", folder.display()));
            }
            Err(error) => failure = Some(error),
        }
    }
    Err(failure.unwrap_or_else(|| anyhow::anyhow!("apt knows no source of {name}")))
}

fn newer_first(one: &str, other: &str) -> Ordering {
    let compare = |operator: &str| {
        let mut dpkg = Command::new("dpkg");
        dpkg.args(["--compare-versions", one, operator, other]);
        dpkg.status().is_ok_and(|status| status.success())
    };
    if compare("gt") {
        Ordering::Less
    } else if compare("eq") {
        Ordering::Equal
    } else {
        Ordering::Greater
    }
}

/// The descriptions of source packages in a folder.
fn descriptions(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "dsc") {
            found.push(path);
        }
    }
    Ok(found)
}

/// The releases that sources are read of.
fn releases() -> Result<Vec<String>> {
    let file = paths::output("real").join("apt/sources.list");
    let text = fs::read_to_string(&file).with_context(|| file.display().to_string())?;
    let release = |line: &str| line.split_whitespace().nth(2).map(str::to_owned);
    Ok(text.lines().filter_map(release).collect())
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

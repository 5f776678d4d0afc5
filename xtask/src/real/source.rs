//! A Debian source package: fetched, unpacked with all of Debian's patches, and once more without or with a fix.
//!
//! Each version is kept in a folder of its own, with all that is built from it, and the newest one that is served is used: a fix
//! may be one that an older version does not have. Without the archive the newest one that is kept is used.
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

/// A program's source as Debian has it, with all of Debian's patches.
#[derive(Debug)]
pub(crate) struct Source {
    /// Where all of this version is.
    pub(crate) folder: PathBuf,
    version: String,
}

impl Source {
    /// The newest version that is served; where none can be fetched, the newest that is kept.
    pub(crate) fn newest(name: &str) -> Result<Self> {
        let source = match fetched(name) {
            Ok(source) => source,
            Err(error) => {
                let kept = kept(name)?.into_iter().next();
                let kept = kept.with_context(|| format!("{error:#}, and no source is kept"))?;
                println!("the archive does not help, a source is kept: {error:#}");
                kept
            }
        };
        println!("the source of {name} is {}", source.version);
        Ok(source)
    }

    fn of(name: &str, version: &str) -> Self {
        // A colon is no good in a search path, a tilde none in a shell.
        let plain = |letter: char| letter.is_ascii_alphanumeric() || ".-+".contains(letter);
        let folder = version.replace(|letter| !plain(letter), "_");
        Self {
            folder: folder_of(name).join(folder),
            version: version.to_owned(),
        }
    }

    /// The unpacked tree.
    fn tree(&self) -> PathBuf {
        self.folder.join("patched")
    }

    /// Both trees of a fix.
    pub(crate) fn trees(&self, fix: &Fix) -> Result<Trees> {
        let tree = self.tree();
        let (patch, has_it) = match fix {
            Fix::Debian(file) => (tree.join("debian/patches").join(file), true),
            Fix::Came(_, text) => (self.write(fix, text)?, true),
            Fix::Newer(_, text) => (self.write(fix, text)?, false),
        };
        ensure!(
            patch.is_file(),
            "version {} of the source is one without this fix",
            self.version
        );
        let changed = self.changed(fix, &patch, has_it)?;
        let (orig, patched) = if has_it {
            (changed, tree)
        } else {
            (tree, changed)
        };
        Ok(Trees { orig, patched })
    }

    /// The tree with one fix taken out again, or put in.
    fn changed(&self, fix: &Fix, patch: &Path, out: bool) -> Result<PathBuf> {
        let word = if out { "without" } else { "with" };
        let tree = self.folder.join(format!("{word}-{}", fix.patch_name()));
        if tree.exists() {
            return Ok(tree);
        }
        let partial = emptied(self.folder.join("partial"))?;
        copy(&self.tree(), &partial)?;
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

    fn write(&self, fix: &Fix, text: &str) -> Result<PathBuf> {
        let file = self.folder.join(format!("{}.patch", fix.patch_name()));
        fs::write(&file, text).with_context(|| format!("write {}", file.display()))?;
        Ok(file)
    }
}

/// The sources that are kept, the newest first.
fn kept(name: &str) -> Result<Vec<Source>> {
    let folder = folder_of(name);
    let mut sources = Vec::new();
    for entry in fs::read_dir(&folder).into_iter().flatten() {
        let version = entry?.path().join("version");
        if let Ok(version) = fs::read_to_string(version) {
            sources.push(Source::of(name, &version));
        }
    }
    sources.sort_by(|one, other| newer_first(&one.version, &other.version));
    Ok(sources)
}

/// The newest version that is served, which may be kept already: a mirror may list one that it does not have, and two releases
/// the same one in different places.
fn fetched(name: &str) -> Result<Source> {
    lists()?;
    let shown = command::capture(apt("apt-cache").args(["showsrc", "--only-source", name]))?;
    let versions = shown
        .lines()
        .filter_map(|line| line.strip_prefix("Version: "));
    let mut versions: Vec<&str> = versions.collect();
    versions.sort_by(|one, other| newer_first(one, other));
    versions.dedup();
    let mut kept = kept(name)?;
    let mut failure = anyhow::anyhow!("apt knows no source of {name}");
    for version in versions {
        if let Some(kept_at) = kept.iter().position(|kept| kept.version == version) {
            return Ok(kept.swap_remove(kept_at));
        }
        match fetch(name, &format!("{name}={version}")) {
            Ok(source) => return Ok(source),
            Err(error) => failure = error,
        }
    }
    for release in releases()? {
        match fetch(name, &format!("{name}/{release}")) {
            Ok(source) => return Ok(source),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

/// A new place for what is not complete yet.
fn emptied(partial: PathBuf) -> Result<PathBuf> {
    if partial.exists() {
        fs::remove_dir_all(&partial).with_context(|| format!("remove {}", partial.display()))?;
    }
    Ok(partial)
}

/// A tree of its own.
pub(crate) fn copy(from: &Path, to: &Path) -> Result<()> {
    command::quiet(Command::new("cp").arg("--archive").arg(from).arg(to))
}

/// Where all of a program is.
fn folder_of(name: &str) -> PathBuf {
    paths::output("real").join(name)
}

/// Fetches and unpacks what apt understands by `wanted`.
fn fetch(name: &str, wanted: &str) -> Result<Source> {
    println!("fetching the source {wanted}");
    let fresh = emptied(folder_of(name).join("fresh"))?;
    fs::create_dir_all(&fresh).with_context(|| format!("create {}", fresh.display()))?;
    let mut fetch = apt("apt-get");
    fetch.args(["--download-only", "source", wanted]);
    command::quiet(fetch.current_dir(&fresh))?;
    let description = description(&fresh)?;
    let version = version(&description)?;
    let mut unpack = Command::new("dpkg-source");
    unpack.args(["--no-check", "--extract"]);
    command::quiet(unpack.arg(&description).arg(fresh.join("patched")))?;
    fs::write(fresh.join("version"), &version)?;
    let source = Source::of(name, &version);
    emptied(source.folder.clone())?;
    fs::rename(&fresh, &source.folder)
        .with_context(|| format!("rename to {}", source.folder.display()))?;
    Ok(source)
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

/// The description of the source package in a folder.
fn description(folder: &Path) -> Result<PathBuf> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "dsc") {
            return Ok(path);
        }
    }
    bail!("{}: no .dsc", folder.display())
}

/// What a description says of its version.
fn version(description: &Path) -> Result<String> {
    let text = fs::read_to_string(description)
        .with_context(|| format!("read {}", description.display()))?;
    let version = text
        .lines()
        .find_map(|line| line.strip_prefix("Version:"))
        .map(|version| version.trim().to_owned());
    version.with_context(|| format!("{}: no version", description.display()))
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

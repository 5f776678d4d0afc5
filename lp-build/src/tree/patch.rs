//! Makes a patched tree from an original and patches, without touching or copying the original.
//!
//! The tree is a spine: real folders down to each touched file, real copies of the touched files, and links for
//! everything beside them. The tempting wrong way is hard links or links to the touched files, through which
//! `patch` would write into the person's tree. What a link to a whole folder cannot give: a file found through it
//! that includes `../x` sees the original's `x`. Folders from which that leads to a touched file are made real ones when the
//! sources are known ([`open_folder`], [`crate::kernel::kbuild::detour`]). The compile step checks that no touched file was read from
//! the original ([`crate::kernel::compile`]). Real folders everywhere would be 60,000 links.

use super::{Change, ChangeKind};
use anyhow::{Context, Result, bail, ensure};
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Component, Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// What came of applying patches.
#[derive(Debug, Default)]
pub struct Applied {
    /// The files that differ from the original now.
    pub changes: Vec<Change>,
    /// What the person should look at, such as hunks that applied with fuzz.
    pub warnings: Vec<String>,
    /// What is harmless but may help, such as hunks that were found some lines away.
    pub notes: Vec<String>,
}

/// Applies patches, in order, to a copy of `orig` made of links in the new folder `dest`.
pub fn apply(orig: &Path, patches: &[PathBuf], dest: &Path) -> Result<Applied> {
    let mut touched = BTreeSet::new();
    for patch in patches {
        let text = fs::read(patch)
            .with_context(|| format!("cannot read the patch {}", patch.display()))?;
        let files = touched_files(&String::from_utf8_lossy(&text))
            .with_context(|| format!("the patch {}", patch.display()))?;
        ensure!(
            !files.is_empty(),
            "the patch {} names no file: give a unified diff with --- and +++ lines, as `git diff` or `diff -urN` prints",
            patch.display()
        );
        touched.extend(files);
    }
    make_spine(orig, dest, &touched)?;
    let mut applied = Applied::default();
    for patch in patches {
        apply_one(patch, dest, &mut applied)?;
    }
    applied.changes = changes(orig, dest, &touched)?;
    Ok(applied)
}

/// The files that a unified diff names, without their first folder (`-p1`).
pub fn touched_files(patch: &str) -> Result<BTreeSet<String>> {
    let mut files = BTreeSet::new();
    let (mut old_left, mut new_left) = (0_u64, 0_u64);
    let mut git = "";
    for line in patch.lines() {
        // Inside a hunk a removed line may itself begin with `-- `.
        if old_left > 0 || new_left > 0 {
            match line.as_bytes().first() {
                Some(b'-') => old_left = old_left.saturating_sub(1),
                Some(b'+') => new_left = new_left.saturating_sub(1),
                Some(b'\\') => {}
                _ => {
                    (old_left, new_left) = (old_left.saturating_sub(1), new_left.saturating_sub(1))
                }
            }
            continue;
        }
        if let Some(counts) = hunk_lengths(line) {
            (old_left, new_left) = counts;
        } else if let Some(name) = line
            .strip_prefix("--- ")
            .or_else(|| line.strip_prefix("+++ "))
        {
            files.extend(strip_name(name)?);
        } else if let Some(name) = ["rename from ", "rename to ", "copy from ", "copy to "]
            .iter()
            .find_map(|prefix| line.strip_prefix(prefix))
        {
            files.insert(inside(name)?);
        } else if let Some(what) = line.strip_prefix("Binary files ") {
            let what = what.strip_suffix(" differ").unwrap_or(what);
            let name = what.rsplit(" and ").next().unwrap_or(what);
            bail!("changes the binary file {name}, which cannot be patched");
        } else if line.starts_with("GIT binary patch") {
            bail!("changes the binary file {git}, which cannot be patched");
        } else if let Some(names) = line.strip_prefix("diff --git ") {
            git = names.rsplit(" b/").next().unwrap_or(names);
        }
    }
    Ok(files)
}

/// The line counts of `@@ -1,2 +3,4 @@`; a count that is left out is 1.
fn hunk_lengths(line: &str) -> Option<(u64, u64)> {
    let (old, rest) = line.strip_prefix("@@ -")?.split_once(" +")?;
    let (new, _) = rest.split_once(" @@")?;
    let length = |range: &str| match range.split_once(',') {
        Some((_, length)) => length.parse().ok(),
        None => Some(1),
    };
    Some((length(old)?, length(new)?))
}

fn strip_name(name: &str) -> Result<Option<String>> {
    // `diff` puts a tab and the file's time after the name.
    let name = name.split('\t').next().unwrap_or_default().trim_end();
    if name == "/dev/null" {
        return Ok(None);
    }
    let Some((_, path)) = name.split_once('/') else {
        bail!(
            "names '{name}', which has no first folder to strip: make it with a/ and b/ prefixes (-p1)"
        );
    };
    inside(path).map(Some)
}

fn inside(path: &str) -> Result<String> {
    let plain = Path::new(path)
        .components()
        .all(|part| matches!(part, Component::Normal(_)));
    ensure!(
        plain && !path.is_empty(),
        "names '{path}', which is not a file inside a source tree"
    );
    Ok(path.to_owned())
}

fn make_spine(orig: &Path, dest: &Path, touched: &BTreeSet<String>) -> Result<()> {
    let folders: BTreeSet<&Path> = touched
        .iter()
        .flat_map(|path| Path::new(path).ancestors().skip(1))
        .collect();
    for &folder in &folders {
        let made = dest.join(folder);
        fs::create_dir_all(&made).with_context(|| format!("cannot make {}", made.display()))?;
        let Ok(entries) = fs::read_dir(orig.join(folder)) else {
            // The patch adds this folder.
            continue;
        };
        for entry in entries {
            let entry =
                entry.with_context(|| format!("cannot list {}", orig.join(folder).display()))?;
            let path = folder.join(entry.file_name());
            if folders.contains(path.as_path()) || entry.file_name() == ".git" {
                continue;
            }
            let is_touched = path.to_str().is_some_and(|path| touched.contains(path));
            place(&entry.path(), &dest.join(&path), is_touched)
                .with_context(|| format!("cannot make {}", dest.join(&path).display()))?;
        }
    }
    Ok(())
}

/// Makes folders of a patched tree real ones down to `folder`, so that `..` in it stays in the tree.
pub fn open_folder(orig: &Path, dest: &Path, folder: &Path) -> Result<()> {
    let mut above: Vec<&Path> = folder.ancestors().collect();
    above.reverse();
    for at in above {
        let (ours, link) = (orig.join(at), dest.join(at));
        if !link.is_symlink() || !ours.is_dir() {
            continue;
        }
        let open = || -> std::io::Result<()> {
            fs::remove_file(&link)?;
            fs::create_dir(&link)?;
            for entry in fs::read_dir(&ours)? {
                let entry = entry?;
                symlink(entry.path(), link.join(entry.file_name()))?;
            }
            Ok(())
        };
        open().with_context(|| format!("cannot make the folder {}", link.display()))?;
    }
    Ok(())
}

fn place(orig: &Path, made: &Path, touched: bool) -> std::io::Result<()> {
    if !touched {
        return symlink(orig, made);
    }
    fs::copy(orig, made)?;
    // The original may be read-only; `patch` must be able to write the copy.
    let mut permissions = fs::metadata(made)?.permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut permissions, 0o644);
    fs::set_permissions(made, permissions)
}

/// Applies a patch and takes over what was said of hunks that moved. There is no dry run: that knows a file only as
/// it is before the patch, which may change it twice, and a half-patched tree is thrown away.
fn apply_one(patch: &Path, dest: &Path, applied: &mut Applied) -> Result<()> {
    let run = run_patch(patch, dest)?;
    let said = String::from_utf8_lossy(&run.stdout);
    if !run.status.success() {
        bail!(
            "the patch {} does not apply:\n{}{}make it against the tree given as --orig",
            patch.display(),
            failures(&said),
            String::from_utf8_lossy(&run.stderr)
        );
    }
    for (file, line) in by_file(&said) {
        let moved = || format!("{}: {file}: {line}", patch.display());
        if line.contains("with fuzz") {
            applied.warnings.push(moved());
        } else if line.contains("(offset ") {
            applied.notes.push(moved());
        }
    }
    Ok(())
}

fn run_patch(patch: &Path, dest: &Path) -> Result<Output> {
    let input =
        fs::File::open(patch).with_context(|| format!("cannot read {}", patch.display()))?;
    Command::new("patch")
        .args([
            "-p1",
            "--no-backup-if-mismatch",
            "-N",
            "--batch",
            "--reject-file=-",
        ])
        .current_dir(dest)
        .env("LC_ALL", "C")
        .stdin(Stdio::from(input))
        .output()
        .context("cannot run `patch`: install the package patch")
}

/// The lines that name what failed, each with the file it belongs to.
fn failures(said: &str) -> String {
    const TROUBLE: [&str; 6] = [
        "FAILED",
        "can't find",
        "previously applied",
        "No file",
        "refusing",
        "malformed",
    ];
    by_file(said)
        .filter(|(_, line)| TROUBLE.iter().any(|word| line.contains(word)))
        .map(|(file, line)| format!("  {file}: {line}\n"))
        .collect()
}

/// What `patch` said, each line with the file it belongs to.
fn by_file(said: &str) -> impl Iterator<Item = (&str, &str)> {
    said.lines().scan("", |file, line| {
        if let Some(name) = line.strip_prefix("patching file ") {
            *file = name;
        }
        Some((*file, line.trim()))
    })
}

fn changes(orig: &Path, dest: &Path, touched: &BTreeSet<String>) -> Result<Vec<Change>> {
    let mut changes = Vec::new();
    for path in touched {
        let (ours, theirs) = (read(&orig.join(path))?, read(&dest.join(path))?);
        let kind = match (&ours, &theirs) {
            (None, None) => continue,
            (None, Some(_)) => ChangeKind::Added,
            (Some(_), None) => ChangeKind::Removed,
            (Some(ours), Some(theirs)) if ours == theirs => continue,
            (Some(_), Some(_)) => ChangeKind::Changed,
        };
        changes.push(Change {
            path: path.clone(),
            kind,
        });
    }
    Ok(changes)
}

fn read(path: &Path) -> Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

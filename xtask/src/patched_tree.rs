//! Makes the second of two source trees quickly: hard links, except for what the patch touches.
//!
//! A link to a file is that file: a tool that edits in place would change the original tree too. So the files that the patch
//! names become copies of their own before `patch` runs. The tree is kept with the patch's hash and made anew when that changes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::command;

/// The tree `orig` with the patch applied, at `place`.
pub(crate) fn ensure(orig: &Path, patch: &Path, place: &Path) -> Result<()> {
    let text = fs::read_to_string(patch).with_context(|| format!("read {}", patch.display()))?;
    let stamp = beside(place, "patch");
    let is_current = fs::read_to_string(&stamp).is_ok_and(|made_with| made_with == text);
    if is_current && place.exists() {
        return Ok(());
    }
    let partial = beside(place, "partial");
    for old in [&partial, &place.to_path_buf()] {
        if old.exists() {
            fs::remove_dir_all(old).with_context(|| format!("remove {}", old.display()))?;
        }
    }
    let parent = place.parent().context("the tree's place has no folder")?;
    fs::create_dir_all(parent).with_context(|| format!("create {}", parent.display()))?;
    command::quiet(
        Command::new("cp")
            .arg("--archive")
            .arg("--link")
            .arg(orig)
            .arg(&partial),
    )?;
    for file in touched(&text)? {
        unlink(&partial.join(file))?;
    }
    let mut apply = Command::new("patch");
    apply.args([
        "--strip=1",
        "--silent",
        "--force",
        "--no-backup-if-mismatch",
        "--directory",
    ]);
    command::quiet(apply.arg(&partial).arg("--input").arg(patch))?;
    fs::rename(&partial, place).with_context(|| format!("rename to {}", place.display()))?;
    fs::write(&stamp, text).with_context(|| format!("write {}", stamp.display()))
}

/// The files that a patch names, without the first folder of their paths.
fn touched(patch: &str) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for line in patch.lines() {
        let Some(rest) = line
            .strip_prefix("--- ")
            .or_else(|| line.strip_prefix("+++ "))
        else {
            continue;
        };
        let name = rest.split('\t').next().unwrap_or(rest).trim_end();
        let Some((_, file)) = name.split_once('/').filter(|_| name != "/dev/null") else {
            continue;
        };
        if Path::new(file)
            .components()
            .any(|part| !matches!(part, std::path::Component::Normal(_)))
        {
            bail!("the patch leaves the source tree: {name}");
        }
        files.push(PathBuf::from(file));
    }
    files.sort();
    files.dedup();
    Ok(files)
}

/// Makes a linked file one of its own, dates kept.
fn unlink(file: &Path) -> Result<()> {
    if !file.exists() {
        return Ok(());
    }
    let copy = beside(file, "unlinked");
    command::quiet(
        Command::new("cp")
            .arg("--preserve=all")
            .arg(file)
            .arg(&copy),
    )?;
    fs::rename(&copy, file).with_context(|| format!("replace {}", file.display()))
}

/// `PATH.WORD`. Not `with_extension`, which would take a part of a version for one.
fn beside(path: &Path, word: &str) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!("{name}.{word}"))
}

#[cfg(test)]
mod tests {
    use std::fs;

    const PATCH: &str = "--- a/dir/one.c\n+++ b/dir/one.c\n@@ -1 +1 @@\n-old\n+new\n";

    #[test]
    fn the_original_tree_stays_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let (orig, patched) = (folder.path().join("orig"), folder.path().join("patched"));
        fs::create_dir_all(orig.join("dir")).unwrap();
        fs::write(orig.join("dir/one.c"), "old\n").unwrap();
        fs::write(orig.join("dir/two.c"), "two\n").unwrap();
        let patch = folder.path().join("fix.patch");
        fs::write(&patch, PATCH).unwrap();
        for _ in 0..2 {
            super::ensure(&orig, &patch, &patched).unwrap();
            assert_eq!(fs::read_to_string(orig.join("dir/one.c")).unwrap(), "old\n");
            assert_eq!(
                fs::read_to_string(patched.join("dir/one.c")).unwrap(),
                "new\n"
            );
            assert_eq!(
                fs::read_to_string(patched.join("dir/two.c")).unwrap(),
                "two\n"
            );
        }
    }

    #[test]
    fn a_patch_outside_the_tree_is_no_patch() {
        assert!(super::touched("+++ b/../../etc/passwd\n").is_err());
    }
}

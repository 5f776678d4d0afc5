//! Unpacks packages: binary ones into a system root, the source one into its tree.
//!
//! Each goes to a temporary folder beside its place and is renamed when it is complete, so that what is there is whole even if a
//! run was killed. Nothing is run as root and no package script is run: these kernels are not installed.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;

use anyhow::{Context, Result, anyhow, bail};

use crate::command;

/// Unpacks a kernel's binary packages, all at once, into the system root `place`.
pub(crate) fn sysroot(debs: &[PathBuf], release: &str, place: &Path) -> Result<()> {
    let partial = partial(place)?;
    thread::scope(|scope| {
        let extract = |deb: &PathBuf| {
            let mut dpkg = Command::new("dpkg-deb");
            dpkg.arg("--extract").arg(deb).arg(&partial);
            scope.spawn(move || command::quiet(&mut dpkg))
        };
        let running: Vec<_> = debs.iter().map(extract).collect();
        running
            .into_iter()
            .try_for_each(|thread| thread.join().map_err(|_| anyhow!("a thread panicked"))?)
    })?;
    lead_to_usr(&partial, release)?;
    finish(&partial, place)
}

/// The links that an installed system has where newer kernels keep everything in `/usr/lib/modules`.
fn lead_to_usr(root: &Path, release: &str) -> Result<()> {
    let boot = |name: &str| {
        let from = format!("boot/{name}-{release}");
        (from, format!("../usr/lib/modules/{release}/{name}"))
    };
    let modules = ("lib".to_owned(), "usr/lib".to_owned());
    fs::create_dir_all(root.join("boot")).context("create boot")?;
    for (from, to) in [modules, boot("vmlinuz"), boot("config")] {
        if !root.join(&from).exists() {
            symlink(to, root.join(&from)).with_context(|| format!("link {from}"))?;
        }
    }
    Ok(())
}

/// Unpacks the tree inside a `linux-source-*` package to `place/linux-source-*`.
pub(crate) fn source(deb: &Path, package: &str, place: &Path) -> Result<()> {
    let partial = partial(place)?;
    let inner = format!("./usr/src/{package}.tar.xz");
    let mut outer = Command::new("dpkg-deb")
        .arg("--fsys-tarfile")
        .arg(deb)
        .stdout(Stdio::piped())
        .spawn()
        .context("run dpkg-deb")?;
    let mut archive = Command::new("tar")
        .args(["--extract", "--to-stdout", "--file=-", &inner])
        .stdin(outer.stdout.take().context("dpkg-deb has no stdout")?)
        .stdout(Stdio::piped())
        .spawn()
        .context("run tar")?;
    let inner_stream = archive.stdout.take().context("tar has no stdout")?;
    let mut tree = Command::new("tar");
    tree.args(["--extract", "--xz", "--file=-", "--directory"])
        .arg(&partial)
        .stdin(inner_stream);
    let unpacked = tree.status().context("run tar")?;
    // The first two may see a closed pipe once the last has all it needs: only a missing inner file is an error of theirs.
    let (_, _) = (archive.wait()?, outer.wait()?);
    if !unpacked.success() || !partial.join(package).join("Makefile").exists() {
        bail!("{}: could not unpack {inner}", deb.display());
    }
    finish(&partial, place)
}

fn partial(place: &Path) -> Result<PathBuf> {
    let name = place.file_name().unwrap_or_default().to_string_lossy();
    let partial = place.with_file_name(format!(".partial-{name}"));
    super::fresh_folder(&partial)?;
    Ok(partial)
}

fn finish(partial: &Path, place: &Path) -> Result<()> {
    fs::rename(partial, place)
        .with_context(|| format!("rename {} to {}", partial.display(), place.display()))
}

//! `cargo xtask kernels`: the pinned kernels, fetched and unpacked into `target/kernels`.
//!
//! Layout: `debs/*.deb`; `RELEASE/` is the root of a system that has the kernel, its headers, and its debug symbols
//! where they are
//! pinned; `source/VERSION/linux-source-SERIES` is the tree. A folder that is there is complete: it got its name last.
//! Whether a newer version exists is not asked as long as the pinned one is served, or tests would change from day to day.

mod apt;
mod download;
mod pinned;
mod unpack;
mod version;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Instant;

use anyhow::{Context, Result, anyhow};
use rustix::fs::FlockOperation;

use crate::{paths, system};
use pinned::{Kernel, Package, Role};
pub(crate) use version::{ensure_source, ensure_version};

pub(crate) use pinned::DEFAULT;

/// Options of `kernels`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// These pinned kernels, by name or release [default: the first]
    names: Vec<String>,
    /// Every pinned kernel, and the later sources of the first one's series
    #[arg(long)]
    all: bool,
}

/// A kernel that is unpacked.
#[derive(Debug, Clone)]
pub(crate) struct Installed {
    /// `uname -r`
    pub(crate) release: String,
    /// Root of a system with its packages.
    pub(crate) sysroot: PathBuf,
    /// The source it was built from.
    pub(crate) source: PathBuf,
    /// Of the Debian packages.
    pub(crate) version: String,
}

impl Installed {
    /// Its vmlinux with symbols, or what boots where there is no debug package.
    pub(crate) fn image(&self) -> PathBuf {
        let debug = format!("usr/lib/debug/boot/vmlinux-{}", self.release);
        let debug = self.sysroot.join(debug);
        if debug.exists() { debug } else { self.boots() }
    }

    /// What boots.
    pub(crate) fn boots(&self) -> PathBuf {
        let name = format!("boot/vmlinuz-{}", self.release);
        self.sysroot.join(name)
    }
}

/// Fetches everything and says where it is.
pub(crate) fn run(args: &Args) -> Result<()> {
    system::ensure_packages()?;
    let wanted = match (args.all, args.names.is_empty()) {
        (true, _) => names(),
        (false, true) => vec![DEFAULT.to_owned()],
        (false, false) => args.names.clone(),
    };
    for name in wanted {
        let installed = ensure(&name)?;
        println!(
            "kernel {} ({}): {}",
            installed.release,
            installed.version,
            installed.sysroot.display()
        );
        println!(
            "source {}: {}",
            installed.version,
            installed.source.display()
        );
    }
    if args.all {
        let _lock = lock()?;
        for package in pinned::later_sources() {
            let place = source_place(&package.version);
            ensure_later_source(&package, &place)?;
            println!(
                "source {}: {}",
                package.version,
                place.join(&package.name).display()
            );
        }
    }
    Ok(())
}

/// What the pinned kernels are called.
pub(crate) fn names() -> Vec<String> {
    let names = pinned::kernels().into_iter().map(|kernel| kernel.name);
    names.collect()
}

/// What the pinned kernel of a name or release is called.
pub(crate) fn name(name: &str) -> Result<String> {
    pinned(name).map(|kernel| kernel.name)
}

fn pinned(name: &str) -> Result<Kernel> {
    let mut known = pinned::kernels().into_iter();
    let pinned = known.find(|kernel| kernel.name == name || kernel.release == name);
    pinned.with_context(|| {
        let names = names().join(", ");
        format!("no kernel is pinned as {name}, there is {names}")
    })
}

/// The kernel of a name or release, fetched and unpacked if it is not there yet.
pub(crate) fn ensure(name: &str) -> Result<Installed> {
    let pinned = &pinned(name)?;
    let _lock = lock()?;
    if is_installed(pinned) {
        return Ok(installed(pinned));
    }
    let kernel = available(pinned)?;
    install(&kernel)?;
    Ok(installed(&kernel))
}

/// The pinned kernel, or the newest of its series when it is served no more.
fn available(pinned: &Kernel) -> Result<Kernel> {
    if is_served(pinned)? {
        return Ok(pinned.clone());
    }
    apt::update(pinned.suite)?;
    if is_served(pinned)? {
        return Ok(pinned.clone());
    }
    let newest = apt::newest(pinned)?;
    println!(
        "note: the pinned kernel {} ({}) is no longer served; taking the newest of the series, {} ({})",
        pinned.release, pinned.version, newest.release, newest.version
    );
    Ok(newest)
}

/// Every package is here already or can be fetched.
fn is_served(kernel: &Kernel) -> Result<bool> {
    for package in &kernel.packages {
        let here = download::is_whole(&debs().join(package.file_name()), package)?;
        if !here && apt::sha256(package.suite, &package.name, &package.version)?.is_none() {
            return Ok(false);
        }
    }
    Ok(true)
}

fn install(kernel: &Kernel) -> Result<()> {
    let fetched: Vec<(&Package, PathBuf)> = kernel
        .packages
        .iter()
        .map(|package| Ok((package, download::ensure(&debs(), package)?)))
        .collect::<Result<_>>()?;
    println!("unpacking {} {}", kernel.release, kernel.version);
    let start = Instant::now();
    thread::scope(|scope| {
        let sysroot = scope.spawn(|| unpack_sysroot(kernel, &fetched));
        let source = unpack_source(kernel, &fetched);
        sysroot.join().map_err(|_| anyhow!("a thread panicked"))??;
        source
    })?;
    println!("unpacked in {:.0} s", start.elapsed().as_secs_f64());
    Ok(())
}

fn unpack_sysroot(kernel: &Kernel, fetched: &[(&Package, PathBuf)]) -> Result<()> {
    let place = paths::output("kernels").join(&kernel.release);
    let binary = fetched
        .iter()
        .filter(|(package, _)| package.role != Role::Source);
    let debs: Vec<PathBuf> = binary.map(|(_, deb)| deb.clone()).collect();
    if place.exists() {
        Ok(())
    } else {
        unpack::sysroot(&debs, &kernel.release, &place)
    }
}

fn unpack_source(kernel: &Kernel, fetched: &[(&Package, PathBuf)]) -> Result<()> {
    let place = source_place(&kernel.version);
    let source = fetched
        .iter()
        .find(|(package, _)| package.role == Role::Source);
    let (package, deb) = source.context("the kernel has no source package")?;
    if place.exists() {
        Ok(())
    } else {
        unpack::source(deb, &package.name, &place)
    }
}

fn ensure_later_source(package: &Package, place: &Path) -> Result<()> {
    if place.exists() {
        return Ok(());
    }
    let deb = download::ensure(&debs(), package)?;
    unpack::source(&deb, &package.name, place)
}

fn installed(kernel: &Kernel) -> Installed {
    Installed {
        release: kernel.release.clone(),
        sysroot: paths::output("kernels").join(&kernel.release),
        source: source_place(&kernel.version).join(format!("linux-source-{}", kernel.series)),
        version: kernel.version.clone(),
    }
}

fn is_installed(kernel: &Kernel) -> bool {
    let Installed {
        sysroot, source, ..
    } = installed(kernel);
    sysroot.exists() && source.exists()
}

fn source_place(version: &str) -> PathBuf {
    paths::output("kernels/source").join(version)
}

fn debs() -> PathBuf {
    paths::output("kernels/debs")
}

/// Two runs at once would delete each other's half-unpacked folders.
fn lock() -> Result<File> {
    let folder = paths::output("kernels");
    for needed in [folder.join("debs"), folder.join("source")] {
        fs::create_dir_all(&needed).with_context(|| format!("create {}", needed.display()))?;
    }
    let file = File::create(folder.join(".lock")).context("create the lock of target/kernels")?;
    rustix::fs::flock(&file, FlockOperation::LockExclusive).context("lock target/kernels")?;
    Ok(file)
}

/// An empty folder, whatever was there.
fn fresh_folder(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("remove {}", folder.display()))?;
    }
    fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))
}

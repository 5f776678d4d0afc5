//! Where the running kernel's files are: configuration, vmlinux with symbols, Module.symvers, modules.
//!
//! The places are those of Debian's packages, first match wins; `sysroot` is `/` or a folder where the packages were
//! unpacked. An option always wins over a place. Where there is no vmlinux with symbols, the kernel that boots does
//! ([`super::unpacked`]).

use super::unpacked::Unpacked;
use crate::options::Options;
use anyhow::{Context, Result, bail, ensure};
use lp_klp::name::ObjName;
use std::path::{Path, PathBuf};
use walkdir::WalkDir;

/// The files that say what the running kernel is.
#[derive(Debug, Clone)]
pub struct KernelFiles {
    /// The kernel's release.
    pub release: String,
    /// Its configuration.
    pub config: PathBuf,
    /// Its image with symbols.
    pub vmlinux: PathBuf,
    /// What that was made of, where there is only the kernel that boots.
    pub vmlinuz: Option<PathBuf>,
    /// What it exports.
    pub symvers: PathBuf,
    /// Where its modules are.
    pub modules: PathBuf,
    /// Module files that the person gave, which go before all others.
    pub given: Vec<PathBuf>,
    /// Where those go that are compressed.
    pub unpacked: Unpacked,
}

/// A file of the kernel that its packages bring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// The option that names it.
    pub option: &'static str,
    /// What it is.
    pub what: &'static str,
    /// The package that has it; `REL` stands for the release.
    package: &'static str,
    /// Where it may be.
    places: &'static [&'static str],
}

/// The configuration.
pub const CONFIG: Wanted = Wanted {
    option: "--config",
    what: "configuration",
    package: "linux-image-REL",
    places: &[
        "boot/config-REL",
        "lib/modules/REL/config",
        "lib/modules/REL/build/.config",
    ],
};

/// The image, best with symbols.
pub const VMLINUX: Wanted = Wanted {
    option: "--vmlinux",
    what: "image",
    package: "linux-image-REL",
    places: &[
        "usr/lib/debug/boot/vmlinux-REL",
        "usr/lib/debug/lib/modules/REL/vmlinux",
        "lib/modules/REL/build/vmlinux",
        // Without types and source files, so last.
        "boot/vmlinuz-REL",
        "lib/modules/REL/vmlinuz",
    ],
};

/// What the kernel exports.
pub const SYMVERS: Wanted = Wanted {
    option: "--symvers",
    what: "Module.symvers",
    package: "linux-headers-REL",
    places: &[
        "usr/src/linux-headers-REL/Module.symvers",
        "lib/modules/REL/build/Module.symvers",
        "boot/Module.symvers-REL",
    ],
};

impl Wanted {
    /// Finds it; an error names every place it was looked for, and the package that has it.
    pub fn find(&self, root: &Path, release: &str, given: Option<&Path>) -> Result<PathBuf> {
        if let Some(path) = given {
            ensure!(
                path.is_file(),
                "{} {}: no such file",
                self.option,
                path.display()
            );
            return Ok(path.to_owned());
        }
        let places = self.places.iter();
        let places: Vec<PathBuf> = places
            .map(|place| root.join(place.replace("REL", release)))
            .collect();
        if let Some(found) = places.iter().find(|path| path.is_file()) {
            return Ok(found.clone());
        }
        let looked = places
            .iter()
            .map(|place| format!("\n  {}", place.display()));
        let looked: Vec<String> = looked.collect();
        bail!(
            "the kernel's {} is not at{}\ninstall the package {}, say with --sysroot where it is unpacked, or give {} FILE",
            self.what,
            looked.concat(),
            self.package(release),
            self.option
        );
    }

    /// The package that has it.
    pub fn package(&self, release: &str) -> String {
        self.package.replace("REL", release)
    }
}

/// The configuration that the kernel's packages brought, whatever the person gave.
pub fn packaged_config(options: &Options) -> Option<PathBuf> {
    let places = ["boot/config-REL", "usr/src/linux-headers-REL/.config"];
    let mut places = places
        .iter()
        .map(|place| place.replace("REL", &options.release));
    places.find_map(|place| {
        let path = options.sysroot.join(place);
        path.is_file().then_some(path)
    })
}

/// Finds the kernel's files; one that is missing is an error that names every place it was looked for.
pub fn find(options: &Options) -> Result<KernelFiles> {
    let (root, release) = (&options.sysroot, &options.release);
    ensure!(
        root.is_dir(),
        "--sysroot {}: no such folder",
        root.display()
    );
    let find =
        |wanted: Wanted, given: &Option<PathBuf>| wanted.find(root, release, given.as_deref());
    let (unpacked, found) = (
        Unpacked::of(&options.cache),
        find(VMLINUX, &options.vmlinux)?,
    );
    let vmlinux = unpacked.readable(&found)?;
    Ok(KernelFiles {
        release: release.clone(),
        config: find(CONFIG, &options.config)?,
        vmlinuz: (vmlinux != found).then_some(found),
        vmlinux,
        symvers: find(SYMVERS, &options.symvers)?,
        modules: root.join("lib/modules").join(release),
        given: options.modules.clone(),
        unpacked,
    })
}

/// The file of a module of this kernel.
pub fn module(files: &KernelFiles, name: &ObjName) -> Result<PathBuf> {
    if let Some(path) = files.given.iter().find(|path| is_file_of(path, name)) {
        return files.unpacked.readable(path);
    }
    let found = called(&files.modules, name);
    let plain = |path: &&PathBuf| path.extension().is_some_and(|extension| extension == "ko");
    match found.iter().find(plain).or(found.first()) {
        Some(path) => files.unpacked.readable(path),
        None => Err(missing(&files.modules))
            .with_context(|| format!("the kernel's module {name}.ko was not found")),
    }
}

/// Whether a file is called as the module's is.
fn is_file_of(path: &Path, name: &ObjName) -> bool {
    let file = path.file_name().and_then(|file| file.to_str());
    let stem = file.and_then(|file| Some(file.split_once(".ko")?.0));
    stem.is_some_and(|stem| stem.replace('-', "_") == name.as_str())
}

/// The files of a module in a folder, as they are and compressed.
fn called(folder: &Path, name: &ObjName) -> Vec<PathBuf> {
    let walk = WalkDir::new(folder).sort_by_file_name();
    let is_it = |entry: &walkdir::DirEntry| is_file_of(entry.path(), name);
    walk.into_iter()
        .filter_map(Result::ok)
        .filter(is_it)
        .map(walkdir::DirEntry::into_path)
        .collect()
}

fn missing(modules: &Path) -> anyhow::Error {
    anyhow::anyhow!(
        "it is not under {}: install the kernel's image package, or say with --sysroot where it is unpacked",
        modules.display()
    )
}

//! Where the running kernel's files are: configuration, vmlinux with symbols, Module.symvers, modules.
//!
//! The places are those of Debian's packages, first match wins; `sysroot` is `/` or a folder where the packages were
//! unpacked. An option always wins over a place.

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
    /// What it exports.
    pub symvers: PathBuf,
    /// Where its modules are.
    pub modules: PathBuf,
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
    places: [&'static str; 3],
}

/// The configuration.
pub const CONFIG: Wanted = Wanted {
    option: "--config",
    what: "configuration",
    package: "linux-image-REL",
    places: [
        "boot/config-REL",
        "lib/modules/REL/config",
        "lib/modules/REL/build/.config",
    ],
};

/// The image with symbols.
pub const VMLINUX: Wanted = Wanted {
    option: "--vmlinux",
    what: "vmlinux with symbols",
    package: "linux-image-REL-dbg",
    places: [
        "usr/lib/debug/boot/vmlinux-REL",
        "usr/lib/debug/lib/modules/REL/vmlinux",
        "lib/modules/REL/build/vmlinux",
    ],
};

/// What the kernel exports.
pub const SYMVERS: Wanted = Wanted {
    option: "--symvers",
    what: "Module.symvers",
    package: "linux-headers-REL",
    places: [
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
        let places = self
            .places
            .map(|place| root.join(place.replace("REL", release)));
        if let Some(found) = places.iter().find(|path| path.is_file()) {
            return Ok(found.clone());
        }
        let looked = places.map(|place| format!("\n  {}", place.display()));
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
    Ok(KernelFiles {
        release: release.clone(),
        config: find(CONFIG, &options.config)?,
        vmlinux: find(VMLINUX, &options.vmlinux)?,
        symvers: find(SYMVERS, &options.symvers)?,
        modules: root.join("lib/modules").join(release),
    })
}

/// The file of a module of this kernel.
pub fn module(files: &KernelFiles, name: &ObjName) -> Result<PathBuf> {
    let walk = WalkDir::new(&files.modules).sort_by_file_name();
    let mut compressed = None;
    for entry in walk.into_iter().filter_map(Result::ok) {
        let file = entry.file_name().to_str().unwrap_or_default();
        let Some((stem, extension)) = file.split_once(".ko") else {
            continue;
        };
        if stem.replace('-', "_") != name.as_str() {
            continue;
        }
        if extension.is_empty() {
            return Ok(entry.into_path());
        }
        compressed = Some(entry.into_path());
    }
    if let Some(path) = compressed {
        bail!(
            "the module {} is compressed, unpack it beside itself first",
            path.display()
        );
    }
    Err(missing(&files.modules))
        .with_context(|| format!("the kernel's module {name}.ko was not found"))
}

fn missing(modules: &Path) -> anyhow::Error {
    anyhow::anyhow!(
        "it is not under {}: install the kernel's image package, or say with --sysroot where it is unpacked",
        modules.display()
    )
}

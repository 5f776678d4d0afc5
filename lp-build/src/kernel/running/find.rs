//! Where the running kernel's files are: configuration, vmlinux with symbols, Module.symvers, modules.
//!
//! The places are those of Debian's packages, first match wins; `sysroot` is `/` or a folder where the packages were
//! unpacked: there `/lib` need not lead to `/usr/lib`, where those of newer kernels have everything. An option always wins over a place. Where there is no vmlinux with symbols, the kernel that boots does
//! ([`super::unpacked`]).

use super::unpacked::Unpacked;
use crate::options::Options;
use anyhow::{Context, Result, bail, ensure};
use lp_klp::name::ObjName;
use std::fs;
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
    /// What it is called in the folder where a kernel was built, first match wins.
    built: &'static [&'static str],
}

/// The configuration.
pub const CONFIG: Wanted = Wanted {
    option: "--config",
    what: "configuration",
    package: "linux-image-REL",
    places: &[
        "boot/config-REL",
        "lib/modules/REL/config",
        "usr/lib/modules/REL/config",
        "lib/modules/REL/build/.config",
    ],
    built: &[".config"],
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
        "usr/lib/modules/REL/vmlinuz",
    ],
    built: &["vmlinux"],
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
    // The second is that of a kernel whose modules were not built.
    built: &["Module.symvers", "vmlinux.symvers"],
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

    /// Finds it where a kernel was built.
    fn find_built(&self, folder: &Path) -> Result<PathBuf> {
        let mut places = self.built.iter().map(|name| folder.join(name));
        places.find(|path| path.is_file()).with_context(|| {
            format!(
                "the kernel's {} is not in {}: finish the kernel's build there, or give {} FILE",
                self.what,
                folder.display(),
                self.option
            )
        })
    }

    /// The package that has it.
    pub fn package(&self, release: &str) -> String {
        self.package.replace("REL", release)
    }
}

/// The configuration that the kernel's packages brought, whatever the person gave.
pub fn packaged_config(options: &Options) -> Option<PathBuf> {
    if options.build_dir.is_some() {
        return None;
    }
    let places = [
        "boot/config-REL",
        "usr/lib/modules/REL/config",
        "usr/src/linux-headers-REL/.config",
    ];
    let mut places = places
        .iter()
        .map(|place| place.replace("REL", &options.release));
    places.find_map(|place| {
        let path = options.sysroot.join(place);
        path.is_file().then_some(path)
    })
}

/// The release of the kernel that was built in a folder (`include/config/kernel.release` of the top Makefile).
pub fn built_release(folder: &Path) -> Result<String> {
    let file = folder.join("include/config/kernel.release");
    let text = fs::read_to_string(&file).with_context(|| {
        format!(
            "--build-dir {}: cannot read {}: give the folder where the kernel was built by `make`",
            folder.display(),
            file.display()
        )
    })?;
    Ok(text.trim().to_owned())
}

/// Finds the kernel's files; one that is missing is an error that names every place it was looked for.
pub fn find(options: &Options) -> Result<KernelFiles> {
    let (root, release) = (&options.sysroot, &options.release);
    ensure!(
        root.is_dir(),
        "--sysroot {}: no such folder",
        root.display()
    );
    let find = |wanted: Wanted, given: &Option<PathBuf>| match (&options.build_dir, given) {
        (Some(folder), None) => wanted.find_built(folder),
        _ => wanted.find(root, release, given.as_deref()),
    };
    let (unpacked, found) = (
        Unpacked::of(&options.asked.cache),
        find(VMLINUX, &options.vmlinux)?,
    );
    let vmlinux = unpacked.readable(&found)?;
    Ok(KernelFiles {
        release: release.clone(),
        config: find(CONFIG, &options.config)?,
        vmlinuz: (vmlinux != found).then_some(found),
        vmlinux,
        symvers: find(SYMVERS, &options.symvers)?,
        modules: match &options.build_dir {
            Some(folder) => folder.clone(),
            None => modules(root, release),
        },
        given: options.modules.clone(),
        unpacked,
    })
}

/// The folder of the kernel's modules.
pub fn modules(root: &Path, release: &str) -> PathBuf {
    let places = ["lib/modules", "usr/lib/modules"].map(|place| root.join(place).join(release));
    let [usual, _] = &places;
    let there = places.iter().find(|place| place.is_dir());
    there.unwrap_or(usual).clone()
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

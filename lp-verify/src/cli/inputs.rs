//! Reads what the command line names.

use super::options::Common;
use anyhow::{Context, Result, bail};
use lp_runtime::kernel::{self, Host};
use lp_verify::installed::Installed;
use lp_verify::kernel::{Kernel, Modules};
use lp_verify::reader::Module;
use lp_verify::reader::layout::Layout;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

pub(super) fn layout(common: &Common) -> Result<Option<Layout>> {
    let Some(path) = &common.vmlinux else {
        return Ok(None);
    };
    Layout::read(path).with_context(|| path.display().to_string())
}

/// The kernel's files; none where none is given.
pub(super) fn kernel(common: &Common) -> Result<Option<Kernel>> {
    let name = |path: &Path| path.display().to_string();
    let vmlinux = common.vmlinux.as_deref();
    let vmlinux = vmlinux.map(|path| Kernel::open(path).with_context(|| name(path)));
    let modules = common.module_folder.as_deref();
    let modules = modules.map(|path| Modules::open(path).with_context(|| name(path)));
    Ok(match (vmlinux.transpose()?, modules.transpose()?) {
        (None, None) => None,
        (kernel, modules) => Some(Kernel {
            modules,
            ..kernel.unwrap_or_default()
        }),
    })
}

pub(super) fn module(path: &Path, layout: Option<&Layout>) -> Result<Module> {
    Ok(Module::open(path, layout)?)
}

pub(super) fn modules(paths: &[PathBuf], common: &Common) -> Result<Vec<Module>> {
    let layout = layout(common)?;
    paths
        .iter()
        .map(|path| module(path, layout.as_ref()))
        .collect()
}

/// Modules in order, or one inventory; told apart by how they begin.
pub(super) fn installed(what: &[PathBuf], layout: Option<&Layout>) -> Result<Installed> {
    if let [file] = what
        && !is_elf(file).with_context(|| file.display().to_string())?
    {
        return inventory(file);
    }
    let patches = what.iter().map(|path| Ok(module(path, layout)?.patch()));
    Ok(Installed::of_patches(patches.collect::<Result<_>>()?))
}

fn is_elf(path: &Path) -> io::Result<bool> {
    let mut magic = Vec::new();
    File::open(path)?.take(4).read_to_end(&mut magic)?;
    Ok(magic == b"\x7fELF")
}

fn inventory(path: &Path) -> Result<Installed> {
    let file = || path.display().to_string();
    let text = std::fs::read(path).with_context(file)?;
    let mut lines = text
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.trim_ascii().is_empty());
    match (lines.next(), lines.next()) {
        (Some(line), None) => Installed::of_line(line).with_context(file),
        (None, _) => bail!(
            "{}: empty: give a module, or what 'lp-ctl inventory' printed",
            file()
        ),
        _ => bail!(
            "{}: more than one line: for many machines there is 'lp-verify fleet'",
            file()
        ),
    }
}

pub(super) fn this_machine() -> Result<Installed> {
    let inventory = kernel::inventory(&Host::running()).context(
        "cannot read what this machine has installed (/sys/kernel/livepatch): say it with --installed, or --nothing-installed",
    )?;
    Ok(Installed::of_inventory(&inventory))
}

/// Several files as if they were one; a file without a last newline must not run into the next.
pub(super) fn concatenated(paths: &[PathBuf]) -> Result<Box<dyn Read>> {
    let mut all: Box<dyn Read> = Box::new(io::empty());
    for path in paths {
        let file = File::open(path).with_context(|| path.display().to_string())?;
        all = Box::new(all.chain(file).chain(&b"\n"[..]));
    }
    Ok(all)
}

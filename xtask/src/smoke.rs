//! `cargo xtask smoke FILE.ko..`: whether the stock kernel takes given patch modules, all in one boot.
//!
//! The modules that a patch changes are inserted first. Their names come from the manifest in the patch's note; a patch without
//! one names them with `--module`.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::vm::plan::Job;
use crate::{command, kernels, system, vm};

/// Options of `smoke`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Patch modules
    #[arg(required = true, value_name = "FILE.ko")]
    patches: Vec<PathBuf>,
    /// Kernel modules to insert before each patch, besides those that it names itself
    #[arg(long = "module", value_name = "NAME")]
    modules: Vec<String>,
    /// The pinned kernel to boot, by name or release
    #[arg(long, value_name = "NAME", default_value = kernels::DEFAULT)]
    kernel: String,
    #[command(flatten)]
    vm: vm::Args,
}

/// Loads and unloads each.
pub(crate) fn run(args: &Args) -> Result<()> {
    system::ensure_packages()?;
    let kernel = kernels::ensure(&args.kernel)?;
    let jobs: Vec<Job> = args
        .patches
        .iter()
        .map(|patch| job(patch, &args.modules))
        .collect::<Result<_>>()?;
    vm::run("smoke", &kernel, jobs, &args.vm)?.into_result()
}

fn job(patch: &Path, more: &[String]) -> Result<Job> {
    let name = patch
        .file_stem()
        .with_context(|| format!("{}: not a file", patch.display()))?;
    let mut modules = objects(patch);
    modules.extend_from_slice(more);
    Ok(Job::smoke(
        name.to_string_lossy().into_owned(),
        patch,
        modules,
    ))
}

/// The modules that a patch says it changes; none if it has no manifest.
fn objects(patch: &Path) -> Vec<String> {
    let dump = ["--dump-section", ".note.livepatch=/dev/stdout"];
    let note = command::output(
        Command::new("objcopy")
            .args(dump)
            .arg(patch)
            .arg("/dev/null"),
    );
    let Some(manifest) = note.ok().and_then(|output| manifest(&output.stdout)) else {
        return Vec::new();
    };
    let objects = manifest
        .get("objects")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    let names = objects.filter_map(|object| object.get("name")?.as_str());
    names
        .filter(|name| *name != "vmlinux")
        .map(str::to_owned)
        .collect()
}

/// The JSON in an ELF note: name size, content size, type, name padded to 4 bytes, content.
fn manifest(note: &[u8]) -> Option<Value> {
    let word =
        |at: usize| Some(u32::from_le_bytes(note.get(at..at + 4)?.try_into().ok()?) as usize);
    let start = 12 + word(0)?.next_multiple_of(4);
    serde_json::from_slice(note.get(start..start.checked_add(word(4)?)?)?).ok()
}

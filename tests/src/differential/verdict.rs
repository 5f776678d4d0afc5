//! What lp-verify says before a load, to be compared with what the kernel then does.
//!
//! It is asked twice: over the modules' files in the order of loading, and over this machine as a user would. Where it cannot
//! know, there is no verdict to compare: what code answers (a pre_patch callback), a module that was disabled but not removed
//! and so has its name still, a machine with patches that have no note, and a patch without objects, whose tables cannot be
//! told from other data.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use lp_runtime::kernel::{self, Host};
use lp_verify::finding::Finding;
use lp_verify::installed::{Installed, Machine};
use lp_verify::kernel::{Kernel, Modules};
use lp_verify::patch::Patch;
use lp_verify::reader::Module;
use lp_verify::reader::layout::Layout;
use lp_verify::rules;

use super::binary;
use super::model::Model;
use super::pool::Entry;

/// lp-verify with what it needs of the kernel.
#[derive(Debug)]
pub struct Verifier {
    kernel: Kernel,
    layout: Option<Layout>,
    machine: Option<Machine>,
}

/// What lp-verify says of a load.
#[derive(Debug, Default)]
pub struct Verdicts {
    /// The findings that forbid it, if any, by what it was asked over.
    errors: Vec<(&'static str, Vec<Finding>)>,
    /// The kernel may take the patch, but will refuse the module that is patched; lp-verify says so before.
    refused_later: bool,
}

impl Verifier {
    /// Reads the kernel's file; the modules that are patched are in `folder`.
    pub fn open(vmlinux: &Path, folder: &Path) -> Result<Self> {
        let installed = kernel::inventory(&Host::running()).context("read what is installed")?;
        Ok(Self {
            kernel: Kernel {
                modules: Some(Modules::open(folder).with_context(|| folder.display().to_string())?),
                ..Kernel::open(vmlinux).with_context(|| vmlinux.display().to_string())?
            },
            layout: Layout::read(Path::new("/sys/kernel/btf/vmlinux"))
                .context("read the kernel's types")?,
            machine: Installed::of_inventory(&installed).machine,
        })
    }

    /// Asks it about a load in a run.
    pub fn ask(
        &self,
        model: &Model,
        pool: &[Entry],
        patch: usize,
        folder: &Path,
        run: u32,
    ) -> Result<Verdicts> {
        let Some(entry) = pool.get(patch) else {
            return Ok(Verdicts::default());
        };
        let over = model.installed();
        let is_installed = over.iter().any(|(installed, _)| *installed == patch);
        let vetoes = entry
            .vetoes
            .iter()
            .any(|(object, _)| model.has_object(object));
        if vetoes || entry.patch.objects.is_empty() || (model.is_loaded(patch) && !is_installed) {
            return Ok(Verdicts::default());
        }
        let module = |place: usize| {
            let name = pool.get(place).map(Entry::name).unwrap_or_default();
            let path = PathBuf::from(format!("{name}.ko"));
            let bytes = binary::bytes(folder, name, run)?;
            Module::parse(&path, &bytes, self.layout.as_ref())
                .with_context(|| path.display().to_string())
        };
        let new = module(patch)?;
        let patches = over.iter().map(|(place, transition)| {
            let patch = module(*place)?.patch();
            Ok(Patch {
                transition: *transition,
                ..patch
            })
        });
        let files = Installed {
            patches: patches.collect::<Result<_>>()?,
            machine: self.machine.clone(),
        };
        let mut errors = vec![("the files", self.errors(&new, &files))];
        if over
            .iter()
            .all(|(place, _)| pool.get(*place).is_some_and(|entry| entry.note))
        {
            let here = kernel::inventory(&Host::running()).context("read what is installed")?;
            errors.push((
                "this machine",
                self.errors(&new, &Installed::of_inventory(&here)),
            ));
        }
        Ok(Verdicts {
            errors,
            refused_later: model.lacks_function(entry),
        })
    }

    fn errors(&self, new: &Module, installed: &Installed) -> Vec<Finding> {
        let findings = rules::check(new, installed, Some(&self.kernel));
        findings.into_iter().filter(Finding::is_error).collect()
    }
}

impl Verdicts {
    /// Where a verdict is not what the kernel did.
    pub fn wrong(&self, accepted: bool) -> Option<String> {
        let may = accepted && !self.refused_later;
        let (over, errors) = self
            .errors
            .iter()
            .find(|(_, errors)| errors.is_empty() != may)?;
        let says = errors.iter().map(|finding| format!("\n  {finding}"));
        Some(match may {
            true => format!(
                "lp-verify, over {over}, refuses what the kernel takes:{}",
                says.collect::<String>()
            ),
            false => format!("lp-verify, over {over}, accepts what the kernel refuses"),
        })
    }
}

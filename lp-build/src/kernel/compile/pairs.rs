//! Compiles every unit in both trees, all of them side by side.

use super::objects::{Objects, Side};
use super::several;
use super::{Compiled, Failure, Place};
use crate::kernel::changed::Changed;
use crate::kernel::compile;
use crate::kernel::inputs::Inputs;
use crate::kernel::kbuild::commands::CompileCommand;
use crate::kernel::kbuild::make::Make;
use crate::kernel::reach::preprocess;
use crate::kernel::units::{Probe, Unit};
use crate::patch::equal::equal_but_debug;
use crate::progress::Count;
use crate::report::RefusalReport;
use anyhow::{Context, Result, anyhow};
use rayon::prelude::*;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::SystemTime;

/// A unit of both trees.
#[derive(Debug)]
pub struct Pair {
    /// The unit.
    pub unit: Unit,
    /// Compiled from the original.
    pub orig: Compiled,
    /// Compiled from the patched tree.
    pub patched: Compiled,
}

/// Where compiling happens.
#[derive(Debug)]
pub struct Workshop<'a> {
    /// How make is run in the prepared folder.
    pub make: Make<'a>,
    /// For the original's objects.
    pub orig: PathBuf,
    /// For the patched tree's objects.
    pub patched: PathBuf,
    /// Where a copy of the prepared folder may be put.
    pub copy: PathBuf,
    /// Held while the copy is made or make runs in it; whether make ran there for any file.
    pub copying: Mutex<bool>,
    /// Where the header is that a patch may include.
    pub include: PathBuf,
    /// By which path the files of both trees are called, where kbuild does not see to it.
    pub named: Option<PathBuf>,
    /// A program to run the compiler by, such as `ccache`.
    pub launcher: Option<String>,
    /// What was compiled before.
    pub objects: Objects,
    /// The hashes of the header names of both trees.
    pub names: (String, String),
    /// Whether to compile also what the preprocessor says cannot change.
    pub every_includer: bool,
    /// How far it is.
    pub count: Count,
}

impl Workshop<'_> {
    fn place<'a>(&'a self, tree: &'a Path, products: &'a Path) -> Place<'a> {
        Place {
            tree,
            build: self.make.build,
            products,
            include: &self.include,
            launcher: self.launcher.as_deref(),
            named: self.named.as_deref(),
        }
    }
}

/// Compiles all units; of those that a header reaches only what differs is kept.
pub fn compile(
    units: &[Unit],
    inputs: &Inputs,
    changed: &Changed,
    shop: &Workshop<'_>,
) -> Result<Vec<Pair>> {
    let pairs = |units: &[Unit]| -> Result<Vec<Pair>> {
        let Some(unit) = units.first() else {
            return Ok(Vec::new());
        };
        tracing::debug!("compiling {}", unit.command.target);
        let recipe = Recipe {
            orig: &unit.command,
            patched: unit.patched.as_ref().unwrap_or(&unit.command),
            added: unit.added,
            // What the Makefiles changed as well counts whatever the header does.
            reached: unit.through.is_some() && unit.patched.is_none(),
        };
        let both = both(recipe, inputs, changed, shop);
        shop.count.one_more();
        let pair = |unit: &Unit, (orig, patched): &(Compiled, Compiled)| Pair {
            unit: unit.clone(),
            orig: orig.clone(),
            patched: patched.clone(),
        };
        let both = both?;
        let pairs = units.iter().zip(both.iter().cycle());
        Ok(pairs.map(|(unit, both)| pair(unit, both)).collect())
    };
    let commands: Vec<&[Unit]> = by_command(units).collect();
    let pairs = several::each(&commands, |units| pairs(units))?;
    Ok(pairs.into_iter().flatten().collect())
}

/// The units of each object file: one that is linked into several modules is compiled once.
pub fn by_command(units: &[Unit]) -> impl Iterator<Item = &[Unit]> {
    units.chunk_by(|a, b| a.command.target == b.command.target)
}

/// Compiles what cannot be patched; a refusal for each that differs.
pub fn probe(
    probes: &[Probe],
    inputs: &Inputs,
    changed: &Changed,
    shop: &Workshop<'_>,
) -> Vec<RefusalReport> {
    let differing = |probe: &Probe| {
        let recipe = Recipe {
            orig: &probe.command,
            patched: &probe.command,
            added: false,
            reached: true,
        };
        let both = both(recipe, inputs, changed, shop);
        shop.count.one_more();
        let how = match both {
            Ok(None) => return None,
            Ok(Some(_)) => "changes through".to_owned(),
            Err(error) => {
                format!("could not be compiled ({error:#}) to see whether it changes through")
            }
        };
        Some(RefusalReport {
            code: probe.code.to_owned(),
            place: probe.command.source.clone(),
            message: format!("it {how} {}: {}", probe.through, probe.why),
            source: None,
        })
    };
    probes.par_iter().filter_map(differing).collect()
}

/// How a file is compiled in both trees.
#[derive(Clone, Copy)]
struct Recipe<'a> {
    orig: &'a CompileCommand,
    patched: &'a CompileCommand,
    /// The original has no such object.
    added: bool,
    /// It is here for a header alone.
    reached: bool,
}

/// Compiles a file in both trees; none if a header reaches it and changes nothing in it.
fn both(
    recipe: Recipe<'_>,
    inputs: &Inputs,
    changed: &Changed,
    shop: &Workshop<'_>,
) -> Result<Option<(Compiled, Compiled)>> {
    let orig = || {
        let side = Side {
            tree: inputs.root(),
            names: &shop.names.0,
        };
        match recipe.added {
            true => empty(recipe.orig, side, shop),
            false => one(recipe.orig, side, &shop.orig, shop),
        }
    };
    let patched = || -> Result<Compiled> {
        let side = Side {
            tree: &changed.patched,
            names: &shop.names.1,
        };
        let patched = one(recipe.patched, side, &shop.patched, shop);
        let patched = patched.context("the original compiles, the patched file does not: does it need another file of the fix?")?;
        compile::check_read(
            &patched.read,
            inputs.root(),
            &changed.patched,
            &changed.touched,
        )?;
        Ok(patched)
    };
    if !recipe.reached {
        let (orig, patched) = rayon::join(orig, patched);
        return Ok(Some((orig?, patched?)));
    }
    if !can_change(recipe, inputs, changed, shop)? {
        return Ok(None);
    }
    let orig = orig()?;
    // A header that only the patched tree has may be found before one that both have.
    if !changed.adds_header() && !changed.reads(&orig.read, inputs.root()) {
        return Ok(None);
    }
    let patched = patched()?;
    let same = equal_but_debug(&orig.object, &patched.object);
    Ok((!same).then_some((orig, patched)))
}

/// Whether the preprocessor sees a change that can reach the code. What it cannot preprocess is for the compiler, which says
/// better what is missing.
fn can_change(
    recipe: Recipe<'_>,
    inputs: &Inputs,
    changed: &Changed,
    shop: &Workshop<'_>,
) -> Result<bool> {
    let side = Side {
        tree: inputs.root(),
        names: &shop.names.0,
    };
    // A header that only the patched tree has may be found before one that both have.
    let sees =
        |read: &BTreeSet<PathBuf>| changed.adds_header() || changed.reads(read, inputs.root());
    let known = shop.objects.reads(recipe.orig, side);
    if known.is_some_and(|read| !sees(&read)) {
        return Ok(false);
    }
    let start = SystemTime::now();
    let Some(ours) = preprocess::run(recipe.orig, shop.place(inputs.root(), &shop.orig)) else {
        return Ok(true);
    };
    if !sees(&ours.read) {
        let own = &shop.include;
        shop.objects
            .put_reads(recipe.orig, side, own, &ours.read, start);
        return Ok(false);
    }
    let place = shop.place(&changed.patched, &shop.patched);
    let Some(theirs) = preprocess::run(recipe.patched, place) else {
        return Ok(true);
    };
    compile::check_read(
        &theirs.read,
        inputs.root(),
        &changed.patched,
        &changed.touched,
    )?;
    Ok(shop.every_includer || !ours.compiles_as(&theirs))
}

/// The object of a file that the original does not have: that of an empty one, by the same compiler and flags.
fn empty(command: &CompileCommand, side: Side<'_>, shop: &Workshop<'_>) -> Result<Compiled> {
    let path = shop.orig.join("empty.c");
    std::fs::write(&path, "").with_context(|| format!("cannot write {}", path.display()))?;
    let path = path.to_str().context("the cache's path is not UTF-8")?;
    let place = shop.place(side.tree, &shop.orig);
    match compile::compile(&command.with_source(path), place) {
        Ok(compiled) => Ok(compiled),
        Err(Failure::Other(error)) => Err(error),
        Err(Failure::Generated(said)) => Err(anyhow!("an empty file does not compile:\n{said}")),
    }
}

/// Finds or makes the object of one tree.
fn one(
    command: &CompileCommand,
    side: Side<'_>,
    products: &Path,
    shop: &Workshop<'_>,
) -> Result<Compiled> {
    if let Some(kept) = shop.objects.get(command, side) {
        return Ok(kept);
    }
    let place = shop.place(side.tree, products);
    let start = SystemTime::now();
    let said = match compile::compile(command, place) {
        Ok(compiled) => {
            shop.objects
                .put(command, side, &shop.include, &compiled, start);
            return Ok(compiled);
        }
        Err(Failure::Other(error)) => return Err(error),
        Err(Failure::Generated(said)) => said,
    };
    let busy = |_| anyhow!("another file's compiling stopped");
    // What another file needed is often all that this one lacks, and takes no make.
    let is_made = *shop.copying.lock().map_err(busy)?;
    let place = Place {
        build: &shop.copy,
        ..place
    };
    // What make generated here has no part in the build folder's key, so the object is not kept.
    if is_made && let Ok(compiled) = compile::compile(command, place) {
        return Ok(compiled);
    }
    {
        let mut one_at_a_time = shop.copying.lock().map_err(busy)?;
        // An include that does not exist looks like one that is not generated yet: the first message is the better one.
        let made = compile::generate(command, shop.make, &shop.copy);
        made.map_err(|error| {
            error.context(format!("{} does not compile:\n{said}", command.source))
        })?;
        *one_at_a_time = true;
    }
    match compile::compile(command, place) {
        Ok(compiled) => Ok(compiled),
        Err(Failure::Other(error)) => Err(error),
        Err(Failure::Generated(said)) => Err(anyhow!(
            "{} of the tree {} does not compile:\n{said}",
            command.source,
            side.tree.display()
        )),
    }
}

//! Compiles every unit in both trees, all of them side by side.

use super::changed::Changed;
use super::commands::CompileCommand;
use super::compile::{self, Compiled, Failure, Place};
use super::equal::equal_but_debug;
use super::inputs::Inputs;
use super::make::Make;
use super::objects::{Objects, Side};
use super::units::{Probe, Unit};
use crate::progress::Count;
use crate::report::RefusalReport;
use anyhow::{Context, Result, anyhow};
use rayon::prelude::*;
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
    /// Held while the copy is made or make runs in it.
    pub copying: Mutex<()>,
    /// Where the header is that a patch may include.
    pub include: PathBuf,
    /// A program to run the compiler by, such as `ccache`.
    pub launcher: Option<String>,
    /// What was compiled before.
    pub objects: Objects,
    /// The hashes of the header names of both trees.
    pub names: (String, String),
    /// How far it is.
    pub count: Count,
}

/// Compiles all units; of those that a header reaches only what differs is kept.
pub fn compile(
    units: &[Unit],
    inputs: &Inputs,
    changed: &Changed,
    shop: &Workshop<'_>,
) -> Result<Vec<Pair>> {
    let pair = |unit: &Unit| {
        tracing::debug!("compiling {} of {}", unit.source, unit.object);
        let both = both(&unit.command, unit.through.is_some(), inputs, changed, shop);
        shop.count.one_more();
        Ok(both?.map(|(orig, patched)| Pair {
            unit: unit.clone(),
            orig,
            patched,
        }))
    };
    let pairs: Vec<Option<Pair>> = units.par_iter().map(pair).collect::<Result<_>>()?;
    Ok(pairs.into_iter().flatten().collect())
}

/// Compiles what cannot be patched; a refusal for each that differs.
pub fn probe(
    probes: &[Probe],
    inputs: &Inputs,
    changed: &Changed,
    shop: &Workshop<'_>,
) -> Vec<RefusalReport> {
    let differing = |probe: &Probe| {
        let both = both(&probe.command, true, inputs, changed, shop);
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

/// Compiles a file in both trees; none if a header reaches it and changes nothing in it.
fn both(
    command: &CompileCommand,
    reached: bool,
    inputs: &Inputs,
    changed: &Changed,
    shop: &Workshop<'_>,
) -> Result<Option<(Compiled, Compiled)>> {
    let orig = || {
        let side = Side {
            tree: &inputs.orig.root,
            names: &shop.names.0,
        };
        one(command, side, &shop.orig, shop)
    };
    let patched = || -> Result<Compiled> {
        let side = Side {
            tree: &changed.patched,
            names: &shop.names.1,
        };
        let patched = one(command, side, &shop.patched, shop);
        let patched = patched.context("the original compiles, the patched file does not: does it need another file of the fix?")?;
        compile::check_read(
            &patched,
            &inputs.orig.root,
            &changed.patched,
            &changed.touched,
        )?;
        Ok(patched)
    };
    if !reached {
        let (orig, patched) = rayon::join(orig, patched);
        return Ok(Some((orig?, patched?)));
    }
    let orig = orig()?;
    // A header that only the patched tree has may be found before one that both have.
    if !changed.adds_header() && !changed.reads(&orig.read, &inputs.orig.root) {
        return Ok(None);
    }
    let patched = patched()?;
    let same = equal_but_debug(&orig.object, &patched.object);
    Ok((!same).then_some((orig, patched)))
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
    let place = Place {
        tree: side.tree,
        build: shop.make.build,
        products,
        include: &shop.include,
        launcher: shop.launcher.as_deref(),
    };
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
    {
        let _one_at_a_time = shop
            .copying
            .lock()
            .map_err(|_| anyhow!("another file's compiling stopped"))?;
        // An include that does not exist looks like one that is not generated yet: the first message is the better one.
        let made = compile::generate(command, shop.make, &shop.copy);
        made.map_err(|error| {
            error.context(format!("{} does not compile:\n{said}", command.source))
        })?;
    }
    // What make generated here has no part in the build folder's key, so the object is not kept.
    let place = Place {
        build: &shop.copy,
        ..place
    };
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

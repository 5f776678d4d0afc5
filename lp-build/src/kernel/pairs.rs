//! Compiles every unit in both trees, all of them side by side.

use super::changed::Changed;
use super::compile::{self, Compiled, Failure, Place};
use super::inputs::Inputs;
use super::make::Make;
use super::units::Unit;
use anyhow::{Context, Result, anyhow};
use rayon::prelude::*;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

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
}

/// Compiles all units.
pub fn compile(
    units: &[Unit],
    inputs: &Inputs,
    changed: &Changed,
    shop: &Workshop<'_>,
) -> Result<Vec<Pair>> {
    let pair = |unit: &Unit| {
        tracing::debug!("compiling {} of {}", unit.source, unit.object);
        let (orig, patched) = rayon::join(
            || one(unit, &inputs.orig.root, &shop.orig, shop),
            || one(unit, &changed.patched, &shop.patched, shop),
        );
        let orig = orig?;
        let patched = patched.context("the original compiles, the patched file does not: does it need another file of the fix?")?;
        compile::check_read(
            &patched,
            &inputs.orig.root,
            &changed.patched,
            &changed.touched,
        )?;
        Ok(Pair {
            unit: unit.clone(),
            orig,
            patched,
        })
    };
    units.par_iter().map(pair).collect()
}

fn one(unit: &Unit, tree: &Path, products: &Path, shop: &Workshop<'_>) -> Result<Compiled> {
    let said = match compile::compile(
        &unit.command,
        Place {
            tree,
            build: shop.make.build,
            products,
            include: &shop.include,
        },
    ) {
        Ok(compiled) => return Ok(compiled),
        Err(Failure::Other(error)) => return Err(error),
        Err(Failure::Generated(said)) => said,
    };
    {
        let _one_at_a_time = shop
            .copying
            .lock()
            .map_err(|_| anyhow!("another file's compiling stopped"))?;
        // An include that does not exist looks like one that is not generated yet: the first message is the better one.
        let made = compile::generate(&unit.command, shop.make, &shop.copy);
        made.map_err(|error| error.context(format!("{} does not compile:\n{said}", unit.source)))?;
    }
    match compile::compile(
        &unit.command,
        Place {
            tree,
            build: &shop.copy,
            products,
            include: &shop.include,
        },
    ) {
        Ok(compiled) => Ok(compiled),
        Err(Failure::Other(error)) => Err(error),
        Err(Failure::Generated(said)) => Err(anyhow!(
            "{} of the tree {} does not compile:\n{said}",
            unit.source,
            tree.display()
        )),
    }
}

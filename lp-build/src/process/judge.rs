//! Judges one object: is the original the code that runs, and what of it changed?

use super::binary::Running;
use super::pairs::Pair;
use crate::fidelity;
use crate::patch::judged::Judged;
use crate::patch::unproven::{Halves, overridden, unproven};
use anyhow::{Context, Result};
use lp_diff::{Config, EntrySizes, Exports};
use std::collections::BTreeSet;

/// Judges a pair; of one of several binaries, its own symbols are named after that, too.
pub(super) fn judge(
    pair: &Pair,
    running: &Running,
    allowed: &BTreeSet<String>,
    several: bool,
) -> Result<Judged> {
    let binary = &running.binary;
    let source = &pair.source;
    let fidelity = fidelity::check(&pair.orig, source, &running.target)
        .with_context(|| format!("{source}: comparing it with {}", binary.path.display()))?;
    let config = Config {
        object: binary.object.clone(),
        flavour: binary.flavour.clone(),
        entry_sizes: EntrySizes::default(),
        unit: match several {
            true => format!("{}.{}", binary.object, stem(&pair.output)),
            false => stem(&pair.output),
        },
        places: fidelity.places.clone(),
        overridden: overridden(&pair.orig, &fidelity),
        allow_layout_change: allowed.clone(),
    };
    let exports = Exports::default();
    let outcome = lp_diff::diff(
        &pair.orig,
        &pair.patched,
        &running.symbols,
        &exports,
        &config,
    )
    .with_context(|| format!("comparing {source}"))?;
    let halves = Halves {
        source,
        object: &binary.object,
        orig: &pair.orig,
        patched: &pair.patched,
        target: &running.target,
        noun: "program",
    };
    let unproven = unproven(&halves, &fidelity, &outcome.report);
    Ok(Judged {
        source: source.clone(),
        object: binary.object.clone(),
        fidelity,
        report: outcome.report,
        diff: outcome.object,
        shown: None,
        unproven,
        sealed: Vec::new(),
    })
}

/// A name for the object's own symbols: `src/server.o` is `src.server`.
fn stem(output: &str) -> String {
    let stem = output.rsplit_once('.').map_or(output, |(stem, _)| stem);
    let legal = |c: char| c.is_ascii_alphanumeric() || c == '_';
    stem.chars()
        .map(|c| {
            if legal(c) {
                c
            } else if c == '/' {
                '.'
            } else {
                '_'
            }
        })
        .collect()
}

//! What a patch says of itself, for whoever loads, lists or checks it.

use super::judged::Judged;
use crate::options::Identity;
use anyhow::{Result, ensure};
use lp_klp::manifest::{self, KeptState, Manifest, Object, ShadowId, Target};
use std::collections::{BTreeMap, BTreeSet};

/// The manifest, if it describes a patch that can be.
///
/// # Errors
/// Where the livepatch core would not take it, and why.
pub fn manifest(
    identity: &Identity,
    target: Target,
    objects: Vec<Object>,
    kept_states: Vec<KeptState>,
    judged: &[Judged],
) -> Result<Manifest> {
    let manifest = Manifest {
        format: manifest::FORMAT,
        tool: concat!("lp-build ", env!("CARGO_PKG_VERSION")).to_owned(),
        name: identity.name.to_string(),
        version: identity.version.clone(),
        description: identity.description.clone(),
        target,
        replace: identity.replace,
        states: identity.states.clone(),
        kept_states,
        objects,
        shadow_ids: named_shadows(&identity.shadows, shadow_ids(judged)),
    };
    let defects = manifest.patch().defects();
    let defects: Vec<String> = defects.iter().map(ToString::to_string).collect();
    ensure!(
        defects.is_empty(),
        "this patch could not be loaded: {}",
        defects.join("; ")
    );
    Ok(manifest)
}

/// The shadow variables that the sources declare or the author describes; the description gives the names.
fn named_shadows(described: &[ShadowId], declared: Vec<u64>) -> Vec<ShadowId> {
    let mut names: BTreeMap<u64, String> =
        declared.into_iter().map(|id| (id, String::new())).collect();
    names.extend(
        described
            .iter()
            .map(|shadow| (shadow.id, shadow.name.clone())),
    );
    names
        .into_iter()
        .map(|(id, name)| ShadowId { id, name })
        .collect()
}

/// Of all units; an id that several files declare is one variable.
pub fn shadow_ids(judged: &[Judged]) -> Vec<u64> {
    let ids: BTreeSet<u64> = judged
        .iter()
        .flat_map(|unit| unit.report.shadow_ids.iter().copied())
        .collect();
    ids.into_iter().collect()
}

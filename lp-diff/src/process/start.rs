//! The functions that run as an object is loaded or unloaded: constructors and destructors.
//!
//! The running program, or kernel (`do_ctors`, init/main.c), has gone through these lists already, or through what they
//! were when it was mapped. A list that differs cannot be patched, nor can a constructor. The tempting wrong way is to
//! compare bytes: they are all relocations.

use crate::bundle::BundleId;
use crate::correlate::Twins;
use crate::process::Flavour;
use crate::reference::{Target, View};
use crate::refusal::{Refusal, RefusalCode};
use std::collections::{BTreeMap, BTreeSet};

/// The lists by section, each entry as the patched object's bundle if it has a twin.
type Lists = BTreeMap<String, Vec<Entry>>;

#[derive(Debug, Clone, PartialEq, Eq)]
enum Entry {
    Known(BundleId),
    Other(String),
}

/// Whether the functions of a section run as the object is loaded.
fn is_at_load(section: &str) -> bool {
    [".init_array", ".preinit_array", ".ctors"]
        .iter()
        .any(|list| is_named(section, list))
}

fn is_list(section: &str) -> bool {
    is_at_load(section)
        || [".fini_array", ".dtors"]
            .iter()
            .any(|list| is_named(section, list))
}

/// The list, or one of its parts by priority.
fn is_named(section: &str, list: &str) -> bool {
    let rest = section.strip_prefix(list);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// Whether a function is there for what the compiler adds to all code of a kernel (coverage, sanitizers): it says what
/// there is, for each version anew.
fn is_of_compiler(function: &str, flavour: &Flavour) -> bool {
    const NAMES: [&str; 3] = ["_sub_I_", "_GLOBAL__sub_I_", "_GLOBAL__sub_D_"];
    let is_named = NAMES.iter().any(|name| function.starts_with(name));
    !flavour.is_process() && (is_named || function.ends_with("san.module_ctor"))
}

/// The patched object's constructors.
pub(crate) fn constructors(view: &View<'_>, flavour: &Flavour) -> BTreeSet<BundleId> {
    let sections = view.object.sections();
    let lists = sections.filter(|(_, section)| is_at_load(section.name()));
    let refs = lists.flat_map(|(id, section)| view.refs_in(id, 0, section.size));
    refs.filter_map(|reference| match reference.target {
        Target::Bundle { id, .. } => Some(id),
        _ => None,
    })
    .filter(|id| !is_of_compiler(view.name(*id), flavour))
    .collect()
}

/// Refuses lists that are not what they were.
pub(crate) fn refusals(
    orig: &View<'_>,
    patched: &View<'_>,
    (twins, flavour): (&Twins, &Flavour),
) -> Vec<Refusal> {
    let patched_of: BTreeMap<BundleId, BundleId> = patched
        .bundles
        .iter()
        .filter_map(|(id, _)| Some((twins.orig(id)?, id)))
        .collect();
    let before = lists((orig, flavour), |id| patched_of.get(&id).copied());
    let after = lists((patched, flavour), |id| twins.orig(id).map(|_| id));
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let differs = |name: &&&String| before.get(**name) != after.get(**name);
    let refuse = |name: &&String| {
        Refusal::new(
            RefusalCode::ChangedSection,
            name.as_str(),
            format!(
                "what runs as it starts or ends (constructors, destructors) is another list, but the running {} has read it already: do it in a callback",
                flavour.noun()
            ),
        )
    };
    names.iter().filter(differs).map(refuse).collect()
}

fn lists(
    (view, flavour): (&View<'_>, &Flavour),
    known: impl Fn(BundleId) -> Option<BundleId>,
) -> Lists {
    let mut lists = Lists::new();
    for (id, section) in view.object.sections() {
        if !is_list(section.name()) {
            continue;
        }
        let list = lists.entry(section.name().to_owned()).or_default();
        let of_compiler = |target: &Target| match target {
            Target::Bundle { id, .. } => is_of_compiler(view.name(*id), flavour),
            _ => false,
        };
        let refs = view.refs_in(id, 0, section.size);
        for reference in refs.filter(|reference| !of_compiler(&reference.target)) {
            list.push(match reference.target {
                Target::Bundle { id, offset } => match known(id) {
                    Some(id) => Entry::Known(id),
                    None => Entry::Other(format!("{}+{offset:#x}", view.name(id))),
                },
                Target::Symbol { id, .. } => Entry::Other(view.object.symbol(id).name().to_owned()),
                Target::Section { id, offset } => {
                    Entry::Other(format!("{}+{offset:#x}", view.object.section(id).name()))
                }
            });
        }
    }
    // A section per list and priority; the order of equal ones is the linker's.
    lists
}

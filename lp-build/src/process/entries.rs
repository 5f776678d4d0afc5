//! Whether a jump can be written where each function of the patch begins.
//!
//! The loader asks the same of the process, by the same rule ([`lp_klp::entry`]). The tempting wrong
//! way is to leave it all to the loader: the patch would be refused on the day that it is needed.

use super::binary::Running;
use super::pairs::Pair;
use crate::patch::judged::Judged;
use crate::report::RefusalReport;
use lp_klp::name::ObjName;
use lp_klp::{entry, manifest};
use object::{Object, ObjectSymbol, SymbolKind};
use std::collections::{BTreeMap, BTreeSet};

/// A function that changed.
pub(super) struct Changed {
    /// The binary's.
    object: ObjName,
    /// Its symbol.
    name: String,
    /// Its source.
    source: String,
    /// Other symbols that its object has for it. Who calls it by one of them means it.
    aliases: BTreeSet<String>,
}

/// The functions that changed.
pub(super) fn changed(pairs: &[Pair], judged: &[Judged]) -> Vec<Changed> {
    let units = pairs.iter().zip(judged);
    let of_unit = |(pair, unit): (&Pair, &Judged)| {
        let aliases = aliases(&pair.orig);
        let one = |function: &lp_diff::report::Function| Changed {
            object: unit.object.clone(),
            name: function.name.clone(),
            source: unit.source.clone(),
            aliases: aliases.get(&function.name).cloned().unwrap_or_default(),
        };
        unit.changed().map(one).collect::<Vec<_>>()
    };
    units.flat_map(of_unit).collect()
}

/// For each symbol of an object those that are at its place.
fn aliases(object: &[u8]) -> BTreeMap<String, BTreeSet<String>> {
    let Ok(file) = object::File::parse(object) else {
        return BTreeMap::new();
    };
    let mut at_place: BTreeMap<(usize, u64), BTreeSet<String>> = BTreeMap::new();
    for symbol in file
        .symbols()
        .filter(|symbol| symbol.kind() == SymbolKind::Text)
    {
        if let (Some(section), Ok(name)) = (symbol.section_index(), symbol.name()) {
            let names = at_place.entry((section.0, symbol.address())).or_default();
            names.insert(name.to_owned());
            // The running binary's symbols are read without what `.symver` put behind them.
            names.extend(name.split_once('@').map(|(name, _)| name.to_owned()));
        }
    }
    let named = at_place.into_values();
    named
        .flat_map(|names| {
            names
                .clone()
                .into_iter()
                .map(move |name| (name, names.clone()))
        })
        .collect()
}

/// The reasons why a loader could not redirect functions of the patch.
pub(super) fn check(
    objects: &[manifest::Object],
    running: &[Running],
    changed: &[Changed],
) -> Vec<RefusalReport> {
    let mut refusals = Vec::new();
    for object in objects {
        let its = running.iter().filter(|it| it.binary.object == object.name);
        let changed = changed.iter().filter(|one| one.object == object.name);
        let changed: Vec<&Changed> = changed.collect();
        refusals.extend(its.flat_map(|running| check_object(object, running, &changed)));
    }
    refusals
}

fn check_object(
    object: &manifest::Object,
    running: &Running,
    changed: &[&Changed],
) -> Vec<RefusalReport> {
    let branches = running.target.branches();
    let refusal = |function: &manifest::Function| {
        let name = &function.name;
        // Without code to compare it with the manifest has no hash, which the loader refuses.
        let code = running.code_of(name, function.sympos.0);
        let known = code.filter(|code| !code.is_empty());
        let Some(code) = known else {
            let message = format!(
                "its symbol in {} has no size, so it cannot be told what is to be replaced",
                running.binary.path.display()
            );
            return Some(report("entry", name, message, changed));
        };
        match entry::site(&running.target, &branches, &code, name) {
            Err(reason) => {
                let message = format!("it cannot be replaced: {reason}");
                Some(report("entry", name, message, changed))
            }
            Ok(site) => folded(name, &site.aliases, changed),
        }
    };
    object.functions.iter().filter_map(refusal).collect()
}

/// Functions that have nothing in common but their code, which the linker has kept once (`--icf`).
fn folded(name: &str, aliases: &[String], changed: &[&Changed]) -> Option<RefusalReport> {
    let own = changed.iter().find(|one| one.name == *name);
    let is_own = |other: &String| own.is_some_and(|own| own.aliases.contains(other));
    let others: Vec<&str> = aliases
        .iter()
        .filter(|other| !is_own(other))
        .map(String::as_str)
        .collect();
    let message = format!(
        "the linker has kept one copy of its code for {} too (--icf), which would be replaced with it: make the change in its \
         callers instead",
        others.join(", ")
    );
    (!others.is_empty()).then(|| report("folded", name, message, changed))
}

fn report(code: &str, function: &str, message: String, changed: &[&Changed]) -> RefusalReport {
    RefusalReport {
        code: code.to_owned(),
        place: place(function, changed),
        message,
        source: None,
    }
}

fn place(function: &str, changed: &[&Changed]) -> String {
    let found = changed.iter().find(|one| one.name == function);
    found.map_or_else(
        || function.to_owned(),
        |one| format!("{}: {function}", one.source),
    )
}

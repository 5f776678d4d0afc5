//! The whole of a diff: runs the phases one after the other and gathers the report.

use crate::arch::{self, Arch};
use crate::author::{Author, StateOps};
use crate::both::both;
use crate::bundle::{BundleId, Kind};
use crate::compare::{Comparer, Comparison, Status as BundleStatus, ignored};
use crate::correlate::Twins;
use crate::dwarf::LazyDebugInfo;
use crate::emit::{Emitted, Source, emit};
use crate::entry_size::EntrySizes;
use crate::explain::{Explanations, place, why};
use crate::exports::Exports;
use crate::include::{Cause, Selection};
use crate::modinfo;
use crate::object::{Object, ObjectFile, ParseError};
use crate::process::{Flavour, start};
use crate::reference::View;
use crate::reloc::{Places, Resolver};
use crate::report::{Callback, Datum, Function, Report, StateCode, Status, Verdict};
use crate::show::{Gathering, SideBySide, Wanted, gather};
use crate::special::Entries;
use crate::special::size::Sizes;
use crate::symbols::SymbolTable;
use lp_klp::name::ObjName;
use std::collections::{BTreeMap, BTreeSet};
use thiserror::Error;

/// How to diff.
#[derive(Debug, Clone)]
pub struct Config {
    /// The kernel image, module, program or library that the objects belong to.
    pub object: ObjName,
    /// Which of these kinds it is.
    pub flavour: Flavour,
    /// Sizes of the entries of special sections.
    pub entry_sizes: EntrySizes,
    /// What makes the aliases of this object's functions unique in a patch of several objects: its path with dots.
    pub unit: String,
    /// Where the original's local symbols were found in the target, as far as that is proven.
    pub places: Places,
    /// Weak functions of the original, by ELF symbol index, that the target does not use: another file defines them
    /// there. Whatever changes in them changes nothing.
    pub overridden: BTreeSet<usize>,
    /// Types whose layout may differ, by their names without `struct` or `union`.
    pub allow_layout_change: BTreeSet<String>,
}

/// Why two files cannot be diffed at all.
#[derive(Debug, Error)]
pub enum DiffError {
    /// The original cannot be read.
    #[error("original object: {0}")]
    Orig(#[source] ParseError),
    /// The patched object cannot be read.
    #[error("patched object: {0}")]
    Patched(#[source] ParseError),
    /// They are for different machines.
    #[error(
        "the objects are for different machines (e_machine {0} and {1}): compile both with the same compiler and options"
    )]
    Machines(u16, u16),
    /// An architecture without knowledge here.
    #[error("objects for e_machine {0} are not supported: x86-64 (62) is")]
    Unsupported(u16),
}

/// What came of it.
#[derive(Debug)]
pub struct Outcome {
    /// For people and machines.
    pub report: Report,
    /// The object with the changed functions, if the verdict is that it could be written.
    pub object: Option<Vec<u8>>,
}

/// Diffs two relocatable objects.
///
/// # Errors
/// Where the bytes are no objects of one supported machine. What cannot be patched is no error but a refusal in the
/// report.
pub fn diff(
    orig: &[u8],
    patched: &[u8],
    symbols: &SymbolTable,
    exports: &Exports,
    config: &Config,
) -> Result<Outcome, DiffError> {
    let objects = parse(orig, patched)?;
    run(objects, symbols, exports, config, |_| ()).map(|(outcome, ())| outcome)
}

/// Diffs two relocatable objects and shows both versions of the functions that are wanted.
///
/// # Errors
/// As [`diff`].
pub fn diff_and_show(
    orig: &[u8],
    patched: &[u8],
    symbols: &SymbolTable,
    exports: &Exports,
    config: &Config,
    wanted: &Wanted,
) -> Result<(Outcome, SideBySide), DiffError> {
    let objects = parse(orig, patched)?;
    run(objects, symbols, exports, config, |found| {
        gather(found, wanted)
    })
}

/// As [`diff`] or, where something is wanted, [`diff_and_show`], with files that have let go of what is not needed.
///
/// # Errors
/// Where they are not for one supported machine.
pub fn diff_files(
    (orig, patched): (&ObjectFile, &ObjectFile),
    symbols: &SymbolTable,
    exports: &Exports,
    config: &Config,
    wanted: Option<&Wanted>,
) -> Result<(Outcome, Option<SideBySide>), DiffError> {
    let objects = (
        orig.object().map_err(DiffError::Orig)?,
        patched.object().map_err(DiffError::Patched)?,
    );
    run(objects, symbols, exports, config, |found| {
        wanted.map(|wanted| gather(found, wanted))
    })
}

fn parse<'d>(orig: &'d [u8], patched: &'d [u8]) -> Result<(Object<'d>, Object<'d>), DiffError> {
    let (orig, patched) = both(|| Object::parse(orig), || Object::parse(patched));
    Ok((
        orig.map_err(DiffError::Orig)?,
        patched.map_err(DiffError::Patched)?,
    ))
}

/// Diffs, and lets `look` look at what was found before it is gone.
fn run<T>(
    (orig, patched): (Object<'_>, Object<'_>),
    symbols: &SymbolTable,
    exports: &Exports,
    config: &Config,
    look: impl FnOnce(&Gathering<'_, '_, '_>) -> T,
) -> Result<(Outcome, T), DiffError> {
    if orig.machine != patched.machine {
        return Err(DiffError::Machines(orig.machine, patched.machine));
    }
    let arch = arch::of(patched.machine).ok_or(DiffError::Unsupported(patched.machine))?;
    let (orig, patched) = both(|| View::new(orig, arch), || View::new(patched, arch));
    Ok(diff_views(
        (&orig, &patched),
        arch,
        symbols,
        exports,
        config,
        look,
    ))
}

fn diff_views<T>(
    (orig, patched): (&View<'_>, &View<'_>),
    arch: &dyn Arch,
    symbols: &SymbolTable,
    exports: &Exports,
    config: &Config,
    look: impl FnOnce(&Gathering<'_, '_, '_>) -> T,
) -> (Outcome, T) {
    let mut refusals = Vec::new();
    let (orig_debug, patched_debug) = (
        LazyDebugInfo::new(&orig.object),
        LazyDebugInfo::new(&patched.object),
    );
    let sizes = |debug| Sizes::new(&config.entry_sizes, debug);
    let orig_entries = Entries::read(orig, &sizes(&orig_debug), &mut refusals);
    // The same section cannot be read in both: one refusal is enough.
    let mut again = Vec::new();
    let patched_entries = Entries::read(patched, &sizes(&patched_debug), &mut again);
    let known: BTreeSet<String> = refusals.iter().map(|known| known.place.clone()).collect();
    again.retain(|refusal| !known.contains(&refusal.place));
    refusals.extend(again);

    let mut misdeclared = Vec::new();
    let mut author = Author::read(patched, arch, &mut misdeclared);
    let twins = Twins::correlate(
        (orig, &orig_entries, &orig_debug),
        (patched, &patched_entries, &patched_debug),
        arch,
    );
    let mut before = Vec::new();
    let orig_author = Author::read(orig, arch, &mut before);
    misdeclared.retain(|refusal| !before.contains(refusal));
    refusals.extend(before);
    refusals.extend(author.take_known((patched, &twins), &orig_author));
    let comparer = Comparer::new(
        (orig, &orig_entries, &orig_debug),
        (patched, &patched_entries, &patched_debug),
        &twins,
        (arch, &config.flavour),
    );
    let comparison = comparer.compare(&author.ignores);
    let resolver = Resolver::new(
        (orig, patched, &twins),
        symbols,
        exports,
        (&config.object, &config.places),
        &config.flavour,
    );
    let mut selection = Selection::select(
        &comparer,
        &comparison,
        &resolver,
        (&config.overridden, &author),
    );

    selection.refusals.extend(misdeclared);
    let lists = start::refusals(orig, patched, (&twins, &config.flavour));
    selection.refusals.extend(lists);
    let changed = changed_functions(&comparer, &comparison, &selection);
    let unchanged = selection.bundles.is_empty() && selection.refusals.is_empty();
    let explanations = Explanations::find(
        &comparer,
        &comparison,
        &selection,
        &config.allow_layout_change,
    );
    if !unchanged {
        selection.refusals.splice(0..0, refusals);
        selection.refusals.extend(explanations.refusals());
    }
    let mut sympos = BTreeMap::new();
    for id in &changed {
        match resolve_function(&comparer, &resolver, symbols, *id) {
            Ok(found) => drop(sympos.insert(*id, found)),
            Err(refusal) => selection.refusals.push(refusal),
        }
    }
    let mut roots = author.roots();
    roots.retain(|id| selection.bundles.contains_key(id));
    let roots = aliases(patched, &roots, &config.unit);
    let aliases = aliases(patched, &changed, &config.unit);
    selection.notes.extend(ignored::notes(
        &comparer,
        &comparison,
        (&author.ignores, &selection.left_alone),
    ));
    selection.notes.extend(reencoded(&comparer, &comparison));
    let source = Source {
        view: patched,
        selection: &selection,
        comparison: &comparison,
        resolver: &resolver,
        arch,
        flavour: &config.flavour,
        aliases: &aliases,
        roots: &roots,
    };
    let mut emitted = Emitted::default();
    let mut more = Vec::new();
    if !unchanged {
        match emit(&source) {
            Ok(written) => emitted = written,
            Err(unresolved) => more = unresolved,
        }
    }
    let gathered = Gathered {
        comparer: &comparer,
        comparison: &comparison,
        selection: &selection,
        sympos: &sympos,
        aliases: &aliases,
        author: &author,
        roots: &roots,
        emitted: &emitted,
        explanations: &explanations,
    };
    let mut report = gathered.report(more);
    let functions: Vec<BundleId> = gathered.function_ids().collect();
    let whys = why::explain(&Gathering {
        comparer: &comparer,
        comparison: &comparison,
        functions: &functions,
        report: &report,
    });
    why::tell(whys, &mut report.functions, |at| {
        match &selection.bundles[&functions[at]] {
            Cause::Said(_) => None,
            Cause::Changed(reason) => Some(why::found_first(&comparer, functions[at], reason)),
        }
    });
    let looked = look(&Gathering {
        comparer: &comparer,
        comparison: &comparison,
        functions: &functions,
        report: &report,
    });
    let object = (report.verdict == Verdict::Written).then_some(emitted.bytes);
    (Outcome { report, object }, looked)
}

/// The functions that the patch redirects: changed ones that are no part of another.
fn changed_functions(
    comparer: &Comparer<'_, '_>,
    comparison: &Comparison,
    selection: &Selection,
) -> Vec<BundleId> {
    let is_changed = |id: &BundleId| {
        let bundle = comparer.patched.bundles.get(*id);
        bundle.kind == Kind::Function
            && bundle.parent.is_none()
            && matches!(comparison.status(*id), BundleStatus::Changed(_))
    };
    selection
        .bundles
        .keys()
        .copied()
        .filter(is_changed)
        .collect()
}

/// What is written down in another way and means the same.
fn reencoded(comparer: &Comparer<'_, '_>, comparison: &Comparison) -> Vec<String> {
    let bundles = comparer.patched.bundles.iter();
    let same = bundles.filter(|(id, _)| comparer.is_reencoded(*id, comparison));
    same.map(|(id, _)| {
        format!(
            "{}: the same but for padding and the size of jumps, so it is not patched",
            comparer.patched.name(id)
        )
    })
    .collect()
}

/// The name and position that the target knows a changed function by, and its symbol in the original.
fn resolve_function(
    comparer: &Comparer<'_, '_>,
    resolver: &Resolver<'_, '_>,
    symbols: &SymbolTable,
    id: BundleId,
) -> Result<(String, u32, usize), crate::Refusal> {
    let owner = comparer
        .twins
        .orig(id)
        .and_then(|twin| comparer.orig.bundles.get(twin).owner);
    let owner = owner.ok_or_else(|| {
        crate::Refusal::new(
            crate::RefusalCode::Unresolved,
            comparer.patched.name(id),
            "the original function has no symbol",
        )
    })?;
    let found = resolver.target_symbol(owner)?;
    Ok((
        found.name.to_owned(),
        symbols.sympos(&found),
        owner.0 as usize,
    ))
}

fn aliases(view: &View<'_>, changed: &[BundleId], unit: &str) -> BTreeMap<BundleId, String> {
    let symbolic = |text: &str| -> String {
        text.chars()
            .map(|c| {
                if c.is_ascii_alphanumeric() || c == '.' {
                    c
                } else {
                    '_'
                }
            })
            .collect()
    };
    changed
        .iter()
        .map(|id| {
            (
                *id,
                format!("__lp_new.{}.{}", symbolic(unit), symbolic(view.name(*id))),
            )
        })
        .collect()
}

struct Gathered<'g, 'v, 'd> {
    comparer: &'g Comparer<'v, 'd>,
    comparison: &'g Comparison,
    selection: &'g Selection,
    sympos: &'g BTreeMap<BundleId, (String, u32, usize)>,
    aliases: &'g BTreeMap<BundleId, String>,
    author: &'g Author,
    roots: &'g BTreeMap<BundleId, String>,
    emitted: &'g Emitted,
    explanations: &'g Explanations,
}

impl Gathered<'_, '_, '_> {
    fn report(&self, unresolved: Vec<crate::Refusal>) -> Report {
        let functions = self.functions();
        let mut refusals = self.selection.refusals.clone();
        refusals.extend(unresolved);
        let mut seen = BTreeSet::new();
        refusals.retain(|refusal| seen.insert(refusal.clone()));
        place::fill(self.comparer, self.selection, &mut refusals);
        let verdict = match (refusals.is_empty(), self.selection.bundles.is_empty()) {
            (false, _) => Verdict::Refused,
            (true, true) => Verdict::Same,
            (true, false) => Verdict::Written,
        };
        Report {
            verdict,
            functions,
            data: self.data(),
            callbacks: self.callbacks(),
            states: self.states(),
            shadow_ids: self.author.shadow_ids.iter().copied().collect(),
            touched: self.touched(),
            notes: [&self.selection.notes[..], &self.explanations.notes].concat(),
            layout: self.explanations.layout.clone(),
            refusals,
            warnings: self.explanations.warnings.clone(),
            undefined: self.emitted.undefined.iter().cloned().collect(),
            namespaces: self.namespaces().into_iter().collect(),
            objects: self.emitted.objects.iter().cloned().collect(),
        }
    }

    fn function_ids(&self) -> impl Iterator<Item = BundleId> {
        let bundles = &self.comparer.patched.bundles;
        let is_function = |id: BundleId| {
            bundles.get(id).kind == Kind::Function && bundles.get(id).parent.is_none()
        };
        let ids = self.selection.bundles.keys().copied();
        ids.filter(move |id| is_function(*id))
    }

    /// Those of the exports used, and those that the file imports anyway: `Module.symvers` may not tell.
    fn namespaces(&self) -> BTreeSet<String> {
        let declared = modinfo::namespaces(&self.comparer.patched.object);
        let used = self.emitted.namespaces.iter().cloned();
        used.chain(declared.into_iter().map(str::to_owned))
            .collect()
    }

    fn functions(&self) -> Vec<Function> {
        let view = self.comparer.patched;
        self.function_ids()
            .map(|id| {
                let known = self.sympos.get(&id);
                let changed = matches!(self.comparison.status(id), BundleStatus::Changed(_));
                Function {
                    name: known.map_or(view.name(id), |(name, ..)| name).to_owned(),
                    status: if changed {
                        Status::Changed
                    } else {
                        Status::New
                    },
                    sympos: known.map(|(_, sympos, _)| *sympos),
                    why: match &self.selection.bundles[&id] {
                        Cause::Said(why) => why.clone(),
                        Cause::Changed(_) => String::new(),
                    },
                    differences: 0,
                    places: Vec::new(),
                    alias: self.aliases.get(&id).cloned(),
                    orig_symbol: known.map(|(.., symbol)| *symbol),
                }
            })
            .collect()
    }

    fn data(&self) -> Vec<Datum> {
        let view = self.comparer.patched;
        let named = self
            .selection
            .bundles
            .keys()
            .filter(|id| matches!(view.bundles.get(**id).kind, Kind::Data | Kind::PerUse));
        named
            .map(|id| {
                let bundle = view.bundles.get(*id);
                Datum {
                    name: view.name(*id).to_owned(),
                    section: view.section_name(*id).to_owned(),
                    size: bundle.len,
                    writable: view.object.section(bundle.section).is_writable(),
                }
            })
            .collect()
    }

    fn callbacks(&self) -> Vec<Callback> {
        let callback = |(kind, id): (_, &BundleId)| {
            let alias = self.roots.get(id)?.clone();
            Some(Callback {
                kind,
                function: self.comparer.patched.name(*id).to_owned(),
                alias,
            })
        };
        let callbacks = self.author.callbacks.iter();
        callbacks
            .filter_map(|(kind, id)| callback((*kind, id)))
            .collect()
    }

    fn states(&self) -> Vec<StateCode> {
        let code = |(id, state): (&u64, &StateOps)| {
            Some(StateCode {
                id: *id,
                name: self.comparer.patched.name(state.ops).to_owned(),
                alias: self.roots.get(&state.ops)?.clone(),
                size: state.size,
                upgrades: state.upgrades,
            })
        };
        self.author.states.iter().filter_map(code).collect()
    }

    /// The original's functions whose code the patch stands in for, cold parts included.
    fn touched(&self) -> Vec<usize> {
        let selected = self
            .selection
            .bundles
            .keys()
            .filter_map(|id| self.comparer.twins.orig(*id));
        let owners = selected.filter_map(|twin| {
            let bundle = self.comparer.orig.bundles.get(twin);
            bundle.owner.filter(|_| bundle.kind == Kind::Function)
        });
        owners.map(|owner| owner.0 as usize).collect()
    }
}

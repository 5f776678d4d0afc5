//! What the patch's author says in the patched source with the macros of `templates/livepatch.h`: which functions are
//! callbacks, which states the toolchain takes over for it, which differences are harmless, which shadow variables
//! there are.
//!
//! It is read from the sections `.livepatch.*` of the patched object, which never go into the output. Functions to
//! ignore come by name: a pointer to one would keep the compiler from inlining or cloning it, so that saying that a
//! difference means nothing would itself make one. The tempting wrong way is to drop what is ignored before
//! comparing: then nothing tells that a statement is no longer needed.

mod states;

pub use states::StateOps;

use crate::arch::Arch;
use crate::bundle::{BundleId, Kind};
use crate::correlate::Twins;
use crate::name::source_function;
use crate::object::Section;
use crate::reference::{Target, View};
use crate::refusal::{Refusal, RefusalCode};
use lp_klp::target::Callback;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

const CALLBACKS: &str = ".livepatch.callbacks.";
const IGNORED_FUNCTIONS: &str = ".livepatch.ignore.functions";
const IGNORED_SECTIONS: &str = ".livepatch.ignore.sections";
const SHADOW_IDS: &str = ".livepatch.shadow_ids";

/// Bytes of a pointer or an `unsigned long` of the target.
const WORD: u64 = 8;

/// Everything that the author said.
#[derive(Debug, Default)]
pub struct Author {
    /// The callbacks, one of a kind at most.
    pub callbacks: BTreeMap<Callback, BundleId>,
    /// The code that keeps a state, by the state's id.
    pub states: BTreeMap<u64, StateOps>,
    /// What is to be ignored.
    pub ignores: Ignores,
    /// The ids of shadow variables that the patched source declares.
    pub shadow_ids: BTreeSet<u64>,
}

/// The differences that the author calls harmless.
#[derive(Debug, Default)]
pub struct Ignores {
    /// Functions by the name that they have in the source.
    pub functions: BTreeSet<String>,
    /// Sections by name.
    pub sections: BTreeSet<String>,
}

impl Ignores {
    /// Whether nothing is ignored.
    pub fn is_empty(&self) -> bool {
        self.functions.is_empty() && self.sections.is_empty()
    }

    /// Whether a difference in a section's content is harmless.
    pub fn section(&self, name: &str) -> bool {
        self.sections.contains(name)
    }

    /// The statement that makes a difference in a bundle's content harmless, if there is one.
    pub fn statement(&self, view: &View<'_>, id: BundleId) -> Option<Statement> {
        if self.is_empty() {
            return None;
        }
        let section = view.section_name(id);
        if self.section(section) {
            return Some(Statement::Section(section.to_owned()));
        }
        let name = source_function(view.name(id));
        let is_function = view.bundles.get(id).kind == Kind::Function;
        (is_function && self.functions.contains(name)).then(|| Statement::Function(name.to_owned()))
    }

    /// All statements.
    pub fn statements(&self) -> impl Iterator<Item = Statement> {
        let functions = self.functions.iter().cloned().map(Statement::Function);
        functions.chain(self.sections.iter().cloned().map(Statement::Section))
    }
}

/// One statement that a difference is harmless, as it stands in the source.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Statement {
    /// `LP_IGNORE_FUNCTION`
    Function(String),
    /// `LP_IGNORE_SECTION`
    Section(String),
}

impl fmt::Display for Statement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Function(name) => write!(f, "LP_IGNORE_FUNCTION({name})"),
            Self::Section(name) => write!(f, "LP_IGNORE_SECTION(\"{name}\")"),
        }
    }
}

impl Author {
    /// Reads what the patched object's author said.
    pub fn read(view: &View<'_>, arch: &dyn Arch, refusals: &mut Vec<Refusal>) -> Self {
        let mut author = Self::default();
        for (_, section) in view.object.sections() {
            match section.name() {
                IGNORED_FUNCTIONS => author.ignores.functions.extend(texts(section)),
                IGNORED_SECTIONS => author.ignores.sections.extend(texts(section)),
                SHADOW_IDS => author.shadow_ids.extend(words(section, view)),
                _ => {}
            }
        }
        for kind in Callback::ALL {
            match callback(view, arch, kind) {
                Ok(found) => author.callbacks.extend(found.map(|id| (kind, id))),
                Err(refusal) => refusals.push(refusal),
            }
        }
        author.states = states::read(view, arch, refusals);
        author
    }

    /// Takes out the callbacks and states that the original declares, too, and says so: they are no part of the change, and yet
    /// a patch without them may not be what its author means.
    pub fn take_known(&mut self, (view, twins): (&View<'_>, &Twins), orig: &Self) -> Vec<Refusal> {
        let known = |(kind, id): (&Callback, &BundleId)| {
            let twin = twins.orig(*id)?;
            (orig.callbacks.get(kind) == Some(&twin)).then_some((*kind, *id))
        };
        let known: Vec<(Callback, BundleId)> = self.callbacks.iter().filter_map(known).collect();
        let refuse = |(kind, id): (Callback, BundleId)| {
            self.callbacks.remove(&kind);
            Refusal::new(
                RefusalCode::Callback,
                view.name(id),
                format!(
                    "both trees declare it as the {kind} callback: the original must be the source of the system that runs, without what patches it"
                ),
            )
        };
        let mut refusals: Vec<Refusal> = known.into_iter().map(refuse).collect();
        let (both, ours): (BTreeMap<_, _>, _) = std::mem::take(&mut self.states)
            .into_iter()
            .partition(|(_, state)| twins.orig(state.ops).is_some());
        self.states = ours;
        refusals.extend(both.iter().map(|(id, state)| {
            Refusal::new(
                RefusalCode::Callback,
                view.name(state.ops),
                format!(
                    "both trees declare it for state {id}: the original must be the source of the system that runs, without what patches it"
                ),
            )
        }));
        refusals
    }

    /// What the patch's tables refer to by a symbol of its own.
    pub fn roots(&self) -> Vec<BundleId> {
        let states = self.states.values().map(|state| state.ops);
        self.callbacks.values().copied().chain(states).collect()
    }
}

/// NUL-terminated texts. What is not UTF-8 can be no name of anything here.
fn texts(section: Section<'_>) -> Vec<String> {
    let texts = section.data.split(|byte| *byte == 0);
    texts
        .filter_map(|text| std::str::from_utf8(text).ok())
        .filter(|text| !text.is_empty())
        .map(str::to_owned)
        .collect()
}

fn words(section: Section<'_>, view: &View<'_>) -> Vec<u64> {
    let little = view.object.endian == object::Endianness::Little;
    let word = |bytes: &[u8]| {
        let bytes = bytes.try_into().ok()?;
        Some(if little {
            u64::from_le_bytes(bytes)
        } else {
            u64::from_be_bytes(bytes)
        })
    };
    section
        .data
        .chunks(WORD as usize)
        .filter_map(word)
        .collect()
}

/// The one callback of a kind, if there is any.
fn callback(view: &View<'_>, arch: &dyn Arch, kind: Callback) -> Result<Option<BundleId>, Refusal> {
    let name = format!("{CALLBACKS}{kind}");
    let refuse = |message: String| Refusal::new(RefusalCode::Callback, &name, message);
    let mut found = BTreeMap::new();
    for (id, section) in view
        .object
        .sections()
        .filter(|(_, section)| section.name() == name)
    {
        let pointers = view.refs_in(id, 0, section.size);
        if pointers.len() as u64 * WORD != section.size {
            return Err(refuse(format!(
                "it has {} bytes and {} pointers to functions: make it with LP_{}_CALLBACK alone",
                section.size,
                pointers.len(),
                kind.name().to_uppercase()
            )));
        }
        for (pointer, at) in pointers.zip((0..).step_by(WORD as usize)) {
            let is_pointer = pointer.offset == at
                && !arch.is_pc_relative(pointer.kind)
                && arch.width(pointer.kind) == WORD;
            let function = function_at(view, &pointer.target).filter(|_| is_pointer);
            let function = function.ok_or_else(|| {
                refuse("it does not refer to a function of this file: define the callback in the file that declares it".to_owned())
            })?;
            found.insert(function, view.name(function));
        }
    }
    if found.len() > 1 {
        let names: Vec<&str> = found.into_values().collect();
        return Err(refuse(format!(
            "{} are all declared, but an object has one {kind} callback: call one from the other",
            names.join(" and ")
        )));
    }
    Ok(found.into_keys().next())
}

/// The function whose entry is meant.
fn function_at(view: &View<'_>, target: &Target) -> Option<BundleId> {
    let Target::Bundle { id, offset } = *target else {
        return None;
    };
    let bundle = view.bundles.get(id);
    let owner = view.object.symbol(bundle.owner?);
    let entry = owner.value.checked_sub(bundle.start)?;
    let is_entry = bundle.kind == Kind::Function && u64::try_from(offset) == Ok(entry);
    is_entry.then_some(id)
}

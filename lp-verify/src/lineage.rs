//! From one cumulative patch to the next: what is carried on, patched anew, reverted and new, and what may not happen
//! on the way.
//!
//! Both are read from their finished modules, so that what is compared is what will run. The tempting wrong way is to
//! compare sources: the same source can be compiled into other code, and a fix can be lost in a merge.

use crate::patch::Patch;
use crate::reader::Module;
use crate::reader::tables::TableObject;
use crate::rules::states;
use lp_klp::manifest::{Manifest, TargetKind};
use lp_klp::name::{ObjName, Sympos};
use lp_klp::state::incompatibilities;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;

/// A function of a patch.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Function {
    /// `vmlinux` or a module.
    pub object: ObjName,
    /// Its name.
    pub name: String,
    /// Which of that name.
    pub sympos: Sympos,
}

/// What became of a function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fate {
    /// Both patches redirect it to the same code.
    CarriedOn,
    /// Both redirect it, to other code (or to code that cannot be told to be the same).
    PatchedAnew,
    /// Only the old one redirects it: it goes back to the original.
    Reverted,
    /// Only the new one redirects it.
    New,
}

/// A state that one of the two has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StateStep {
    /// Its id.
    pub id: u64,
    /// What people call it.
    pub name: String,
    /// Its version in the old patch.
    pub old: Option<u32>,
    /// Its version in the new patch.
    pub new: Option<u32>,
}

/// Why the new patch may not follow the old one, or what its author must know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Objection {
    /// The kind, a stable word.
    pub code: &'static str,
    /// The function, state or shadow variable.
    pub place: String,
    /// What is wrong and the way out.
    pub message: String,
    /// The state that it is about, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<u64>,
}

/// The step from one patch to the next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Lineage {
    /// Name and version of the old patch.
    pub old: String,
    /// Name and version of the new patch.
    pub new: String,
    /// All functions of both, by fate and name.
    pub functions: Vec<(Fate, Function)>,
    /// All states of both, by id.
    pub states: Vec<StateStep>,
    /// What may not be.
    pub refusals: Vec<Objection>,
    /// What must be known.
    pub warnings: Vec<Objection>,
}

/// Compares a patch with the one that it shall follow. `reverts` are the names of functions that may go back.
pub fn compare(old: &Module, new: &Module, reverts: &[String]) -> Lineage {
    let (before, after) = (old.patch(), new.patch());
    let mut lineage = Lineage {
        old: title(&before),
        new: title(&after),
        functions: functions(old, new),
        states: state_steps(&before, &after),
        refusals: Vec::new(),
        warnings: Vec::new(),
    };
    if before.kind != after.kind {
        let message =
            "one is for a kernel and the other for processes: neither can follow the other";
        lineage.refuse("kind", after.name.clone(), message.to_owned());
        return lineage;
    }
    lineage.refuse_states(&after, &before);
    lineage.refuse_kept(old, new);
    lineage.refuse_positions(old, new);
    lineage.refuse_reverts(&before, &after, reverts);
    lineage.refuse_shadows(old, new);
    lineage.warn_of_variables(old, &after);
    lineage
}

impl Lineage {
    fn refuse(&mut self, code: &'static str, place: impl Into<String>, message: String) {
        self.refusals.push(Objection {
            code,
            place: place.into(),
            message,
            state: None,
        });
    }

    fn refuse_states(&mut self, new: &Patch, old: &Patch) {
        if let (Ok(possible), Ok(old)) = (new.possible(), old.possible()) {
            for lost in possible.iter().flat_map(|new| incompatibilities(new, &old)) {
                let id = lost.state.id;
                let known = self.refusals.iter().any(|known| known.state == Some(id));
                if !known {
                    self.refuse_state(
                        id,
                        format!(
                            "{lost}: {}. Declare it in version {} or a later one",
                            new.answer("EINVAL"),
                            lost.state.version
                        ),
                    );
                }
            }
            return;
        }
        // Where something is not known, the rule says what.
        let findings = states::check(new, std::slice::from_ref(old));
        for finding in findings.into_iter().filter(|finding| finding.is_error()) {
            self.refuse("state", "states", finding.message);
        }
    }

    /// What one patch's `LP_STATE` leaves, the next one's must be able to take.
    fn refuse_kept(&mut self, old: &Module, new: &Module) {
        let (Some(theirs), Some(ours)) = (&old.manifest, &new.manifest) else {
            return;
        };
        if !ours.replace {
            return;
        }
        for state in &theirs.states {
            let kept = |manifest: &Manifest| {
                let mut kept = manifest.kept_states.iter();
                kept.find(|kept| kept.id == state.id).cloned()
            };
            let version = ours.states.iter().find(|our| our.id == state.id);
            let Some(version) = version.map(|our| our.version) else {
                continue;
            };
            let message = match (kept(theirs), kept(ours)) {
                (Some(_), None) => "the old patch has an LP_STATE for it and this one has none: nobody would put the original back. Carry it on".to_owned(),
                (_, Some(ours)) if ours.upgrades && version > state.version => continue,
                (Some(theirs), Some(ours)) if theirs.size != ours.size => format!(
                    "its data is {} bytes in the old patch and {} in this one, which takes it as it is: raise the version and give an `upgrade`, or leave the type as it was",
                    theirs.size, ours.size
                ),
                (None, Some(ours)) if ours.size > 0 => "the old patch keeps no data for it that this one could take: raise the version and give an `upgrade`".to_owned(),
                _ => continue,
            };
            self.refuse_state(state.id, message);
        }
    }

    fn refuse_state(&mut self, id: u64, message: String) {
        self.refusals.push(Objection {
            code: "state",
            place: format!("state {id}"),
            message,
            state: Some(id),
        });
    }

    /// Before 6.19 a cumulative patch that spells a position differently cannot be loaded over the old one
    /// (`klp_find_func`): both spellings are one sysfs folder.
    fn refuse_positions(&mut self, old: &Module, new: &Module) {
        if new.kind() == TargetKind::Process {
            return;
        }
        let positions = |module: &Module| -> BTreeMap<(ObjName, String), Vec<u32>> {
            let mut positions: BTreeMap<_, Vec<u32>> = BTreeMap::new();
            for (function, _) in code(module) {
                positions
                    .entry((function.object, function.name))
                    .or_default()
                    .push(function.sympos.0);
            }
            positions
        };
        let theirs = positions(old);
        for ((object, name), ours) in positions(new) {
            let Some(theirs) = theirs.get(&(object, name.clone())) else {
                continue;
            };
            let flips = ours
                .iter()
                .any(|our| *our <= 1 && theirs.contains(&(1 - our)) && !theirs.contains(our));
            if flips {
                self.refuse("sympos", name, "the old patch gives its position as 0 and this one as 1, or the other way round: kernels before 6.19 refuse that (EEXIST). Build it with the tool that built the old one, or for the same symbols".to_owned());
            }
        }
    }

    fn refuse_reverts(&mut self, old: &Patch, new: &Patch, reverts: &[String]) {
        let reverted: Vec<String> = self
            .functions
            .iter()
            .filter(|(fate, _)| *fate == Fate::Reverted)
            .map(|(_, function)| function.name.clone())
            .collect();
        for name in reverts.iter().filter(|name| !reverted.contains(name)) {
            self.refuse(
                "revert",
                name.clone(),
                format!(
                    "--revert {name}: '{}' does not redirect it, or the new patch still does",
                    old.name
                ),
            );
        }
        if new.replace == Ok(false) {
            return;
        }
        for name in reverted.into_iter().filter(|name| !reverts.contains(name)) {
            let message = format!(
                "'{}' fixes it and this patch, which replaces that one, does not: the fix would be lost. Put it into this patch, too, or say --revert {name}",
                old.name
            );
            self.refuse("lost-fix", name, message);
        }
    }

    fn refuse_shadows(&mut self, old: &Module, new: &Module) {
        let ids = |module: &Module| -> BTreeMap<u64, String> {
            let ids = module
                .manifest
                .iter()
                .flat_map(|manifest| &manifest.shadow_ids);
            ids.map(|shadow| (shadow.id, shadow.name.clone())).collect()
        };
        let theirs = ids(old);
        for (id, name) in ids(new) {
            let Some(meant) = theirs
                .get(&id)
                .filter(|meant| !meant.is_empty() && !name.is_empty() && **meant != name)
            else {
                continue;
            };
            let message = format!(
                "shadow variables of this id are '{meant}' in the old patch and '{name}' in this one, and those of the old one are still there: take another id"
            );
            self.refuse("shadow-id", format!("{id:#x}"), message);
        }
    }

    fn warn_of_variables(&mut self, old: &Module, new: &Patch) {
        if new.replace == Ok(false) {
            return;
        }
        for (name, bytes) in &old.tables.variables {
            let message = format!(
                "a variable of the old patch, {bytes} bytes: its value is lost when this one replaces it. What must live on belongs into a state's data or a shadow variable"
            );
            self.warnings.push(Objection {
                code: "lost-data",
                place: name.clone(),
                message,
                state: None,
            });
        }
    }
}

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::CarriedOn => "carried on",
            Self::PatchedAnew => "patched anew",
            Self::Reverted => "reverted",
            Self::New => "new",
        })
    }
}

fn title(patch: &Patch) -> String {
    format!("{} {}", patch.name, patch.version)
        .trim_end()
        .to_owned()
}

/// Each function of a module with the digest of its code.
fn code(module: &Module) -> Vec<(Function, String)> {
    let objects = module.tables.objects.iter().flatten();
    let of = |object: &TableObject| {
        let funcs = object.funcs.iter().flatten();
        let digests = object
            .code
            .iter()
            .cloned()
            .chain(std::iter::repeat(String::new()));
        let function = |func: &lp_klp::core::KlpFunc| Function {
            object: object.name.clone(),
            name: func.old_name.clone(),
            sympos: func.sympos,
        };
        funcs.map(function).zip(digests).collect::<Vec<_>>()
    };
    objects.flat_map(of).collect()
}

fn functions(old: &Module, new: &Module) -> Vec<(Fate, Function)> {
    let key = |function: &Function| {
        (
            function.object.clone(),
            function.name.clone(),
            function.sympos.0.max(1),
        )
    };
    let mut theirs: BTreeMap<_, _> = code(old)
        .into_iter()
        .map(|(function, code)| (key(&function), (function, code)))
        .collect();
    let mut all = Vec::new();
    for (function, code) in code(new) {
        let fate = match theirs.remove(&key(&function)) {
            None => Fate::New,
            Some((_, old)) if !old.is_empty() && old == code => Fate::CarriedOn,
            Some(_) => Fate::PatchedAnew,
        };
        all.push((fate, function));
    }
    all.extend(
        theirs
            .into_values()
            .map(|(function, _)| (Fate::Reverted, function)),
    );
    all.sort();
    all
}

fn state_steps(old: &Patch, new: &Patch) -> Vec<StateStep> {
    let mut steps: BTreeMap<u64, StateStep> = BTreeMap::new();
    let empty = |id, name: &str| StateStep {
        id,
        name: name.to_owned(),
        old: None,
        new: None,
    };
    for state in old.states.iter().flatten() {
        steps
            .entry(state.id)
            .or_insert_with(|| empty(state.id, &state.name))
            .old = Some(state.version);
    }
    for state in new.states.iter().flatten() {
        let step = steps
            .entry(state.id)
            .or_insert_with(|| empty(state.id, &state.name));
        step.new = Some(state.version);
        if !state.name.is_empty() {
            step.name.clone_from(&state.name);
        }
    }
    steps.into_values().collect()
}

//! What came of a run. It is filled on the way, so an error's report still tells what was found before it.

pub mod json;
pub mod text;

use crate::progress::Step;
use crate::tree::diffstat::DiffStat;
use lp_diff::dwarf::line::SourcePlace;
use lp_diff::explain::layout::LayoutChange;
use lp_diff::explain::warnings::Warning;
use lp_diff::explain::why::DiffPlace;
use lp_klp::name::{ObjName, Sympos};
use lp_klp::state::KlpState;
use lp_klp::target::Callback;
use lp_verify::lineage::Lineage;
use serde::Serialize;
use std::path::PathBuf;
use std::process::ExitCode;

/// The outcome in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// The module was written.
    Built,
    /// The change cannot be made a livepatch.
    Refused,
    /// No code of the kernel changes.
    Same,
    /// It was only asked what would be compiled.
    Planned,
    /// Something is missing or wrong.
    #[default]
    Error,
}

impl Verdict {
    /// The exit status that says it.
    pub fn exit_code(self) -> ExitCode {
        ExitCode::from(match self {
            Self::Built | Self::Planned => 0,
            Self::Error => 1,
            Self::Refused => 2,
            Self::Same => 3,
        })
    }
}

/// An error in words. A full disk shows in many places and as many messages: it is said first.
pub fn error_text(error: &anyhow::Error) -> String {
    const FULL: &str = "No space left on device";
    let text = lp_cli::in_words(error);
    if text.contains(FULL) && !text.starts_with(FULL) {
        return format!("{FULL}: make room, or give another place with --cache DIR\n{text}");
    }
    text
}

/// Everything a run found out.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// The outcome.
    pub verdict: Verdict,
    /// What went wrong, for an error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The module that was written.
    pub output: Option<PathBuf>,
    /// Its bytes.
    pub size: Option<u64>,
    /// The patch's name.
    pub name: String,
    /// The patch's version.
    pub version: String,
    /// The kernel's release; empty for a process.
    pub kernel: String,
    /// The binary that a patch for processes is for; empty for a kernel.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub target: String,
    /// Whether the patch replaces what is installed before it.
    pub replace: bool,
    /// The states it changes.
    pub states: Vec<KlpState>,
    /// The files that differ.
    pub files: DiffStat,
    /// What is patched.
    pub objects: Vec<ObjectReport>,
    /// What is new.
    pub new_functions: Vec<NewFunction>,
    /// Data that comes with the patch.
    pub data: Vec<NewDatum>,
    /// The ids of the shadow variables that the patched files declare.
    pub shadow_ids: Vec<u64>,
    /// Those of the states that the patched files have the steps for.
    pub kept_states: Vec<KeptStateReport>,
    /// What would be compiled, where that was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan: Option<Plan>,
    /// How it follows the previous patch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lineage: Option<Lineage>,
    /// What the proof found.
    pub fidelity: FidelityReport,
    /// What cannot be done.
    pub refusals: Vec<RefusalReport>,
    /// Types of another layout that the patch can reach.
    pub layout: Vec<LayoutReport>,
    /// What is patched as asked, and is often a mistake.
    pub patch_warnings: Vec<PatchWarning>,
    /// What the person should know.
    pub notes: Vec<String>,
    /// What the person should look at.
    pub warnings: Vec<String>,
    /// How long each step took.
    pub steps: Vec<Step>,
}

/// What a run would compile.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Plan {
    /// The files, by path.
    pub units: Vec<PlannedUnit>,
    /// About how long that takes on this machine, where nothing of it was compiled before.
    pub seconds: u64,
}

/// A file that would be compiled in both trees.
#[derive(Debug, Clone, Serialize)]
pub struct PlannedUnit {
    /// Its path.
    pub source: String,
    /// The kernel or the module that it is part of; none for one that can only be looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object: Option<ObjName>,
    /// The header that it is here for, where it did not change itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub through: Option<String>,
}

/// The patched functions of one object.
#[derive(Debug, Clone, Serialize)]
pub struct ObjectReport {
    /// `vmlinux` or a module.
    pub name: ObjName,
    /// Its functions.
    pub functions: Vec<PatchedFunction>,
    /// What the livepatch core calls around its patching.
    pub callbacks: Vec<CallbackReport>,
}

/// A callback of an object.
#[derive(Debug, Clone, Serialize)]
pub struct CallbackReport {
    /// When it is called.
    pub kind: Callback,
    /// The function.
    pub function: String,
    /// The file it comes from.
    pub source: String,
}

/// A state that the module takes over and gives back with the author's steps.
#[derive(Debug, Clone, Serialize)]
pub struct KeptStateReport {
    /// Its id.
    pub id: u64,
    /// The name of the steps in the source.
    pub name: String,
    /// The file they come from.
    pub source: String,
    /// Bytes of data that go from patch to patch.
    pub size: u64,
}

/// A function that is replaced.
#[derive(Debug, Clone, Serialize)]
pub struct PatchedFunction {
    /// Its name.
    pub name: String,
    /// Which of that name.
    pub sympos: Sympos,
    /// The file it comes from.
    pub source: String,
    /// What differs.
    pub why: String,
    /// The first places where it differs, with their source lines.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub places: Vec<DiffPlace>,
}

/// A function that the kernel does not have.
#[derive(Debug, Clone, Serialize)]
pub struct NewFunction {
    /// Its name.
    pub name: String,
    /// The file it comes from.
    pub source: String,
    /// What needs it.
    pub why: String,
}

/// A datum that the kernel does not have.
#[derive(Debug, Clone, Serialize)]
pub struct NewDatum {
    /// Its name.
    pub name: String,
    /// The file it comes from.
    pub source: String,
    /// Bytes.
    pub size: u64,
    /// Whether its value is lost when a later patch replaces this one.
    pub writable: bool,
}

/// A type of another layout.
#[derive(Debug, Clone, Serialize)]
pub struct LayoutReport {
    /// The file that it was seen in.
    pub unit: String,
    /// The type, before and after.
    #[serde(flatten)]
    pub change: LayoutChange,
}

/// Something about the patch that is often a mistake.
#[derive(Debug, Clone, Serialize)]
pub struct PatchWarning {
    /// The file that it was seen in.
    pub unit: String,
    /// What and where.
    #[serde(flatten)]
    pub warning: Warning,
}

/// Whether our build of the original is the running kernel's.
#[derive(Debug, Clone, Default, Serialize)]
pub struct FidelityReport {
    /// Functions that are the running kernel's.
    pub reproduced: usize,
    /// Functions that should be the running kernel's: all but weak ones for which another file's is used.
    pub total: usize,
    /// Those that differ.
    pub mismatches: Vec<MismatchReport>,
    /// Those that the running kernel does not have under this name, each with its reason.
    pub absent: Vec<AbsentReport>,
}

/// A function that differs.
#[derive(Debug, Clone, Serialize)]
pub struct MismatchReport {
    /// Its file.
    pub source: String,
    /// Its name.
    pub function: String,
    /// Where the first difference is, in bytes from its start.
    pub offset: u64,
    /// The instruction that we get.
    pub ours: String,
    /// The instruction that runs.
    pub theirs: String,
}

/// A function that the running binary does not have.
#[derive(Debug, Clone, Serialize)]
pub struct AbsentReport {
    /// Its file.
    pub source: String,
    /// Its name.
    pub function: String,
    /// Why it may be absent.
    pub reason: String,
}

/// Something that cannot be done.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct RefusalReport {
    /// Which kind, a stable word.
    pub code: String,
    /// File, function or section.
    pub place: String,
    /// What is wrong and what to do.
    pub message: String,
    /// The line of the source that it is about, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<SourcePlace>,
}

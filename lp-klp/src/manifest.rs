//! What a patch says of itself: target, states, and every function with the hash of the code that it replaces.
//!
//! Kept as JSON in the module's `.note.livepatch` (see [`crate::note`]), so a running machine can be asked what is
//! installed. A newer tool may add fields, which older readers skip; a change that older readers would
//! misunderstand raises [`FORMAT`], and they then refuse. The tempting wrong way is to take the tables in the
//! module for the truth and the manifest for a comment: verification compares both.

use crate::core::{KlpFunc, KlpObject, KlpPatch};
use crate::name::{ObjName, Sympos};
use crate::state::KlpState;
use crate::target::Callback;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The format of the manifests that this version writes, and the newest that it reads.
pub const FORMAT: u32 = 1;

/// What a patch says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The manifest's own format, [`FORMAT`].
    pub format: u32,
    /// Name and version of the tool that built the patch.
    pub tool: String,
    /// The patch module's name.
    pub name: String,
    /// The author's version of the patch.
    pub version: String,
    /// What it is for, in the author's words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// What it was built for.
    pub target: Target,
    /// Whether it takes the place of every patch that is installed before it.
    pub replace: bool,
    /// The system states it changes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub states: Vec<KlpState>,
    /// Those of them that the toolchain's code keeps, with data that goes from patch to patch (`klp_state.data`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kept_states: Vec<KeptState>,
    /// What it patches.
    pub objects: Vec<Object>,
    /// The shadow variables it uses (`klp_shadow_alloc`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shadow_ids: Vec<ShadowId>,
}

/// A state that the toolchain's code keeps: the author gave the steps (`LP_STATE`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptState {
    /// Its id.
    pub id: u64,
    /// Bytes of its data.
    pub size: u64,
    /// Whether the patch can turn an older version's data into its own.
    #[serde(default)]
    pub upgrades: bool,
}

/// The id of shadow variables, and what they are for. Two patches that are on one machine, at once or one after the
/// other, must mean the same by it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShadowId {
    /// `unsigned long id` of `klp_shadow_alloc`.
    pub id: u64,
    /// What the variables are, in a word; empty where the author did not say.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
}

/// What kind of thing a patch is loaded into.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TargetKind {
    /// The kernel: the patch is a module.
    #[default]
    Kernel,
    /// A process: the patch is a relocatable object that `lp-ctl load --pid` places.
    Process,
}

impl TargetKind {
    fn is_kernel(&self) -> bool {
        *self == Self::Kernel
    }
}

/// What a patch was built for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// What it is loaded into. Not written for the kernel.
    #[serde(default, skip_serializing_if = "TargetKind::is_kernel")]
    pub kind: TargetKind,
    /// The kernel release, as `uname -r` gives it; empty for a process.
    pub release: String,
    /// The build-id of the vmlinux, hexadecimal; empty when it has none, and for a process, where each object has one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub build_id: String,
    /// The architecture, as `uname -m` gives it.
    pub arch: String,
}

/// The patched functions of one object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Object {
    /// `vmlinux` or a module; of a process [`ObjName::of_file`] of [`Self::file`].
    pub name: ObjName,
    /// Of a process: the soname of the library, or the executable's file name.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub file: String,
    /// The build-id of the module, library or executable, hexadecimal; empty for vmlinux, whose is in [`Target::build_id`].
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub build_id: String,
    /// The functions that are replaced.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub functions: Vec<Function>,
    /// What runs before and after.
    #[serde(default, skip_serializing_if = "Callbacks::is_empty")]
    pub callbacks: Callbacks,
}

/// A function that is replaced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Function {
    /// Its name.
    pub name: String,
    /// Which of that name.
    #[serde(default)]
    pub sympos: Sympos,
    /// The symbol of the new code in a process's patch, where it is not the name: two files may each have a function of it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub new_name: String,
    /// Bytes of the code that is replaced.
    #[serde(default)]
    pub old_size: u64,
    /// SHA-256 of that code in the target's file, hexadecimal; empty when it was not at hand.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub old_hash: String,
}

/// The names of an object's callback functions (`struct klp_callbacks`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Callbacks {
    /// Before the object is patched; it may refuse.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pre_patch: Option<String>,
    /// After every task has switched to the patch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub post_patch: Option<String>,
    /// Before the object is unpatched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pre_unpatch: Option<String>,
    /// After every task has left the patch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub post_unpatch: Option<String>,
}

/// Why a text is not a manifest.
#[derive(Debug, Error)]
pub enum ManifestError {
    /// It is not the JSON that a manifest is.
    #[error("the livepatch manifest cannot be read: {0}")]
    Json(#[from] serde_json::Error),
    /// It is from a later time.
    #[error(
        "the livepatch manifest has format {0}, this tool knows up to {FORMAT}: use a newer one"
    )]
    Format(u64),
}

impl Manifest {
    /// The manifest as the note holds it: one line of JSON.
    pub fn to_json(&self) -> Result<Vec<u8>, ManifestError> {
        Ok(serde_json::to_vec(self)?)
    }

    /// Reads a manifest of a format that we know.
    pub fn from_json(text: &[u8]) -> Result<Self, ManifestError> {
        // The format comes first: of a later one nothing else can be trusted to parse.
        let Head { format } = serde_json::from_slice(text)?;
        if format == 0 || format > u64::from(FORMAT) {
            return Err(ManifestError::Format(format));
        }
        Ok(serde_json::from_slice(text)?)
    }

    /// The patch as the livepatch core will see it.
    pub fn patch(&self) -> KlpPatch {
        KlpPatch {
            name: self.name.clone(),
            version: self.version.clone(),
            replace: self.replace,
            states: self.states.clone(),
            objects: self.objects.iter().map(Object::klp_object).collect(),
        }
    }
}

impl Object {
    fn klp_object(&self) -> KlpObject {
        let func = |function: &Function| KlpFunc {
            old_name: function.name.clone(),
            sympos: function.sympos,
        };
        KlpObject {
            name: self.name.clone(),
            funcs: self.functions.iter().map(func).collect(),
        }
    }
}

impl Callbacks {
    /// Which of them there are, in the order of `struct klp_callbacks`.
    pub fn kinds(&self) -> Vec<Callback> {
        let all = Callback::ALL.into_iter();
        all.filter(|kind| self.get(*kind).is_some()).collect()
    }

    /// The function of a kind.
    pub fn get(&self, kind: Callback) -> Option<&str> {
        match kind {
            Callback::PrePatch => self.pre_patch.as_deref(),
            Callback::PostPatch => self.post_patch.as_deref(),
            Callback::PreUnpatch => self.pre_unpatch.as_deref(),
            Callback::PostUnpatch => self.post_unpatch.as_deref(),
        }
    }

    /// The place of a kind's function.
    pub fn get_mut(&mut self, kind: Callback) -> &mut Option<String> {
        match kind {
            Callback::PrePatch => &mut self.pre_patch,
            Callback::PostPatch => &mut self.post_patch,
            Callback::PreUnpatch => &mut self.pre_unpatch,
            Callback::PostUnpatch => &mut self.post_unpatch,
        }
    }

    /// Whether the object has no callback.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

#[derive(Deserialize)]
struct Head {
    format: u64,
}

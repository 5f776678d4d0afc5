//! Patches, their objects and functions, as the kernel's livepatch core sees them (`include/linux/livepatch.h`).
//!
//! Decides whether a patch can be registered at all, and which functions a cumulative patch sends back to the
//! original code. The tempting wrong way is to compare functions by name alone: one object may patch two functions
//! of one name, told apart by their positions, and two objects may patch functions of one name.

mod installed;
mod klp;
mod object;

pub use installed::{Installed, InstalledFunc, InstalledObject};
pub use klp::Klp;

use crate::name::{KSYM_NAME_LEN, ObjName, Sympos};
use crate::state::KlpState;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use thiserror::Error;

/// A livepatch: one module that is enabled and disabled as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KlpPatch {
    /// The patch module's name.
    pub name: String,
    /// The author's version of it.
    pub version: String,
    /// Whether it takes the place of every patch that is installed before it.
    pub replace: bool,
    /// The system states it changes.
    pub states: Vec<KlpState>,
    /// What it patches.
    pub objects: Vec<KlpObject>,
}

/// The functions of `vmlinux` or of one module that a patch replaces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KlpObject {
    /// Whose functions they are.
    pub name: ObjName,
    /// The functions; an object may have none, it is then there for its callbacks.
    pub funcs: Vec<KlpFunc>,
}

/// One function that is replaced.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct KlpFunc {
    /// The name of the function whose calls are redirected.
    pub old_name: String,
    /// Which function of that name.
    pub sympos: Sympos,
}

/// What is wrong with a patch before anyone looks at the target.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PatchError {
    /// It does nothing. The kernel takes it: `klp_enable_patch` wants an array of objects, which may be empty.
    #[error("patch '{0}' patches no object: give it at least one function or callback")]
    NoObject(String),
    /// Two objects of one name are two sysfs folders of one name.
    #[error("patch '{patch}' lists object '{object}' twice: put its functions together")]
    DuplicateObject {
        /// The patch.
        patch: String,
        /// The object named twice.
        object: ObjName,
    },
    /// The same for functions.
    #[error("patch '{patch}' replaces function '{func},{sympos}' of '{object}' twice", sympos = .sympos.0)]
    DuplicateFunc {
        /// The patch.
        patch: String,
        /// The object.
        object: ObjName,
        /// The function named twice.
        func: String,
        /// Its position.
        sympos: Sympos,
    },
    /// `klp_init_func` wants a name shorter than `KSYM_NAME_LEN`.
    #[error("'{func}' of '{object}' is not a function's name: expected 1 to 511 bytes")]
    FuncName {
        /// The object.
        object: ObjName,
        /// The name.
        func: String,
    },
    /// `klp_get_state` stops at the first state of an id, a second one would be dead text.
    #[error("patch '{patch}' declares state {id} twice: keep the one with the higher version")]
    DuplicateState {
        /// The patch.
        patch: String,
        /// The id declared twice.
        id: u64,
    },
    /// A `klp_state` array ends at the first id 0 (`klp_for_each_state`).
    #[error(
        "patch '{0}' declares a state with id 0, which ends the kernel's list of states: count from 1"
    )]
    StateZero(String),
}

impl PatchError {
    /// Whether the kernel refuses the patch for it, or takes it and it is only a mistake.
    pub fn is_refused(&self) -> bool {
        match self {
            Self::DuplicateObject { .. } | Self::DuplicateFunc { .. } | Self::FuncName { .. } => {
                true
            }
            Self::NoObject(_) | Self::DuplicateState { .. } | Self::StateZero(_) => false,
        }
    }
}

impl KlpObject {
    /// Whether the object replaces this function (`klp_find_func`).
    fn has(&self, func: &KlpFunc) -> bool {
        let same = |ours: &KlpFunc| {
            ours.old_name == func.old_name && ours.sympos.same_symbol_if_unique(func.sympos)
        };
        self.funcs.iter().any(same)
    }
}

impl KlpPatch {
    /// The object of this name, if the patch has something to do with it.
    pub fn object(&self, name: &ObjName) -> Option<&KlpObject> {
        self.objects.iter().find(|object| &object.name == name)
    }

    /// Everything for which the kernel would refuse this patch, or take it and do nothing with some of it.
    pub fn defects(&self) -> Vec<PatchError> {
        let mut defects = Vec::new();
        if self.objects.is_empty() {
            defects.push(PatchError::NoObject(self.name.clone()));
        }
        let mut names = BTreeSet::new();
        for object in &self.objects {
            if !names.insert(&object.name) {
                defects.push(PatchError::DuplicateObject {
                    patch: self.name.clone(),
                    object: object.name.clone(),
                });
            }
            self.func_defects(object, &mut defects);
        }
        self.state_defects(&mut defects);
        defects
    }

    /// The functions that must go back to the original code when this patch replaces `installed`
    /// (`klp_add_nops`): those that an installed patch redirects and this one does not. Positions 0 and 1 are one
    /// function, as in `klp_find_func` since 6.19 and in the stable kernels that took that change.
    ///
    /// Empty unless the patch replaces.
    pub fn nops(&self, installed: &[Self]) -> Vec<(ObjName, KlpFunc)> {
        if !self.replace {
            return Vec::new();
        }
        let theirs = installed.iter().flat_map(|patch| &patch.objects);
        let nops: BTreeSet<_> = theirs
            .flat_map(|object| {
                object
                    .funcs
                    .iter()
                    .map(|func| (object.name.clone(), func.clone()))
            })
            .filter(|(name, func)| !self.object(name).is_some_and(|object| object.has(func)))
            .collect();
        nops.into_iter().collect()
    }

    fn func_defects(&self, object: &KlpObject, defects: &mut Vec<PatchError>) {
        let mut funcs = BTreeSet::new();
        for func in &object.funcs {
            if func.old_name.is_empty() || func.old_name.len() >= KSYM_NAME_LEN {
                defects.push(PatchError::FuncName {
                    object: object.name.clone(),
                    func: func.old_name.clone(),
                });
            }
            if !funcs.insert((&func.old_name, func.sympos.0.max(1))) {
                defects.push(PatchError::DuplicateFunc {
                    patch: self.name.clone(),
                    object: object.name.clone(),
                    func: func.old_name.clone(),
                    sympos: func.sympos,
                });
            }
        }
    }

    fn state_defects(&self, defects: &mut Vec<PatchError>) {
        let mut ids = BTreeSet::new();
        for state in &self.states {
            if state.id == 0 {
                defects.push(PatchError::StateZero(self.name.clone()));
            }
            if !ids.insert(state.id) {
                defects.push(PatchError::DuplicateState {
                    patch: self.name.clone(),
                    id: state.id,
                });
            }
        }
    }
}

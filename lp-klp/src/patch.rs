//! The versions of each function, one on top of the other, and which of them a task runs.
//!
//! The rules are `klp_ftrace_handler`, `klp_patch_func` and `klp_unpatch_func` of `kernel/livepatch/patch.c` (6.1).
//! The tempting wrong way is to restore the original when a patch goes: what comes to the top is the version below.

use crate::transition::PatchState;
use std::collections::BTreeMap;

/// Number of a patch, in order of loading; never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PatchId(pub u64);

/// A function of a patch. Two of one patch can redirect one function, where it has two names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FuncId {
    /// Whose it is.
    pub patch: PatchId,
    /// Which one, counted over all its objects; nops come last.
    pub number: u32,
}

/// One version of a function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// The code that the target came with; a nop runs it, too.
    Original,
    /// A patch's.
    Patched(FuncId),
}

/// An entry of a function's stack (`struct klp_func` on `klp_ops.func_stack`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// Which function of which patch.
    pub func: FuncId,
    /// Whether it stands for the original code (`func->nop`).
    pub nop: bool,
    /// Whether tasks that have not switched pass it by (`func->transition`).
    pub transition: bool,
}

impl Entry {
    /// The code that it leads to.
    pub fn version(&self) -> Version {
        if self.nop {
            Version::Original
        } else {
            Version::Patched(self.func)
        }
    }
}

/// All functions that are redirected, by entry (`klp_ops`).
#[derive(Debug, Clone)]
pub struct FuncStacks<S>(BTreeMap<S, Vec<Entry>>);

impl<S> Default for FuncStacks<S> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<S: Copy + Ord> FuncStacks<S> {
    /// The versions of a function from the oldest patch's to the newest's; none where it is not redirected.
    pub fn of(&self, site: S) -> &[Entry] {
        self.0.get(&site).map_or(&[], Vec::as_slice)
    }

    /// What a task runs that calls the function now.
    pub fn runs(&self, site: S, task: PatchState) -> Version {
        let mut newest_first = self.of(site).iter().rev();
        let top = newest_first.next();
        let chosen = match top {
            Some(entry) if entry.transition && task == PatchState::Unpatched => newest_first.next(),
            _ => top,
        };
        chosen.map_or(Version::Original, Entry::version)
    }

    /// What ran before a function of a patch, to which an unswitched task may have to return.
    pub fn below(&self, site: S, func: FuncId) -> Version {
        let below = self
            .of(site)
            .iter()
            .rev()
            .skip_while(|entry| entry.func != func);
        below
            .skip(1)
            .map(Entry::version)
            .next()
            .unwrap_or(Version::Original)
    }

    pub(crate) fn push(&mut self, site: S, entry: Entry) -> Vec<Version> {
        self.0.entry(site).or_default().push(entry);
        self.versions(site)
    }

    pub(crate) fn remove(&mut self, site: S, func: FuncId) -> Vec<Version> {
        if let Some(stack) = self.0.get_mut(&site) {
            stack.retain(|entry| entry.func != func);
            if stack.is_empty() {
                self.0.remove(&site);
            }
        }
        self.versions(site)
    }

    pub(crate) fn set_transition(&mut self, site: S, patch: PatchId, transition: bool) {
        let stack = self.0.get_mut(&site).into_iter().flatten();
        for entry in stack.filter(|entry| entry.func.patch == patch) {
            entry.transition = transition;
        }
    }

    fn versions(&self, site: S) -> Vec<Version> {
        self.of(site).iter().map(Entry::version).collect()
    }
}

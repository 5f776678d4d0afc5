//! Which patch can follow which, and how to get from one to another.
//!
//! Each step is one patch over the one before it, by the same rules as a single check. A patch that does not replace
//! leaves the one below it installed, so the next step must suit both.

use crate::installed::Installed;
use crate::kernel::Kernel;
use crate::patch::Patch;
use crate::reader::Module;
use crate::rules;
use std::collections::{BTreeSet, VecDeque};

/// What can be loaded over what; `allowed[over][new]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Matrix {
    /// The patches, in the order given.
    pub names: Vec<String>,
    /// Row: what is installed, alone. Column: what is loaded. None on the diagonal: a patch is not loaded over itself.
    pub allowed: Vec<Vec<Option<Vec<String>>>>,
}

/// Checks every pair, on a kernel if its files are given. What a cell holds are the reasons against it; none means that it is allowed.
pub fn matrix(modules: &[Module], kernel: Option<&Kernel>) -> Matrix {
    let cell = |over: &Module, new: &Module| reasons(new, &[over.patch()], kernel);
    let row = |at: usize, over: &Module| {
        let cells = modules
            .iter()
            .enumerate()
            .map(|(column, new)| (column != at).then(|| cell(over, new)));
        cells.collect()
    };
    Matrix {
        names: modules.iter().map(|module| module.patch().name).collect(),
        allowed: modules
            .iter()
            .enumerate()
            .map(|(at, over)| row(at, over))
            .collect(),
    }
}

/// More sets of installed patches than can be looked through: patches that stack make one of each subset of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "more than {MOST_STATES} sets of installed patches were tried without getting there, and there are more: give fewer modules"
)]
pub struct TooMany;

/// The shortest sequence of loads that leads from one patch to another, both included; none if there is none.
///
/// Breadth first over (what is installed). A state is the list of installed patches; what replaces starts it anew.
pub fn plan(
    modules: &[Module],
    (from, to): (usize, usize),
    kernel: Option<&Kernel>,
) -> Result<Option<Vec<usize>>, TooMany> {
    let mut waiting = VecDeque::from([(vec![from], vec![from])]);
    let mut seen = BTreeSet::from([BTreeSet::from([from])]);
    while let Some((installed, steps)) = waiting.pop_front() {
        if installed.last() == Some(&to) {
            return Ok(Some(steps));
        }
        for (next, module) in modules.iter().enumerate() {
            if installed.contains(&next) {
                continue;
            }
            let patches: Vec<Patch> = installed
                .iter()
                .map(|index| modules[*index].patch())
                .collect();
            if !reasons(module, &patches, kernel).is_empty() {
                continue;
            }
            let after = match module.patch().replace {
                Ok(true) => vec![next],
                _ => [installed.as_slice(), &[next]].concat(),
            };
            if seen.insert(after.iter().copied().collect()) {
                if seen.len() > MOST_STATES {
                    return Err(TooMany);
                }
                waiting.push_back((after, [steps.as_slice(), &[next]].concat()));
            }
        }
    }
    Ok(None)
}

const MOST_STATES: usize = 10_000;

fn reasons(new: &Module, installed: &[Patch], kernel: Option<&Kernel>) -> Vec<String> {
    let findings = rules::check(new, &Installed::of_patches(installed.to_vec()), kernel);
    findings
        .into_iter()
        .filter(|finding| finding.is_error())
        .map(|finding| finding.to_string())
        .collect()
}

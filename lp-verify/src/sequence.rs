//! Which patch can follow which, and how to get from one to another.
//!
//! Each step is one patch over the one before it, by the same rules as a single check. A patch that does not replace
//! leaves the one below it installed, so the next step must suit both.

use crate::installed::Installed;
use crate::patch::Patch;
use crate::reader::Module;
use crate::rules;
use std::collections::VecDeque;

/// What can be loaded over what; `allowed[over][new]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Matrix {
    /// The patches, in the order given.
    pub names: Vec<String>,
    /// Row: what is installed, alone. Column: what is loaded. None on the diagonal: a patch is not loaded over itself.
    pub allowed: Vec<Vec<Option<Vec<String>>>>,
}

/// Checks every pair. What a cell holds are the reasons against it; none means that it is allowed.
pub fn matrix(modules: &[Module]) -> Matrix {
    let cell = |over: &Module, new: &Module| reasons(new, &[over.patch()]);
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

/// The shortest sequence of loads that leads from one patch to another, both included; none if there is none.
///
/// Breadth first over (what is installed). A state is the list of installed patches; what replaces starts it anew.
pub fn plan(modules: &[Module], from: usize, to: usize) -> Option<Vec<usize>> {
    let mut waiting = VecDeque::from([(vec![from], vec![from])]);
    let mut seen = vec![vec![from]];
    while let Some((installed, steps)) = waiting.pop_front() {
        if installed.last() == Some(&to) {
            return Some(steps);
        }
        for (next, module) in modules.iter().enumerate() {
            if installed.contains(&next) {
                continue;
            }
            let patches: Vec<Patch> = installed
                .iter()
                .map(|index| modules[*index].patch())
                .collect();
            if !reasons(module, &patches).is_empty() {
                continue;
            }
            let after = match module.patch().replace {
                Ok(true) => vec![next],
                _ => [installed.as_slice(), &[next]].concat(),
            };
            let sorted = |list: &[usize]| {
                let mut list = list.to_vec();
                list.sort_unstable();
                list
            };
            if seen.len() < MOST_STATES && !seen.contains(&sorted(&after)) {
                seen.push(sorted(&after));
                waiting.push_back((after, [steps.as_slice(), &[next]].concat()));
            }
        }
    }
    None
}

/// Patches that stack without replacing make as many states as there are subsets of them.
const MOST_STATES: usize = 10_000;

fn reasons(new: &Module, installed: &[Patch]) -> Vec<String> {
    let findings = rules::check(new, &Installed::of_patches(installed.to_vec()), None);
    findings
        .into_iter()
        .filter(|finding| finding.is_error())
        .map(|finding| finding.to_string())
        .collect()
}

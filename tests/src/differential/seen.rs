//! What is compared after each step: all that can be seen of the livepatch core from outside, as lines.
//!
//! Both sides write it with the same functions, so that a difference is one of fact. The order of what has no order is by name.

use std::collections::BTreeSet;
use std::fmt::Write;

use lp_klp::target::Callback;

/// A side's view after a step.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    lines: Vec<String>,
}

/// An object of a patch.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SeenObject {
    /// Its name.
    pub name: String,
    /// sysfs `patched`.
    pub patched: bool,
    /// Its functions' folders, `NAME,POSITION`.
    pub functions: BTreeSet<String>,
}

/// A state as a callback sees it: version, and what is kept with it.
pub type SeenState = (u32, u64);

impl Seen {
    /// What the operation answered.
    pub fn answer(&mut self, answer: Result<(), i32>) {
        self.lines.push(match answer {
            Ok(()) => "answer: done".to_owned(),
            Err(errno) => format!("answer: errno {errno}"),
        });
    }

    /// Whether the operation was done.
    pub fn is_done(&self) -> bool {
        self.lines
            .first()
            .is_some_and(|line| line == "answer: done")
    }

    /// An installed patch; from the oldest to the newest.
    pub fn patch(
        &mut self,
        name: &str,
        enabled: bool,
        transition: bool,
        mut objects: Vec<SeenObject>,
    ) {
        self.lines.push(format!(
            "patch {name}: enabled {enabled}, transition {transition}"
        ));
        objects.sort();
        for object in objects {
            let functions: Vec<String> = object.functions.into_iter().collect();
            self.lines.push(format!(
                "  {}: patched {}, functions [{}]",
                object.name,
                object.patched,
                functions.join(" ")
            ));
        }
    }

    /// Which version of a function answers.
    pub fn runs(&mut self, function: &str, version: &str) {
        self.lines.push(format!("{function}: {version}"));
    }

    /// A patch's module that is loaded, and whether it cannot be removed.
    pub fn module(&mut self, name: &str, pinned: bool) {
        self.lines.push(format!("module {name}: pinned {pinned}"));
    }

    /// What callbacks said, in order.
    pub fn said(&mut self, lines: impl IntoIterator<Item = String>) {
        self.lines
            .extend(lines.into_iter().map(|line| format!("callback: {line}")));
    }

    /// Where two sides differ: lines with `-` are the model's alone, with `+` the kernel's alone.
    pub fn difference(&self, kernel: &Self) -> String {
        let only = |ours: &Self, theirs: &Self, mark: char| -> Vec<String> {
            let mut theirs = theirs.lines.clone();
            let mut lone = Vec::new();
            for line in &ours.lines {
                match theirs.iter().position(|other| other == line) {
                    Some(twin) => drop(theirs.swap_remove(twin)),
                    None => lone.push(format!("{mark} {line}")),
                }
            }
            lone
        };
        let mut lines = only(self, kernel, '-');
        lines.extend(only(kernel, self, '+'));
        if lines.is_empty() {
            lines.push("the same lines in another order:".to_owned());
            lines.extend(self.lines.iter().map(|line| format!("- {line}")));
            lines.extend(kernel.lines.iter().map(|line| format!("+ {line}")));
        }
        lines.join("\n")
    }
}

/// What a callback says, as `tell` of `tests/differential/patch.h` writes it; its own and the previous state of ids 1 to 3.
pub fn told(
    patch: &str,
    object: &str,
    callback: Callback,
    states: [(Option<SeenState>, Option<SeenState>); 3],
) -> String {
    let mut line = format!("{patch} {object} {callback}");
    for (id, (own, previous)) in (1..).zip(states) {
        for (mark, state) in [(':', own), ('<', previous)] {
            if let Some((version, data)) = state {
                // Writing to a string does not fail.
                let _ = write!(line, " {id}{mark}{version}.{data}");
            }
        }
    }
    line
}

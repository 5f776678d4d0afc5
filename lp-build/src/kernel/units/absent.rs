//! Why a C file becomes no object of the kernel: it is switched off, or it is used in a way that we do not know.
//!
//! Only a positive reason makes a file absent: the kernel's build lists it beside its folder's other objects (so that make,
//! which was asked, has decided), or an unset option keeps the build out of the folder. The tempting wrong way is to take
//! every file without an object for one that is switched off: `lib/gen_crc32table.c` is a program of the build, and the fix
//! would be left out in silence. What another folder's Makefile links was found before ([`super::elsewhere`]).

use crate::kernel::kbuild::makefile::{Makefiles, folder, object_of};
use crate::kernel::running::config::Config;
use crate::report::RefusalReport;

/// What a file without an object of its own is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// The configuration leaves it out.
    Absent,
    /// It is used in a way that cannot be patched; the code and the reason.
    Refused(&'static str, String),
}

impl Fate {
    /// The refusal, if it is one.
    pub fn refusal(&self, source: &str) -> Option<RefusalReport> {
        let Self::Refused(code, message) = self else {
            return None;
        };
        Some(RefusalReport {
            code: (*code).to_owned(),
            place: source.to_owned(),
            message: message.clone(),
            source: None,
        })
    }
}

/// Decides what a C file is that make links nowhere.
pub fn fate(source: &str, makefiles: &Makefiles, config: &Config) -> Fate {
    let object = object_of(source);
    if let Some(program) = build_tool(source, makefiles) {
        let message = format!(
            "it is part of the program {program}, which the build runs, not of the kernel: leave it as it was"
        );
        return Fate::Refused("changed-build-tool", message);
    }
    if is_listed(&object, makefiles) || is_switched_off(folder(source), makefiles, config) {
        return Fate::Absent;
    }
    let message = "no Makefile of its folder or of those above says which object it becomes, so it cannot be left out: \
                   leave it as it was"
        .to_owned();
    Fate::Refused("unknown-owner", message)
}

/// A folder, the one above it, and so on to the tree's own.
fn folders(path: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(folder(path)), |at| {
        (!at.is_empty()).then(|| folder(at))
    })
}

/// The program of the build that the file belongs to.
pub fn build_tool<'a>(source: &str, makefiles: &'a Makefiles) -> Option<&'a str> {
    let stem = source.strip_suffix(".c").unwrap_or(source);
    let makefile = makefiles.of(folder(source))?;
    let name = stem.rsplit('/').next().unwrap_or(stem);
    let object = format!("{name}.o");
    let mut programs = makefile.iter().filter(|assignment| {
        ["hostprogs", "userprogs"]
            .iter()
            .any(|prefix| assignment.variable.starts_with(prefix))
    });
    programs.find_map(|assignment| {
        let mut programs = assignment.words.iter();
        programs.find_map(|program| {
            let part = makefile.iter().any(|assignment| {
                assignment.is_part_of(program) && assignment.words.contains(&object)
            });
            (program == name || part).then_some(program.as_str())
        })
    })
}

/// Whether the build lists the object in its folder or from one above, so that make knew it when it was asked.
fn is_listed(object: &str, makefiles: &Makefiles) -> bool {
    folders(object).any(|folder| {
        let inside = match folder {
            "" => object,
            folder => object
                .strip_prefix(folder)
                .and_then(|rest| rest.strip_prefix('/'))
                .unwrap_or(object),
        };
        makefiles.lists(folder, inside)
    })
}

/// Whether every way of the build into the folder, or into one above it, needs an option that is not set.
pub fn is_switched_off(folder_of: &str, makefiles: &Makefiles, config: &Config) -> bool {
    let mut at = folder_of;
    while !at.is_empty() {
        let (parent, name) = at.rsplit_once('/').unwrap_or(("", at));
        let prefix = format!("{name}/");
        let mut ways = makefiles
            .of(parent)
            .into_iter()
            .flatten()
            .filter(|assignment| {
                let mut words = assignment.words.iter();
                words.any(|word| word.trim_start_matches("./").starts_with(&prefix))
            })
            .peekable();
        let is_off = |option: &str| !config.contains_key(option);
        if ways.peek().is_some()
            && ways.all(|assignment| assignment.descends_for().is_some_and(is_off))
        {
            return true;
        }
        at = parent;
    }
    false
}

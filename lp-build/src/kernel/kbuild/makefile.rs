//! What the kernel's Makefiles assign to which variable, as text: nothing is evaluated.
//!
//! Only make knows which of it counts in a configuration; this says what is written there at all. The tempting wrong
//! way is to go on from here and become make.

use crate::tree::walk::{Kind, Listing};
use rayon::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// One assignment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    /// The variable as it is written, such as `obj-$(CONFIG_X)`.
    pub variable: String,
    /// What is assigned or added.
    pub words: Vec<String>,
}

impl Assignment {
    /// Whether it lists parts of the object or program: `NAME-y`, `NAME-objs`, `NAME-$(..)`.
    pub fn is_part_of(&self, name: &str) -> bool {
        let rest = self.variable.strip_prefix(name);
        rest.and_then(|rest| rest.strip_prefix('-'))
            .is_some_and(|suffix| {
                ["y", "m", "objs"].contains(&suffix)
                    || suffix.starts_with("$(")
                    || suffix.starts_with("objs-")
            })
    }

    /// Whether its words are what the build makes, rather than flags, goals of make or programs.
    pub fn names_objects(&self) -> bool {
        let others = ["targets", "clean-files", "hostprogs", "userprogs"];
        !others.contains(&self.variable.as_str()) && !self.variable.contains("FLAGS")
    }

    /// The one option that its list of objects depends on.
    pub fn descends_for(&self) -> Option<&str> {
        let option = self.variable.strip_prefix("obj-$(")?.strip_suffix(')')?;
        let plain = option.starts_with("CONFIG_")
            && option
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        plain.then_some(option)
    }

    /// Whether a word stands for its words: `$(a-y)` for those of `a-y` and, by what the option is set to, of `a-$(CONFIG_A)`.
    fn is_read_by(&self, word: &str) -> bool {
        let by_option = self.variable.split_once("-$(").map(|(stem, _)| stem);
        let values = ["y", "m", ""].map(|value| by_option.map(|stem| format!("{stem}-{value}")));
        let mut names = values.into_iter().flatten().chain([self.variable.clone()]);
        names.any(|name| word.contains(&format!("$({name})")))
    }

    fn is_root(&self) -> bool {
        ["obj-", "lib-", "extra-"]
            .iter()
            .any(|prefix| self.variable.starts_with(prefix))
    }
}

/// The Makefiles that can take part in the kernel's build, by their paths.
#[derive(Debug, Clone, Default)]
pub struct Makefiles {
    all: BTreeMap<String, Vec<Assignment>>,
    /// The folders whose own Makefile includes one of this name, which is all that its variables leave certain.
    included: BTreeMap<String, BTreeSet<String>>,
}

impl Makefiles {
    /// Reads a tree's Makefiles; one that cannot be read assigns nothing.
    pub fn read(root: &Path, listing: &Listing, arch: &str) -> Self {
        let paths: Vec<&String> = listing
            .iter()
            .filter(|(path, kind)| **kind == Kind::File && counts(path, arch))
            .map(|(path, _)| path)
            .collect();
        let read = |path: &&String| {
            let text = std::fs::read(root.join(path)).unwrap_or_default();
            let text = String::from_utf8_lossy(&text);
            ((*path).clone(), parse(&text), includes(&text))
        };
        let read: Vec<_> = paths.par_iter().map(read).collect();
        let mut found = Self::default();
        for (path, assignments, includes) in read {
            for name in includes {
                let folders = found.included.entry(name).or_default();
                folders.insert(folder(&path).to_owned());
            }
            found.all.insert(path, assignments);
        }
        found
    }

    /// The folders in whose build a Makefile takes part: its own where kbuild reads it, and those that include it.
    pub fn builds<'a>(&'a self, path: &'a str) -> impl Iterator<Item = &'a str> {
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        let own = ["Makefile", "Kbuild"].contains(&name).then_some(folder);
        let including = self.included.get(name).into_iter().flatten();
        let including = including.map(String::as_str);
        own.into_iter()
            .chain(including.filter(move |at| Some(*at) != own))
    }

    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = (&str, &[Assignment])> {
        let all = self.all.iter();
        all.map(|(path, assignments)| (path.as_str(), assignments.as_slice()))
    }

    /// Each word that can be an object in a list of objects, with the Makefile and the assignment that it stands in.
    pub fn objects(&self) -> impl Iterator<Item = (&str, &Assignment, &str)> {
        self.all().flat_map(|(makefile, assignments)| {
            let lists = assignments.iter().filter(|list| list.names_objects());
            lists.flat_map(move |list| {
                let words = list.words.iter();
                let words = words.map(|word| word.trim_end_matches([')', ',']));
                words
                    .filter(|word| word.ends_with(".o"))
                    .map(move |word| (makefile, list, word))
            })
        })
    }

    /// The one that the build reads in a folder.
    pub fn of(&self, folder: &str) -> Option<&[Assignment]> {
        let of = |name: &str| self.all.get(&normal(folder, name)).map(Vec::as_slice);
        of("Kbuild").or_else(|| of("Makefile"))
    }

    /// Whether an object, by its path inside the folder, is in the folder's lists, directly or as a part of another object.
    pub fn lists(&self, folder: &str, object: &str) -> bool {
        let Some(assignments) = self.of(folder) else {
            return false;
        };
        let mut reached = BTreeSet::new();
        let mut pending: Vec<usize> = (0..assignments.len())
            .filter(|&index| assignments.get(index).is_some_and(Assignment::is_root))
            .collect();
        while let Some(index) = pending.pop() {
            let Some(assignment) = assignments.get(index).filter(|_| reached.insert(index)) else {
                continue;
            };
            for word in &assignment.words {
                let word = word.trim_start_matches("./");
                let word = word.strip_prefix("$(obj)/").unwrap_or(word);
                if word == object {
                    return true;
                }
                let leads = |next: &Assignment| match word.strip_suffix(".o") {
                    Some(stem) => next.is_part_of(stem),
                    None => next.is_read_by(word),
                };
                let next = assignments.iter().enumerate();
                pending.extend(next.filter(|(_, next)| leads(next)).map(|(index, _)| index));
            }
        }
        false
    }

    /// A word with the variable that it begins with replaced, where the same file says what it is.
    pub fn expanded(&self, path: &str, word: &str) -> String {
        let variable = word
            .strip_prefix("$(")
            .and_then(|rest| rest.split_once(')'));
        let Some((name, rest)) = variable else {
            return word.to_owned();
        };
        if ["obj", "src"].contains(&name) {
            return rest.trim_start_matches('/').to_owned();
        }
        if name == "srctree" {
            // As if from a folder of its own, so that it counts as reaching out.
            return format!("..{rest}");
        }
        let value = self.all.get(path).into_iter().flatten();
        let value = value.filter(|assignment| assignment.variable == name);
        match value
            .map(|assignment| assignment.words.join(" "))
            .next_back()
        {
            Some(value) if !value.contains("$(") => format!("{value}{rest}"),
            _ => word.to_owned(),
        }
    }
}

/// A path from a folder without `.` and `..`; what would climb out of the tree stays at its top.
pub fn normal(folder: &str, path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in folder.split('/').chain(path.split('/')) {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// The folder that a path is in; empty at the tree's top.
pub fn folder(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// The last part of a path.
pub fn name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// The object that a source becomes.
pub fn object_of(source: &str) -> String {
    let stem = source
        .strip_suffix(".c")
        .or_else(|| source.strip_suffix(".S"));
    format!("{}.o", stem.unwrap_or(source))
}

fn counts(path: &str, arch: &str) -> bool {
    let name = name(path);
    let other_arch = path.strip_prefix("arch/").is_some_and(|rest| {
        // What is under `um` is for the kernel that runs as a program.
        rest.split('/').next().is_some_and(|name| name != arch) || rest.contains("/um/")
    });
    let outside = ["Documentation/", "samples/", "scripts/", "tools/"];
    (name.starts_with("Makefile") || name.starts_with("Kbuild"))
        && !other_arch
        && !outside.iter().any(|top| path.starts_with(top))
}

/// The names of the Makefiles that one includes, without their folders.
fn includes(text: &str) -> BTreeSet<String> {
    let lines = text.lines().map(str::trim_start);
    let included = lines.filter_map(|line| {
        let line = line.strip_prefix(['-', 's']).unwrap_or(line);
        line.strip_prefix("include ")
    });
    let words = included.flat_map(str::split_ascii_whitespace);
    words
        .filter_map(|word| word.rsplit('/').next())
        .filter(|name| !["Makefile", "Kbuild"].contains(name))
        .map(str::to_owned)
        .collect()
}

/// The assignments of a Makefile.
pub fn parse(text: &str) -> Vec<Assignment> {
    let text = text.replace("\\\n", " ");
    text.lines()
        .filter_map(|line| {
            let line = line.split('#').next().unwrap_or(line);
            let (variable, value) = line.split_at_checked(operator(line)?)?;
            let variable = variable.trim_end_matches(['+', ':', '?']).trim();
            let variable = variable.strip_prefix("export ").unwrap_or(variable);
            Some(Assignment {
                variable: variable.to_owned(),
                words: words(value.trim_start_matches('=')),
            })
        })
        .collect()
}

/// The words of a value; those that `$(addprefix ..)` and `$(addsuffix ..)` are given are as these make them.
fn words(value: &str) -> Vec<String> {
    let call = ["$(addprefix ", "$(addsuffix "].map(|name| Some((value.find(name)?, name)));
    let Some((start, name)) = call.into_iter().flatten().min() else {
        return value.split_ascii_whitespace().map(str::to_owned).collect();
    };
    let (before, call) = value.split_at(start);
    let inside = call.get(name.len()..).unwrap_or_default();
    let (inside, after) = inside.split_at(closing(inside).unwrap_or(inside.len()));
    let (affix, given) = inside.split_once(',').unwrap_or(("", inside));
    let affix = affix.trim();
    let made = words(given).into_iter().map(|word| match name {
        "$(addprefix " => format!("{affix}{word}"),
        _ => format!("{word}{affix}"),
    });
    let mut all = words(before);
    all.extend(made);
    all.extend(words(after.strip_prefix(')').unwrap_or(after)));
    all
}

/// Where the bracket closes that was opened before this text.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 0_i32;
    let mut signs = text.char_indices();
    let (at, _) = signs.find(|(_, sign)| {
        depth += match sign {
            '(' => 1,
            ')' => -1,
            _ => 0,
        };
        depth < 0
    })?;
    Some(at)
}

/// Where the `=` of an assignment is; those inside `$(..)` are none.
fn operator(line: &str) -> Option<usize> {
    let mut depth = 0_i32;
    for (at, c) in line.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            '=' if depth == 0 => return Some(at),
            _ => {}
        }
    }
    None
}

//! Paths that go through `..`, in a patched tree that is made of links.
//!
//! `a/../x.h` leads out of the tree where `a` is a link to the original's folder. So every folder from which a path climbs
//! is made a real one: those of the compile commands, and those of includes that can mean a touched file. The tempting wrong
//! way is to make all folders real: that is 60,000 links for a header.

use super::commands::CompileCommand;
use crate::tree::patch;
use anyhow::Result;
use std::collections::BTreeSet;
use std::path::Path;

/// An include such as `../x.h`, which can mean a touched file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Climb {
    /// The folder of the file that includes.
    pub folder: String,
    /// What it includes.
    pub name: String,
}

/// Makes the folders real from which the commands or the includes climb.
pub fn open<'a>(
    (orig, patched): (&Path, &Path),
    commands: impl Iterator<Item = &'a CompileCommand>,
    climbs: &[Climb],
) -> Result<()> {
    let mut folders = BTreeSet::new();
    let mut bases: BTreeSet<String> = climbs.iter().map(|climb| climb.folder.clone()).collect();
    for command in commands {
        for word in command.steps.iter().flatten() {
            let Some((option, path)) = inside(word, &command.tree) else {
                continue;
            };
            let climbed = climbed("", path);
            if option.starts_with("-I") || option.is_empty() {
                bases.insert(climbed.end);
            }
            folders.extend(climbed.from);
        }
    }
    for base in &bases {
        for climb in climbs {
            folders.extend(climbed(base, &climb.name).from);
        }
    }
    for folder in folders {
        patch::open_folder(orig, patched, Path::new(&folder))?;
    }
    Ok(())
}

/// The path inside the tree that a word ends in, and what stands before the tree's.
fn inside<'w>(word: &'w str, tree: &str) -> Option<(&'w str, &'w str)> {
    let (option, path) = word.split_at_checked(word.find('/')?)?;
    let rest = path.strip_prefix(tree)?;
    Some((option, rest.strip_prefix('/')?))
}

/// Where a path leads, and the folders that it climbs from.
#[derive(Debug, PartialEq, Eq)]
pub struct Climbed {
    /// Each folder before a `..`.
    pub from: Vec<String>,
    /// The path without them.
    pub end: String,
}

/// Follows `path` from the folder `base`; what leads above the tree stays there.
pub fn climbed(base: &str, path: &str) -> Climbed {
    let mut at: Vec<&str> = Vec::new();
    let mut from = Vec::new();
    for part in base.split('/').chain(path.split('/')) {
        match part {
            "" | "." => {}
            ".." => {
                from.push(at.join("/"));
                at.pop();
            }
            part => at.push(part),
        }
    }
    Climbed {
        from,
        end: at.join("/"),
    }
}

//! Which folders' builds may link an object of another folder: `arch/x86/kvm/Makefile` links `virt/kvm/kvm_main.o`.
//!
//! The Makefiles are read as text and err on the side of too many; kbuild is asked afterwards ([`crate::kernel::kbuild::commands`]), so that what a
//! variable holds never decides. The tempting wrong way is to ask for a file's own folder alone: a fix would reach one of
//! the two objects that a file becomes, or none.

use super::absent::is_switched_off;
use crate::kernel::kbuild::makefile::{Assignment, Makefiles, folder, name, normal, object_of};
use crate::kernel::running::config::Config;
use std::collections::{BTreeSet, HashMap};

/// The lists of objects in all Makefiles that can mean an object of another folder, by the object's name.
pub struct Elsewhere<'a> {
    makefiles: &'a Makefiles,
    config: &'a Config,
    lists: HashMap<&'a str, Vec<Reach<'a>>>,
}

/// A word of a list and the Makefile that it is in.
struct Reach<'a> {
    makefile: &'a str,
    word: &'a str,
    /// It stands in a call such as `$(addprefix ../x/, a.o b.o)`.
    computed: bool,
}

impl<'a> Elsewhere<'a> {
    /// Reads the lists.
    pub fn new(makefiles: &'a Makefiles, config: &'a Config) -> Self {
        let mut lists: HashMap<&str, Vec<Reach<'_>>> = HashMap::new();
        for (makefile, list, word) in makefiles.objects() {
            let computed = calls(list);
            if computed || word.contains('/') {
                let reach = Reach {
                    makefile,
                    word,
                    computed,
                };
                lists.entry(name(word)).or_default().push(reach);
            }
        }
        Self {
            makefiles,
            config,
            lists,
        }
    }

    /// The folders to ask for a source.
    pub fn folders(&self, source: &str) -> BTreeSet<&'a str> {
        let object = object_of(source);
        let reaches = self.lists.get(name(&object)).into_iter().flatten();
        let folders = reaches.flat_map(|reach| {
            let builds = self.makefiles.builds(reach.makefile);
            builds.filter(|at| self.can_mean(reach, at, &object))
        });
        folders
            .filter(|at| !is_switched_off(at, self.makefiles, self.config))
            .collect()
    }

    /// Whether the word in the build of the folder `at` can be the object from outside that folder.
    fn can_mean(&self, reach: &Reach<'_>, at: &str, object: &str) -> bool {
        let word = self.makefiles.expanded(reach.makefile, reach.word);
        if word.contains("$(") || reach.computed {
            // A folder lists its own objects and those below without a detour, and make was asked about these.
            return folder(object) != at;
        }
        let climbs = word.split('/').any(|part| part == "..");
        climbs && (normal(at, &word) == object || normal("", &word) == object)
    }
}

/// The folders above a source whose builds may reach it in a way that no text tells, the nearest first.
pub fn above<'a>(source: &'a str, makefiles: &Makefiles) -> Vec<&'a str> {
    // What is at the top of the tree goes over too much: minutes for a large configuration.
    std::iter::successors(Some(folder(source)), |at| Some(folder(at)))
        .take_while(|at| at.contains('/'))
        .filter(|at| makefiles.of(at).is_some())
        .collect()
}

/// Whether words of an assignment are arguments of one of make's functions.
fn calls(assignment: &Assignment) -> bool {
    let mut words = assignment.words.iter();
    words.any(|word| word.contains("$(") && !word.contains(')'))
}

//! Which files this configuration can build at all: what a header reaches is narrowed by it before make is asked.
//!
//! Only a reason in the Makefiles leaves a file out: no list names its object, or every list that does hangs on an option that is
//! not set. What a Makefile computes counts as built, so it errs on the side of too many; make decides afterwards.

use super::absent;
use crate::kernel::kbuild::makefile::{Assignment, Makefiles, folder, name, normal, object_of};
use crate::kernel::running::config::Config;
use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};

/// How deep objects may be parts of objects; the kernel needs three.
const MAX_DEPTH: usize = 16;

/// What the Makefiles say in a configuration.
pub struct Built<'a> {
    makefiles: &'a Makefiles,
    config: &'a Config,
    /// The lists that name an object, by the last part of its path.
    mentions: HashMap<&'a str, Vec<Mention<'a>>>,
    /// Options that a Makefile itself sets.
    set: BTreeSet<&'a str>,
    off: RefCell<HashMap<String, bool>>,
}

#[derive(Debug, Clone, Copy)]
struct Mention<'a> {
    makefile: &'a str,
    assignment: &'a Assignment,
    word: &'a str,
}

impl<'a> Built<'a> {
    /// Reads the lists.
    pub fn new(makefiles: &'a Makefiles, config: &'a Config) -> Self {
        let mut mentions: HashMap<&str, Vec<Mention<'_>>> = HashMap::new();
        let mut set = BTreeSet::new();
        for (_, assignments) in makefiles.all() {
            let variables = assignments.iter().map(|found| found.variable.as_str());
            set.extend(variables.filter(|variable| variable.starts_with("CONFIG_")));
        }
        for (makefile, assignment, word) in makefiles.objects() {
            let mention = Mention {
                makefile,
                assignment,
                word,
            };
            mentions.entry(name(word)).or_default().push(mention);
        }
        Self {
            makefiles,
            config,
            mentions,
            set,
            off: RefCell::default(),
        }
    }

    /// Whether a source can end up in an object of this kernel.
    pub fn may_be(&self, source: &str) -> bool {
        let is_source = source.ends_with(".c") || source.ends_with(".S");
        is_source && self.may_link(&object_of(source), 0)
    }

    fn may_link(&self, object: &str, depth: usize) -> bool {
        if depth > MAX_DEPTH {
            return true;
        }
        let mentions = self.mentions.get(name(object)).into_iter().flatten();
        mentions
            .filter(|mention| self.can_mean(mention, object))
            .any(|mention| self.counts(mention, depth))
    }

    /// Whether the word in the Makefile can be the object: by its path, or by its name in a folder below the Makefile's.
    fn can_mean(&self, mention: &Mention<'_>, object: &str) -> bool {
        let at = folder(mention.makefile);
        let below = at.is_empty()
            || folder(object)
                .strip_prefix(at)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        if !mention.word.contains("$(") {
            let plain = normal(at, mention.word) == object || normal("", mention.word) == object;
            let inside_function = mention
                .assignment
                .words
                .iter()
                .any(|word| word.contains("$("));
            return plain || (below && inside_function);
        }
        let word = self.makefiles.expanded(mention.makefile, mention.word);
        below || word.contains("$(") || normal(at, &word) == object || normal("", &word) == object
    }

    /// Whether the list is one that the configuration makes something of.
    fn counts(&self, mention: &Mention<'_>, depth: usize) -> bool {
        let at = folder(mention.makefile);
        let variable = mention.assignment.variable.as_str();
        if self.is_off(variable) || self.is_switched_off(at) {
            return false;
        }
        let Some((whole, _)) = variable.rsplit_once('-') else {
            return true;
        };
        let whole = whole.strip_suffix("-objs").unwrap_or(whole);
        let object = normal(at, &format!("{whole}.o"));
        if !self.is_part(&object) {
            return true;
        }
        self.may_link(&object, depth + 1)
    }

    /// Whether some list of the same folder names the object, so that its parts hang on that.
    fn is_part(&self, object: &str) -> bool {
        let mentions = self.mentions.get(name(object)).into_iter().flatten();
        mentions
            .filter(|mention| folder(mention.makefile) == folder(object))
            .any(|mention| normal(folder(mention.makefile), mention.word) == object)
    }

    /// Whether the variable is a list for an option that is not set: `obj-$(CONFIG_X)`.
    fn is_off(&self, variable: &str) -> bool {
        let option = variable
            .rsplit_once("-$(")
            .and_then(|(_, rest)| rest.strip_suffix(')'));
        option.is_some_and(|option| {
            let plain = option
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
            plain
                && option.starts_with("CONFIG_")
                && !self.config.contains_key(option)
                && !self.set.contains(option)
        })
    }

    fn is_switched_off(&self, folder: &str) -> bool {
        if let Some(known) = self.off.borrow().get(folder) {
            return *known;
        }
        let off = absent::is_switched_off(folder, self.makefiles, self.config);
        self.off.borrow_mut().insert(folder.to_owned(), off);
        off
    }
}

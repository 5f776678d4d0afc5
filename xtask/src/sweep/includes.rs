//! Which headers a file may include, through others too: every header of the tree whose path ends as the `#include` says.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs;
use std::path::Path;
use std::rc::Rc;

use super::changes::Changes;
use super::store::for_this_machine;

/// Answers for the newer tree, each file read once.
pub(crate) struct Includes<'a> {
    changes: &'a Changes,
    by_name: BTreeMap<&'a str, Vec<&'a String>>,
    direct: RefCell<BTreeMap<String, Rc<Vec<String>>>>,
    all: RefCell<BTreeMap<String, Rc<BTreeSet<String>>>>,
}

impl<'a> Includes<'a> {
    pub(crate) fn new(changes: &'a Changes) -> Self {
        let mut by_name: BTreeMap<&str, Vec<&String>> = BTreeMap::new();
        for header in &changes.all_headers {
            let name = header.rsplit('/').next().unwrap_or(header);
            by_name.entry(name).or_default().push(header);
        }
        Self {
            changes,
            by_name,
            direct: RefCell::default(),
            all: RefCell::default(),
        }
    }

    /// All headers that a file may include.
    pub(crate) fn of(&self, file: &str) -> Rc<BTreeSet<String>> {
        if let Some(known) = self.all.borrow().get(file) {
            return Rc::clone(known);
        }
        let mut found = BTreeSet::new();
        let mut open: VecDeque<String> = [file.to_owned()].into();
        while let Some(next) = open.pop_front() {
            for header in self.direct(&next).iter() {
                if found.insert(header.clone()) {
                    open.push_back(header.clone());
                }
            }
        }
        let found = Rc::new(found);
        self.all
            .borrow_mut()
            .insert(file.to_owned(), Rc::clone(&found));
        found
    }

    fn direct(&self, file: &str) -> Rc<Vec<String>> {
        if let Some(known) = self.direct.borrow().get(file) {
            return Rc::clone(known);
        }
        let text = fs::read(self.changes.new.join(file)).unwrap_or_default();
        let mut found = Vec::new();
        for line in String::from_utf8_lossy(&text).lines() {
            let Some(said) = include(line) else { continue };
            // What is beside the file that says so in quotes is meant, and no other file of that name.
            let beside = Path::new(file).with_file_name(said);
            if line.contains('"') && self.changes.new.join(&beside).is_file() {
                found.push(beside.display().to_string());
                continue;
            }
            let name = said.rsplit('/').next().unwrap_or(said);
            let named = self.by_name.get(name).into_iter().flatten();
            let meant = named.filter(|header| ends_as(header, said) && for_this_machine(header));
            found.extend(meant.map(|header| (*header).clone()));
        }
        let found = Rc::new(found);
        self.direct
            .borrow_mut()
            .insert(file.to_owned(), Rc::clone(&found));
        found
    }
}

/// `a/b.h` of `# include <a/b.h>` and of `#include "../a/b.h"`.
fn include(line: &str) -> Option<&str> {
    let rest = line.trim_start().strip_prefix('#')?.trim_start();
    let rest = rest.strip_prefix("include")?.trim_start();
    let said = rest.strip_prefix(['<', '"'])?.split(['>', '"']).next()?;
    Some(said.rsplit("../").next().unwrap_or(said))
}

fn ends_as(header: &str, said: &str) -> bool {
    header
        .strip_suffix(said)
        .is_some_and(|before| before.is_empty() || before.ends_with('/'))
}

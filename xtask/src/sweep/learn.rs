//! What the compiler complains of leads to more of the update: the names that it says first, then whole files.

use std::collections::BTreeSet;
use std::rc::Rc;

use anyhow::Result;

use super::edits::{FileEdits, id};
use super::fix::Fix;
use super::items::{Kind, items};
use super::missed::{Missed, missed, undefined};

impl Fix<'_> {
    /// Takes what a message of lp-build's asks for; whether that is anything.
    pub(crate) fn learn(&mut self, message: &str) -> Result<bool> {
        let before = self.size();
        let all = missed(message);
        for missed in &all {
            self.learn_one(missed)?;
        }
        for name in undefined(message) {
            self.define(&name, None)?;
        }
        self.close()?;
        if self.size() == before {
            self.widen(&all)?;
            self.close()?;
        }
        Ok(self.size() > before)
    }

    fn learn_one(&mut self, missed: &Missed) -> Result<()> {
        let before = self.size();
        // In code that the update changed as well: that is the rest of it.
        if missed.file != self.file && self.store.has(&missed.file) {
            self.take_around(missed)?;
        }
        for names in [&missed.quoted, &missed.code] {
            if self.size() == before {
                self.take_named(missed, names)?;
            }
        }
        Ok(())
    }

    /// The changes of the item in which the error is.
    fn take_around(&mut self, missed: &Missed) -> Result<()> {
        let edits = self.store.edits(&missed.file)?;
        let none = BTreeSet::new();
        let text = edits.with(self.chosen.get(&missed.file).unwrap_or(&none));
        let found = items(&text)
            .into_iter()
            .find(|item| item.lines.end >= missed.line);
        let ids: BTreeSet<String> = found.as_ref().and_then(id).into_iter().collect();
        self.take_each(&missed.file, edits.of_items(&ids))
    }

    /// The changes that declare one of the names, of those the ones that have most of them.
    fn take_named(&mut self, missed: &Missed, names: &BTreeSet<String>) -> Result<()> {
        let included = self.store.includes.of(&missed.source);
        let mut files: BTreeSet<&String> = included
            .iter()
            .filter(|header| self.store.has(header))
            .collect();
        files.insert(&missed.source);
        let mut found: Vec<(usize, String, usize)> = Vec::new();
        for file in files.into_iter().filter(|file| self.store.has(file)) {
            let edits: Rc<FileEdits> = self.store.edits(file)?;
            let chosen = self.chosen.get(file);
            for (number, edit) in edits.edits.iter().enumerate() {
                let count = edit.declares.intersection(names).count();
                if count > 0 && !chosen.is_some_and(|chosen| chosen.contains(&number)) {
                    found.push((
                        count + edit.of.intersection(names).count(),
                        file.clone(),
                        number,
                    ));
                }
            }
        }
        let most = found.iter().map(|(count, ..)| *count).max();
        for (count, file, number) in found {
            if Some(count) == most {
                self.take(&file, number)?;
            }
        }
        Ok(())
    }

    /// Where no name helps: what the files of the fix include now, then all of the file with the error, then all headers of the fix.
    fn widen(&mut self, all: &[Missed]) -> Result<()> {
        if all.is_empty() {
            return Ok(());
        }
        let before = self.size();
        let files: Vec<String> = self.chosen.keys().cloned().collect();
        self.take_where(files.clone(), |edit| edit.kinds.contains(&Kind::Include))?;
        let places: Vec<&String> = all
            .iter()
            .flat_map(|missed| [&missed.file, &missed.source])
            .collect();
        for file in places {
            if self.size() == before && self.store.has(file) {
                self.take_all(file)?;
            }
        }
        for header in files.iter().filter(|file| file.ends_with(".h")) {
            if self.size() == before {
                self.take_all(header)?;
            }
        }
        Ok(())
    }
}

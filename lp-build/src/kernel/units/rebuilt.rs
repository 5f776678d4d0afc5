//! The units of what the patched tree builds in another way: files that are new, gone, or compiled with other flags.
//!
//! All of a new file is new, so its original is an empty file. Of one that is gone the running code stays; what the
//! patch brings no longer calls it. The tempting wrong way is to take both for changed files with one side missing: what else may
//! start or hold on to their code would be forgotten.

use super::absent::is_switched_off;
use super::{Kernel, Unit, Units, is_linked};
use crate::kernel::changed::Sources;
use crate::kernel::changed::followed::{Followed, follow};
use crate::kernel::changed::kinds::RefusedKind;
use crate::kernel::kbuild::commands::{CompileCommand, Printed, dry_run};
use crate::kernel::kbuild::makefile::object_of;
use crate::kernel::running::find::{self, KernelFiles};
use crate::report::RefusalReport;
use anyhow::{Context, Result};
use std::collections::BTreeSet;

impl Kernel<'_> {
    /// Changes the units by what Makefiles and new and removed sources say; `roots` are what others include.
    pub(super) fn rebuild(
        &self,
        sources: &Sources,
        found: &mut Units,
        roots: &mut Vec<String>,
    ) -> Result<()> {
        let mut followed = self.follow(&sources.makefiles)?;
        found.refusals.append(&mut followed.refusals);
        for makefile in &followed.unchanged {
            found.notes.push(format!(
                "{makefile} changes nothing in how this kernel is built"
            ));
        }
        self.add_sources(&sources.added, &mut followed.added, found)?;
        for command in &followed.added {
            add_new(command, self.build.files, found);
        }
        for (before, after) in &followed.changed {
            add_changed(before, after, found);
        }
        drop_removed(&followed, found);
        self.check_removed(&sources.removed, &followed, (found, roots))
    }

    fn follow(&self, makefiles: &[String]) -> Result<Followed> {
        if makefiles.is_empty() {
            return Ok(Followed::default());
        }
        let is_off = |folder: &str| is_switched_off(folder, self.makefiles(), &self.config);
        let build = self.build;
        follow(
            makefiles,
            (self.makefiles(), &is_off),
            (build.make, build.patched),
        )
    }

    /// New sources that a Makefile lists without a change of its own.
    fn add_sources(
        &self,
        added: &[String],
        commands: &mut Vec<CompileCommand>,
        found: &mut Units,
    ) -> Result<()> {
        let known: BTreeSet<String> = commands
            .iter()
            .map(|command| command.source.clone())
            .collect();
        let mut unknown = added
            .iter()
            .filter(|source| !known.contains(*source))
            .peekable();
        if unknown.peek().is_none() {
            return Ok(());
        }
        let goals: Vec<String> = unknown.clone().map(|source| object_of(source)).collect();
        let patched = self.build.patched;
        let tree = patched
            .tree
            .to_str()
            .context("the tree's path is not UTF-8")?;
        let printed = Printed::read(&dry_run(patched, &goals)?);
        for source in unknown {
            let command = printed.command(tree, source)?;
            match command.filter(|command| !command.owners.is_empty()) {
                Some(command) => commands.push(command),
                None => found.notes.push(format!(
                    "{source} is new and no object of this kernel: it counts where another file includes it"
                )),
            }
        }
        Ok(())
    }

    /// A source that is gone must be gone from the build, or be one that others include.
    fn check_removed(
        &self,
        removed: &[String],
        followed: &Followed,
        (found, roots): (&mut Units, &mut Vec<String>),
    ) -> Result<()> {
        let known = self.commands(removed)?;
        for source in removed {
            let gone = followed
                .removed
                .iter()
                .any(|command| command.source == *source);
            if gone {
                continue;
            }
            if known
                .get(source)
                .is_some_and(|commands| is_linked(commands))
            {
                let why = "only the original tree has it, but the patched tree's Makefiles still build it: take it out of them, or keep the file";
                found.refuse("removed-source", source, why.to_owned());
            } else if self.graph().includers(source).is_empty() {
                found.absent.push(source.clone());
            } else {
                roots.push(source.clone());
            }
        }
        Ok(())
    }
}

/// A file that only the patched folder builds.
pub(super) fn add_new(command: &CompileCommand, files: &KernelFiles, found: &mut Units) {
    let source = &command.source;
    let kind = RefusedKind::Assembler;
    if source.ends_with(".S") {
        return found.refuse(kind.code(), source, kind.why().to_owned());
    }
    for object in command.owners.iter().filter(|object| !object.is_vmlinux()) {
        if find::module(files, object).is_err() {
            let why = format!(
                "it becomes part of {object}, a module that this kernel does not have: build it as a module of its own and load that"
            );
            return found.refuse("new-module", source, why);
        }
    }
    found
        .notes
        .push(format!("{source} is new in {}", objects(command)));
    found.add_new(command);
}

/// A file that is compiled by another command counts as changed, whether its text did or not.
pub(super) fn add_changed(before: &CompileCommand, after: &CompileCommand, found: &mut Units) {
    if before.source.ends_with(".S") {
        let kind = RefusedKind::Assembler;
        return found.refuse(kind.code(), &before.source, kind.why().to_owned());
    }
    found.settled.insert(before.target.clone());
    let is_it = |unit: &Unit| unit.command.target == before.target;
    if !found.units.iter().any(is_it) {
        found.add_units(before, None);
    }
    for unit in found.units.iter_mut().filter(|unit| is_it(unit)) {
        unit.patched = Some(after.clone());
    }
    found
        .notes
        .push(format!("{} is compiled with other flags", before.source));
}

/// Files that only the original builds.
pub(super) fn drop_removed(followed: &Followed, found: &mut Units) {
    for command in &followed.removed {
        found.settled.insert(command.target.clone());
        found
            .units
            .retain(|unit| unit.command.target != command.target);
        if !command.owners.is_empty() {
            found.notes.push(format!(
                "{} is no longer built: its code stays in {}, with all that it registered; the new code does not use it",
                command.source,
                objects(command)
            ));
        }
    }
}

impl Units {
    fn refuse(&mut self, code: &str, place: &str, message: String) {
        self.refusals.push(RefusalReport {
            code: code.to_owned(),
            place: place.to_owned(),
            message,
            source: None,
        });
    }
}

fn objects(command: &CompileCommand) -> String {
    let names: Vec<String> = command.owners.iter().map(ToString::to_string).collect();
    names.join(", ")
}

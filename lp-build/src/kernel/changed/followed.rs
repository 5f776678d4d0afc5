//! What changed Makefiles change in the build: objects that are new, gone, or compiled by another command.
//!
//! Kbuild itself says it: the folders whose build the Makefile takes part in are asked in both trees (`make -n`), and the answers
//! compared. Whatever else differs in what would be done there, such as how a header is generated, is refused. The
//! tempting wrong way is to read the lines of the diff: a flag that is added may reach every file of the folder.

use crate::kernel::kbuild::commands::{CompileCommand, Line, dry_run, lines};
use crate::kernel::kbuild::make::Make;
use crate::kernel::kbuild::makefile::Makefiles;
use crate::kernel::units::elsewhere::above;
use crate::report::RefusalReport;
use anyhow::{Context, Result};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// The differences, by the objects' paths in the build folder.
#[derive(Debug, Default)]
pub struct Followed {
    /// Only the patched tree's build makes them.
    pub added: Vec<CompileCommand>,
    /// Only the original's build makes them.
    pub removed: Vec<CompileCommand>,
    /// Both make them, in different ways: before and after.
    pub changed: Vec<(CompileCommand, CompileCommand)>,
    /// What cannot be followed.
    pub refusals: Vec<RefusalReport>,
    /// Makefiles from which nothing of this kernel changes.
    pub unchanged: Vec<String>,
    /// The objects that were looked at.
    compared: BTreeSet<String>,
}

/// What a build would do in a folder.
#[derive(Debug, Default, PartialEq, Eq)]
struct Plan {
    objects: BTreeMap<String, CompileCommand>,
    /// What is made besides objects, and how.
    others: BTreeMap<String, String>,
}

/// What objects are put together by: the lists in it are what a Makefile is there for.
const LINKED: [&str; 5] = [".o", ".a", ".mod", "modules.order", ".symversions"];

/// Asks both trees about the folders of the changed Makefiles, but for those that are switched off.
pub fn follow(
    changed: &[String],
    (makefiles, is_off): (&Makefiles, &dyn Fn(&str) -> bool),
    (orig, patched): (Make<'_>, Make<'_>),
) -> Result<Followed> {
    let mut followed = Followed::default();
    for makefile in changed {
        let own: BTreeSet<&str> = makefiles.builds(makefile).collect();
        if own.is_empty() {
            followed.refuse(makefile, "no folder's Makefile is known to include it, so what it changes is not known: leave it as it was");
        }
        let mut on = own
            .iter()
            .copied()
            .filter(|folder| !is_off(folder))
            .peekable();
        let mut understood = on.peek().is_none();
        for folder in on {
            understood |= followed.ask(makefile, folder, (orig, patched))?;
        }
        // A Makefile that another one includes lists nothing by itself: the build of a folder above does.
        let above = above(makefile, makefiles).into_iter();
        for folder in above.filter(|folder| !own.contains(folder)) {
            if understood {
                break;
            }
            let before = followed.differences();
            followed.ask(makefile, folder, (orig, patched))?;
            understood = followed.differences() > before;
        }
    }
    if followed.differences() == 0 {
        followed.unchanged = changed.to_vec();
    }
    Ok(followed)
}

/// What the build of a folder, and of those below, would do in a tree.
fn plan(make: Make<'_>, folder: &str) -> Result<Plan> {
    let tree = make.tree.to_str().context("the tree's path is not UTF-8")?;
    read(&dry_run(make, &[format!("{folder}/")])?, tree)
}

/// What building a module in a folder of its own would do, before and after, and every object that both make.
pub fn module(
    make: Make<'_>,
    (orig, patched): (&Path, &Path),
) -> Result<(Followed, Vec<CompileCommand>)> {
    let plan = |folder: &Path| {
        let folder = folder.to_str().context("the module's path is not UTF-8")?;
        let goals = [format!("M={folder}"), folder.to_owned()];
        read(&dry_run(make, &goals)?, folder)
    };
    let before = plan(orig)?;
    let all = before.objects.values().cloned().collect();
    let mut followed = Followed::default();
    followed.compare("Makefile", before, plan(patched)?);
    Ok((followed, all))
}

fn read(printed: &str, tree: &str) -> Result<Plan> {
    let mut plan = Plan::default();
    for line in printed.lines() {
        match lines(line).next() {
            Some(line) if line.target.ends_with(".o") => {
                let command = Line::command(&line, tree)?;
                plan.objects.insert(inside(&command.target, tree), command);
            }
            _ => {
                if let Some(target) = recorded(line)
                    && !LINKED.iter().any(|linked| target.ends_with(linked))
                {
                    let line = line.replace(tree, "TREE");
                    plan.others.insert(inside(target, tree), line);
                }
            }
        }
    }
    Ok(plan)
}

/// A target inside the tree: those of a module have absolute paths.
fn inside(target: &str, tree: &str) -> String {
    let inside = target.strip_prefix(tree);
    let inside = inside.and_then(|rest| rest.strip_prefix('/'));
    inside.unwrap_or(target).to_owned()
}

/// What a line of the build makes: kbuild keeps its command in a variable of a `.cmd` file.
fn recorded(line: &str) -> Option<&str> {
    let (_, rest) = line.rsplit_once("cmd_")?;
    let (target, _) = rest.split_once(" := ")?;
    Some(target)
}

impl Followed {
    /// Compares what both trees would do in a folder; whether any object is made there.
    fn ask(
        &mut self,
        makefile: &str,
        folder: &str,
        (orig, patched): (Make<'_>, Make<'_>),
    ) -> Result<bool> {
        let plan = |make| {
            plan(make, folder)
                .with_context(|| format!("the build of {folder} after {makefile} changed"))
        };
        let (orig, patched) = (plan(orig)?, plan(patched)?);
        let makes = !orig.objects.is_empty() || !patched.objects.is_empty();
        self.compare(makefile, orig, patched);
        Ok(makes)
    }

    fn differences(&self) -> usize {
        self.added.len() + self.removed.len() + self.changed.len() + self.refusals.len()
    }

    fn refuse(&mut self, place: &str, message: &str) {
        self.refusals.push(RefusalReport {
            code: "changed-makefile".to_owned(),
            place: place.to_owned(),
            message: message.to_owned(),
            source: None,
        });
    }

    fn compare(&mut self, makefile: &str, mut orig: Plan, mut patched: Plan) {
        // A folder that was asked may be below one that is asked now.
        for plan in [&mut orig, &mut patched] {
            plan.objects
                .retain(|target, _| !self.compared.contains(target));
        }
        self.compared.extend(orig.objects.keys().cloned());
        self.compared.extend(patched.objects.keys().cloned());
        for (target, before) in orig.objects {
            match patched.objects.remove(&target) {
                None => self.removed.push(before),
                Some(after) if same(&before, &after) => {}
                Some(after) if before.owners != after.owners => {
                    let message = format!(
                        "with it {} is linked into {} instead of {}: code cannot move between them, leave it where it was",
                        after.source,
                        names(&after),
                        names(&before)
                    );
                    self.refuse(makefile, &message);
                }
                Some(after) => self.changed.push((before, after)),
            }
        }
        self.added.extend(patched.objects.into_values());
        let differ = orig
            .others
            .iter()
            .filter(|(target, how)| patched.others.get(*target) != Some(*how));
        let new = patched
            .others
            .keys()
            .filter(|target| !orig.others.contains_key(*target));
        let others: BTreeSet<&str> = differ
            .map(|(target, _)| target)
            .chain(new)
            .map(String::as_str)
            .collect();
        if let Some(target) = others.first() {
            let message = format!(
                "with it the build makes {target} in another way, and what follows from that is not known: leave that part as it was"
            );
            self.refuse(makefile, &message);
        }
    }
}

/// Whether the same is done, in whichever tree.
fn same(before: &CompileCommand, after: &CompileCommand) -> bool {
    let steps = |command: &CompileCommand| command.steps_for("/TREE", "OBJECT", "DEPFILE");
    before.owners == after.owners && steps(before) == steps(after)
}

fn names(command: &CompileCommand) -> String {
    let names: Vec<String> = command.owners.iter().map(ToString::to_string).collect();
    match names.is_empty() {
        true => "nothing".to_owned(),
        false => names.join(", "),
    }
}

/// The plans that two recorded answers come to, compared; for tests.
pub fn of_printed(makefile: &str, orig: (&str, &str), patched: (&str, &str)) -> Result<Followed> {
    let mut followed = Followed::default();
    followed.compare(makefile, read(orig.0, orig.1)?, read(patched.0, patched.1)?);
    Ok(followed)
}

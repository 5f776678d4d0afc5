//! The commands for processes: one by its number, or all that run a program.

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lp_klp::inventory::Inventory;
use lp_klp::manifest::{Function, Manifest};
use lp_klp::name::Sympos;
use lp_klp::signature;
use lp_runtime::process::kept::control;
use lp_runtime::process::prepare::patch_file::PatchFile;
use lp_runtime::process::prepare::trust::TrustedKeys;
use lp_runtime::process::{Done, Left, Options, Process, ProcessError, Standing, State};
use serde::Serialize;

use super::args::{Consistency, Place, Trust};
use super::every::{Every, Turn};
use super::run::{Failure, Outcome};

/// What is said of a process that would take a patch.
pub(crate) const WOULD_GO: &str = "would go into";

/// What was done to one process.
#[derive(Debug, Serialize)]
pub(crate) struct One {
    pub(crate) pid: i32,
    pub(crate) name: String,
    pub(crate) what: &'static str,
    /// The patches that it takes the place of.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) replaces: Vec<Replaced>,
    /// The longest time that all threads stood, in microseconds.
    pub(crate) stood_us: u64,
    pub(crate) took_ms: u64,
    pub(crate) warnings: Vec<String>,
    /// What was made up for: objects had come and gone.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) happened: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<String>,
    #[serde(skip)]
    pub(crate) failure: Option<Failure>,
}

/// A patch that another one takes the place of.
#[derive(Debug, Serialize)]
pub(crate) struct Replaced {
    pub(crate) name: String,
    /// The functions that only this one changes, which go back to the program's own code.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) lost: Vec<String>,
}

/// What is installed in one process.
#[derive(Debug, Serialize)]
pub(crate) struct Listed {
    pub(crate) pid: i32,
    pub(crate) program: String,
    pub(crate) patches: Vec<Patch>,
    /// Who patches what it loads before that runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) watched_by: Option<i32>,
    /// The patch that a killed loader left half way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) unfinished: Option<String>,
    /// What patches that are out had to leave in memory.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) stays: Vec<Stays>,
    /// The transition that is under way; only a status says who holds it up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) transition: Option<InTransition>,
}

/// Memory of a patch that is out: something suspended may come back to its code.
#[derive(Debug, Serialize)]
pub(crate) struct Stays {
    pub(crate) name: String,
    pub(crate) bytes: u64,
}

/// A transition in a process.
#[derive(Debug, Serialize)]
pub(crate) struct InTransition {
    pub(crate) name: String,
    /// Whether threads go to the patch.
    pub(crate) enabling: bool,
    /// It was forced.
    pub(crate) forced: bool,
    /// Who has not switched, where that was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) held_up_by: Option<Vec<Left>>,
}

/// A patch in a process.
#[derive(Debug, Serialize)]
pub(crate) struct Patch {
    pub(crate) name: String,
    pub(crate) version: String,
    /// In use; a patch that was replaced is not, but may still be in memory.
    pub(crate) enabled: bool,
    /// A transition away from it was forced: its memory stays.
    pub(crate) forced: bool,
    pub(crate) functions: Vec<String>,
    /// Its objects that are not patched now, and why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) not_patched: Vec<Standing>,
}

/// How a patch is loaded.
pub(crate) struct How {
    /// How long threads may be in the way.
    pub(crate) timeout: Duration,
    /// When threads switch.
    pub(crate) consistency: Consistency,
    /// Also where none of its objects is there yet.
    pub(crate) late: bool,
    /// Not really.
    pub(crate) dry_run: bool,
}

/// Loads a patch that someone trusted vouches for.
pub(crate) fn load(file: &Path, place: &Place, trust: &Trust, how: &How) -> Result<Outcome> {
    let bytes = fs::read(file).with_context(|| format!("read {}", file.display()))?;
    check_trust(file, &bytes, trust)?;
    let patch = PatchFile::parse(&bytes).with_context(|| file.display().to_string())?;
    let name = &patch.manifest.name;
    let what = if how.dry_run { WOULD_GO } else { "loaded into" };
    each(place, name, what, |process| {
        if !how.late && process.present(&patch)?.is_empty() {
            let objects = patch.manifest.objects.iter();
            return Err(ProcessError::NothingHere {
                name: name.clone(),
                objects: objects.map(|object| object.file.clone()).collect(),
            });
        }
        let replaces = replaces(process, &patch.manifest)?;
        let done = match how.dry_run {
            true => process.rehearse(&patch, options(how.timeout, how.consistency).consistency),
            false => process.load(&patch, options(how.timeout, how.consistency)),
        };
        done.map(|done| (done, replaces))
    })
}

/// The patches in use that go when this one comes.
fn replaces(process: &Process, new: &Manifest) -> Result<Vec<Replaced>, ProcessError> {
    let patches = process.contents()?.patches.into_iter();
    let gone = patches.filter(|it| it.enabled && new.replace);
    let functions = |of: &Manifest| -> BTreeSet<(String, String, Sympos)> {
        let objects = of.objects.iter();
        let functions = objects.flat_map(|object| {
            let of_object = |it: &Function| (object.file.clone(), it.name.clone(), it.sympos);
            object.functions.iter().map(of_object)
        });
        functions.collect()
    };
    let kept = functions(new);
    let replaced = gone.map(|patch| {
        let old = Manifest::from_json(patch.manifest.as_bytes());
        let old = old.map_or_else(|_| BTreeSet::new(), |old| functions(&old));
        let lost = old.difference(&kept);
        Replaced {
            name: patch.name,
            lost: lost
                .map(|(file, name, _)| format!("{name} of {file}"))
                .collect(),
        }
    });
    Ok(replaced.collect())
}

/// Whether a file is a patch for processes; what cannot be read is none.
pub(crate) fn is_patch(file: &Path) -> bool {
    fs::read(file).is_ok_and(|bytes| PatchFile::parse(&bytes).is_ok())
}

/// Before the patch is taken apart.
fn check_trust(file: &Path, patch: &[u8], trust: &Trust) -> Result<()> {
    let beside = signature::path(file);
    let text = match fs::read_to_string(&beside) {
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        text => Some(text.with_context(|| format!("read {}", beside.display()))?),
    };
    let vouched = TrustedKeys::read(&trust.keys).and_then(|keys| {
        keys.check(patch, text.as_deref())?;
        Ok(())
    });
    match vouched {
        Err(error) if trust.allow_unsigned && error.is_missing() => Ok(()),
        vouched => vouched.with_context(|| file.display().to_string()),
    }
}

/// The processes' inventories.
pub(crate) fn inventory(place: &Place) -> Result<Vec<Inventory>> {
    of_each(place, |pid| Ok(Process::attach(pid)?.inventory()?))
}

/// Takes a patch out.
pub(crate) fn unload(
    name: &str,
    place: &Place,
    timeout: Duration,
    consistency: Consistency,
) -> Result<Outcome> {
    each(place, name, "unloaded from", |process| {
        let done = process.unload(&known(process, name)?, options(timeout, consistency));
        done.map(replacing_none)
    })
}

/// Has all threads run a patch that is in transition.
pub(crate) fn enable(name: &str, place: &Place, timeout: Duration) -> Result<Outcome> {
    each(place, name, "enabled in", |process| {
        let options = options(timeout, Consistency::PerThread);
        let done = process.enable(&known(process, name)?, options);
        done.map(replacing_none)
    })
}

/// Ends a transition at once.
pub(crate) fn force(name: &str, place: &Place) -> Result<Outcome> {
    each(place, name, "forced in", |process| {
        let done = process.force(&known(process, name)?, Options::default());
        done.map(replacing_none)
    })
}

/// A patch's name as the process has it: a dash and an underscore are the same in a module's name, which this one was read as.
fn known(process: &Process, name: &str) -> Result<String, ProcessError> {
    let is_it = |of: &str| of.replace('-', "_") == name;
    let patches = process.contents()?.patches.into_iter();
    let known = patches.map(|it| it.name).find(|of| is_it(of));
    Ok(known.unwrap_or_else(|| name.to_owned()))
}

fn options(timeout: Duration, consistency: Consistency) -> Options<'static> {
    Options {
        timeout,
        consistency: consistency.into(),
        ..Options::default()
    }
}

fn replacing_none(done: Done) -> (Done, Vec<Replaced>) {
    (done, Vec::new())
}

/// Does something to each process; one that fails does not keep it from the others.
fn each(
    place: &Place,
    name: &str,
    what: &'static str,
    work: impl Fn(&Process) -> Result<(Done, Vec<Replaced>), ProcessError>,
) -> Result<Outcome> {
    let one = |pid| {
        let mut is_so = false;
        let mut one = One {
            pid,
            name: name.to_owned(),
            what,
            replaces: Vec::new(),
            stood_us: 0,
            took_ms: 0,
            warnings: Vec::new(),
            happened: Vec::new(),
            error: None,
            failure: None,
        };
        match Process::attach(pid).and_then(|process| work(&process)) {
            Ok((done, replaces)) => {
                one.replaces = replaces;
                one.stood_us = u64::try_from(done.window.as_micros()).unwrap_or(u64::MAX);
                one.took_ms = u64::try_from(done.took.as_millis()).unwrap_or(u64::MAX);
                one.warnings = done.warnings.iter().map(ToString::to_string).collect();
                let happened = done.happened.iter();
                one.happened = happened.map(ToString::to_string).collect();
            }
            Err(error) => {
                is_so = matches!(
                    error,
                    ProcessError::Installed { enabled: true, .. }
                        | ProcessError::NotInstalled { .. }
                );
                let refused = error.is_refusal();
                one.failure = Some(if refused {
                    Failure::Refused
                } else {
                    Failure::Error
                });
                one.error = Some(error.to_string());
            }
        }
        (one, is_so)
    };
    let (mut processes, mut as_wanted) = (Vec::new(), Vec::new());
    Every::of(place).take(|pid| {
        let (one, is_so) = one(pid);
        if one.failure.is_some() && place.has_lost(pid) {
            return Turn::Gone;
        }
        // Who was forked by one that had its turn has what was done, and who runs the program for another purpose (rsync's clients)
        // may never have had it. Where that is so of all, it is said of each.
        if is_so && place.all.is_some() {
            as_wanted.push(one);
            return Turn::Needless;
        }
        processes.push(one);
        match what {
            WOULD_GO => Turn::Needless,
            _ => Turn::Taken,
        }
    })?;
    if processes.is_empty() {
        processes = as_wanted;
    }
    ensure!(
        !processes.is_empty(),
        "all processes ended before their turn"
    );
    Ok(Outcome::Processes { processes })
}

/// What is asked of each process; those that end meanwhile are left out.
fn of_each<T>(place: &Place, ask: impl Fn(i32) -> Result<T>) -> Result<Vec<T>> {
    let mut answers = Vec::new();
    Every::of(place).take(|pid| {
        let answer = ask(pid);
        // One that ended meanwhile has nothing mapped any more, and so nothing installed: that is no answer.
        if !place.has_lost(pid) {
            answers.push(answer);
        }
        // Who is asked is not changed by it: what comes later is none of this answer.
        Turn::Needless
    })?;
    answers.into_iter().collect()
}

/// What is installed.
pub(crate) fn list(place: &Place) -> Result<Outcome> {
    let processes = of_each(place, listed)?;
    Ok(Outcome::Installed { processes })
}

/// What is installed, maybe of one patch alone, and who holds a transition up.
pub(crate) fn status(only: Option<&str>, place: &Place) -> Result<Outcome> {
    let one = |pid| {
        let mut listed = listed(pid)?;
        let process = Process::attach(pid)?;
        if let Some(name) = only {
            let name = known(&process, name)?;
            listed.patches.retain(|it| it.name == name);
            if listed.patches.is_empty() {
                return Err(ProcessError::NotInstalled { name }.into());
            }
        }
        if let (Some(transition), Some(underway)) = (&mut listed.transition, process.underway()?) {
            transition.held_up_by = Some(underway.left);
        }
        Ok(listed)
    };
    let processes = of_each(place, one)?;
    Ok(Outcome::ProcessStatus { processes })
}

fn stays(of: control::Stays) -> Stays {
    Stays {
        bytes: of.areas.iter().map(|area| area.size).sum(),
        name: of.patch,
    }
}

fn listed(pid: i32) -> Result<Listed> {
    let process = Process::attach(pid)?;
    let contents = process.contents()?;
    let objects = if contents.patches.is_empty() {
        Vec::new()
    } else {
        process.objects()?
    };
    let watching = contents.watch;
    let patches = contents.patches.into_iter().map(|patch| {
        let not_patched = |it: &&Standing| it.patch == patch.name && it.state != State::Patched;
        let manifest = Manifest::from_json(patch.manifest.as_bytes()).ok();
        let functions = manifest.iter().flat_map(|of| &of.objects);
        let functions = functions.flat_map(|object| &object.functions);
        Patch {
            functions: functions.map(|function| function.name.clone()).collect(),
            not_patched: objects.iter().filter(not_patched).cloned().collect(),
            version: manifest
                .as_ref()
                .map_or_else(String::new, |of| of.version.clone()),
            name: patch.name,
            enabled: patch.enabled,
            forced: patch.forced,
        }
    });
    Ok(Listed {
        pid,
        program: process.about().exe.to_string_lossy().into_owned(),
        patches: patches.collect(),
        watched_by: watching
            .filter(|it| it.is_live(process.about().identity))
            .map(|it| it.by.pid),
        unfinished: contents.journal.map(|journal| journal.patch),
        stays: contents.stays.into_iter().map(stays).collect(),
        transition: contents.transition.map(|it| InTransition {
            name: it.patch,
            enabling: it.patched,
            forced: it.forced,
            held_up_by: None,
        }),
    })
}

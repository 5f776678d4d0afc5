//! A process from outside: what is installed in it, and putting patches in and out.
//!
//! Everything that can be found out is found out before the process is touched; what is done then is journalled in its control
//! area. Each operation seizes the process, does one thing, and lets it go: nothing stays behind that must keep running.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use lp_klp::manifest::Manifest;
use lp_klp::state::incompatibilities;

use super::error::ProcessError;
use super::install::{Installed, install};
use super::live::STOP;
use super::per_thread::{self, leave, refuse_another_transition};
use super::remove::Removed;
use super::staying;
use crate::process::kept::control::{Contents, Control, Watching};
use crate::process::kept::journal::{Afterwards, Hands, Steps, recover};
use crate::process::kept::lock::Lock;
use crate::process::late::catch_up::{Happened, catch_up};
use crate::process::late::presence::{Changes, Standing, standing};
use crate::process::late::watch::{stub, take_out};
use crate::process::prepare::entry::Sites;
use crate::process::prepare::patch_file::PatchFile;
use crate::process::prepare::place::{Want, place};
use crate::process::prepare::plan::{Inputs, Plan, Warning};
use crate::process::read::identity::{About, Identity};
use crate::process::read::images::Images;
use crate::process::read::maps::Maps;
use crate::process::read::memory::read_vec;
use crate::process::read::start;
use crate::process::touch::check::Checker;
use crate::process::touch::syscall::Gate;
use crate::process::touch::threads::{StopError, Threads, with_threads};
use crate::process::touch::unwind::UnwindTables;
use crate::process::touch::write::WriteMemory;

/// A patch's unwind table is not larger.
const MAX_UNWIND: u64 = 16 << 20;

/// A process that can be patched.
#[derive(Debug)]
pub struct Process {
    about: About,
}

/// When threads run the new code.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Consistency {
    /// All at once, when none is inside code that changes.
    #[default]
    AllAtOnce,
    /// Each when it is not inside code that changes.
    PerThread,
}

/// How something is done to a process.
pub struct Options<'s> {
    /// When threads run the new code.
    pub consistency: Consistency,
    /// How long to try while threads are inside code that changes.
    pub timeout: Duration,
    /// Who is told of each step.
    pub steps: Steps<'s>,
}

impl Default for Options<'_> {
    fn default() -> Self {
        Self {
            consistency: Consistency::default(),
            timeout: Duration::from_secs(10),
            steps: Steps::default(),
        }
    }
}

/// What was done.
#[derive(Debug)]
pub struct Done {
    /// What the operator should know.
    pub warnings: Vec<Warning>,
    /// The longest time that all threads stood.
    pub window: Duration,
    /// All of it.
    pub took: Duration,
    /// What was made up for: objects had come and gone.
    pub happened: Vec<Happened>,
}

/// How long an object that came meanwhile may keep a load or an unload waiting.
const CATCHING_UP: Duration = Duration::from_secs(1);

/// What an operation works with.
pub(super) struct Work<'w, 's> {
    pub(super) threads: &'w mut Threads,
    pub(super) memory: &'w WriteMemory,
    pub(super) steps: &'w mut Steps<'s>,
    pub(super) timeout: Duration,
}

impl<'s> Work<'_, 's> {
    /// The same for a part of what is to be done.
    pub(super) fn again(&mut self) -> Work<'_, 's> {
        Work {
            threads: self.threads,
            memory: self.memory,
            steps: self.steps,
            timeout: self.timeout,
        }
    }
}

/// What is known before threads are seized.
pub(super) struct View {
    pub(super) pid: i32,
    pub(super) maps: Maps,
    pub(super) images: Images,
    pub(super) control: Option<Control>,
}

impl View {
    pub(super) fn read(pid: i32, memory: &WriteMemory) -> Result<Self, ProcessError> {
        let maps = Maps::read(pid)?;
        Ok(Self {
            pid,
            images: Images::read(pid, &maps, memory)?,
            control: Control::find(&maps, memory)?,
            maps,
        })
    }

    pub(super) fn contents(&self) -> Contents {
        let control = self.control.as_ref();
        control
            .map(|control| control.contents().clone())
            .unwrap_or_default()
    }

    /// Whether a killed loader left something, or objects have come and gone.
    fn is_behind(&self, process: Identity, memory: &WriteMemory) -> bool {
        let contents = self.contents();
        let stale = |it: &Watching| !it.is_live(process);
        let behind = || Changes::of(&contents, &self.images, memory).any();
        // Objects wait for the end of a transition.
        contents.journal.is_some()
            || contents.watch.as_ref().is_some_and(stale)
            || !contents.stays.is_empty()
            || (contents.transition.is_none() && behind())
    }

    fn plan(&self, patch: &PatchFile, memory: &WriteMemory) -> Result<Plan, ProcessError> {
        let plan = self.with_inputs(patch, &self.maps, memory, Plan::new);
        let mut plan = plan.map_err(ProcessError::Refused)?;
        let waiting = plan.late.iter().cloned();
        plan.warnings
            .extend(waiting.map(|object| Warning::Waiting { object }));
        Ok(plan)
    }

    /// Plans with what is known of the process.
    pub(super) fn with_inputs<R>(
        &self,
        patch: &PatchFile,
        maps: &Maps,
        memory: &WriteMemory,
        plan: impl FnOnce(Inputs<'_, WriteMemory>) -> R,
    ) -> R {
        let executable = self
            .images
            .executable()
            .map_or(0, |image| image.range.start);
        let control = self.control.as_ref();
        // Where there is no control area yet, the plan is only to see whether there can be one.
        let reserved = BTreeMap::from([
            (
                "__lp_shadow_root".to_owned(),
                control.map_or(executable, Control::shadow_root),
            ),
            (
                "__lp_states".to_owned(),
                control.map_or(executable, Control::states),
            ),
        ]);
        let sites: Sites = self
            .contents()
            .patches
            .iter()
            .flat_map(|patch| &patch.sites)
            .map(|site| (site.address, site.original))
            .collect();
        plan(Inputs {
            patch,
            images: &self.images,
            maps,
            memory,
            sites: &sites,
            reserved: &reserved,
        })
    }

    /// A plan, and that the process is one that can be patched at all.
    fn first_plan(
        &self,
        pid: i32,
        patch: &PatchFile,
        memory: &WriteMemory,
    ) -> Result<Plan, ProcessError> {
        let plan = self.plan(patch, memory)?;
        match start::refusal(&self.images, &self.tables(pid, memory)) {
            Some(refusal) => Err(ProcessError::Refused(vec![refusal])),
            None => Ok(plan),
        }
    }

    pub(super) fn tables(&self, pid: i32, memory: &WriteMemory) -> UnwindTables {
        let mut tables = UnwindTables::read(pid, &self.maps, memory);
        for patch in &self.contents().patches {
            for (address, size) in &patch.unwind {
                // What cannot be read is not known, and a thread in it is busy.
                if let Ok(bytes) = read_vec(memory, *address, *size, MAX_UNWIND) {
                    tables.add(&patch.name, *address, bytes);
                }
            }
        }
        let read = |address, size| read_vec(memory, address, size, MAX_UNWIND).ok();
        staying::add_tables(&mut tables, &self.contents().stays, read);
        if let Some(watching) = self.contents().watch {
            let address = watching.text.address;
            tables.add("livepatch", address, stub::unwind_table(address));
        }
        tables
    }
}

impl Process {
    /// Looks at a process. Nothing is done to it.
    ///
    /// # Errors
    /// Where it does not exist, is not ours to trace, or runs code for another architecture.
    pub fn attach(pid: i32) -> Result<Self, ProcessError> {
        let about = Identity::of(pid)?.about()?;
        Ok(Self { about })
    }

    /// Who it is.
    pub fn about(&self) -> &About {
        &self.about
    }

    /// What is installed, from the oldest to the newest, and what a killed loader left.
    ///
    /// # Errors
    /// Where the control area cannot be understood.
    pub fn contents(&self) -> Result<Contents, ProcessError> {
        let pid = self.pid();
        self.about.identity.check()?;
        let memory = WriteMemory::open(pid)?;
        let control = Control::find(&Maps::read(pid)?, &memory)?;
        Ok(control.map(|it| it.contents().clone()).unwrap_or_default())
    }

    /// Finds out whether a patch could go in. Nothing is done to the process.
    ///
    /// # Errors
    /// As those of [`Self::load`], as far as they can be known before.
    pub fn rehearse(
        &self,
        patch: &PatchFile,
        consistency: Consistency,
    ) -> Result<Done, ProcessError> {
        let start = Instant::now();
        self.about.identity.check()?;
        let memory = WriteMemory::open(self.pid())?;
        let view = View::read(self.pid(), &memory)?;
        check(&view.contents(), &patch.manifest)?;
        let plan = view.first_plan(self.pid(), patch, &memory)?;
        if consistency == Consistency::PerThread {
            per_thread::rehearse(&view, &memory, patch, &plan)?;
        }
        Ok(Done {
            warnings: plan.warnings,
            window: Duration::ZERO,
            took: start.elapsed(),
            happened: Vec::new(),
        })
    }

    /// Puts a patch in.
    ///
    /// # Errors
    /// Where it cannot go in; the process is then as it was.
    pub fn load(&self, patch: &PatchFile, options: Options<'_>) -> Result<Done, ProcessError> {
        let start = Instant::now();
        let pid = self.pid();
        self.about.identity.check()?;
        let _lock = Lock::of(self.pid())?;
        let memory = WriteMemory::open(pid)?;
        let mut view = View::read(pid, &memory)?;
        let Options {
            timeout,
            mut steps,
            consistency,
        } = options;
        let gone_on = self.go_on_loading(&mut view, &memory, &mut steps, timeout, patch)?;
        if let Some(window) = gone_on {
            return Ok(Done {
                warnings: Vec::new(),
                window,
                took: start.elapsed(),
                happened: Vec::new(),
            });
        }
        // What others left is not what a plan can be made for.
        let happened = self.put_right(&mut view, &memory, &mut steps, timeout)?;
        check(&view.contents(), &patch.manifest)?;
        let mut plan = view.first_plan(pid, patch, &memory)?;
        let done = with_threads(pid, |threads| {
            if prepare(threads, &mut view, &memory, &mut steps)? {
                check(&view.contents(), &patch.manifest)?;
                plan = view.plan(patch, &memory)?;
            }
            let work = Work {
                threads,
                memory: &memory,
                steps: &mut steps,
                timeout,
            };
            match consistency {
                Consistency::AllAtOnce => install(work, &mut view, patch, &plan),
                Consistency::PerThread => {
                    let window = per_thread::load(work, &mut view, patch, &plan);
                    window.map(Installed::at)
                }
            }
        })?;
        let Installed { window, suspended } = done?;
        plan.warnings.extend(suspended);
        Ok(Done {
            warnings: plan.warnings,
            window,
            took: start.elapsed(),
            happened,
        })
    }

    /// Takes a patch out, and its memory away; where something suspended may come back to its code, that stays for now, and
    /// [`Warning::Stays`] says so.
    ///
    /// # Errors
    /// Where it cannot; it is then as it was.
    pub fn unload(&self, name: &str, options: Options<'_>) -> Result<Done, ProcessError> {
        let start = Instant::now();
        let pid = self.pid();
        self.about.identity.check()?;
        let _lock = Lock::of(self.pid())?;
        let memory = WriteMemory::open(pid)?;
        let mut view = View::read(pid, &memory)?;
        let contents = view.contents();
        if contents.journal.is_none() && contents.patch(name).is_none() {
            let name = name.to_owned();
            return Err(ProcessError::NotInstalled { name });
        }
        refuse_another_transition(&contents, name)?;
        let Options {
            timeout,
            mut steps,
            consistency,
        } = options;
        let happened = self.put_right(&mut view, &memory, &mut steps, timeout)?;
        let done = with_threads(pid, |threads| {
            prepare(threads, &mut view, &memory, &mut steps)?;
            let work = Work {
                threads,
                memory: &memory,
                steps: &mut steps,
                timeout,
            };
            leave(work, &mut view, name, consistency)
        })?;
        let Removed { window, stays } = done?;
        Ok(Done {
            warnings: stays.into_iter().collect(),
            window,
            took: start.elapsed(),
            happened,
        })
    }

    /// Lets the patches go of objects that have gone, and patches those that have come.
    ///
    /// # Errors
    /// Where that does not work; an object that cannot be patched is no error, but among what happened.
    pub fn catch_up(&self, options: Options<'_>) -> Result<Done, ProcessError> {
        let start = Instant::now();
        self.about.identity.check()?;
        let _lock = Lock::of(self.pid())?;
        let memory = WriteMemory::open(self.pid())?;
        let mut view = View::read(self.pid(), &memory)?;
        let Options {
            timeout, mut steps, ..
        } = options;
        let happened = self.put_right(&mut view, &memory, &mut steps, timeout)?;
        let windows = happened.iter().map(Happened::window);
        Ok(Done {
            warnings: Vec::new(),
            window: windows.max().unwrap_or_default(),
            took: start.elapsed(),
            happened,
        })
    }

    /// How the objects of the patches in use stand: patched, or waiting.
    ///
    /// # Errors
    /// Where the control area or the process's objects cannot be understood.
    pub fn objects(&self) -> Result<Vec<Standing>, ProcessError> {
        self.about.identity.check()?;
        let memory = WriteMemory::open(self.pid())?;
        let view = View::read(self.pid(), &memory)?;
        Ok(standing(&view.contents(), &view.images, &memory))
    }

    /// Ends what others left half way, and catches up with what has come and gone.
    pub(super) fn put_right(
        &self,
        view: &mut View,
        memory: &WriteMemory,
        steps: &mut Steps<'_>,
        timeout: Duration,
    ) -> Result<Vec<Happened>, ProcessError> {
        if !view.is_behind(self.about.identity, memory) {
            return Ok(Vec::new());
        }
        with_threads(self.pid(), |threads| {
            prepare(threads, view, memory, steps)?;
            let mut work = Work {
                threads,
                memory,
                steps,
                timeout: timeout.min(CATCHING_UP),
            };
            if !view.contents().stays.is_empty() {
                staying::reclaim(&mut work, view)?;
            }
            let watch = view.contents().watch;
            if watch.is_some_and(|it| !it.is_live(self.about.identity)) {
                // It does no harm where it is.
                let _ = take_out(&mut work, view);
                *view = View::read(self.pid(), memory)?;
            }
            if view.contents().transition.is_some() {
                // Objects wait for its end.
                return Ok(Vec::new());
            }
            catch_up(&mut work, view)
        })?
    }

    pub(super) fn pid(&self) -> i32 {
        self.about.identity.pid
    }
}

/// Whether a patch suits what is installed.
fn check(contents: &Contents, manifest: &Manifest) -> Result<(), ProcessError> {
    let name = manifest.name.clone();
    refuse_another_transition(contents, &name)?;
    if let Some(patch) = contents.patch(&name) {
        let enabled = patch.enabled;
        return Err(ProcessError::Installed { name, enabled });
    }
    let installed: Vec<_> = contents
        .enabled()
        .filter_map(|patch| Some(patch.described()?.patch()))
        .collect();
    let reasons = incompatibilities(&manifest.patch(), &installed);
    if reasons.is_empty() {
        Ok(())
    } else {
        Err(ProcessError::Incompatible { name, reasons })
    }
}

/// Ends what a killed loader left, and makes a control area where there is none; says whether anything was done.
pub(super) fn prepare(
    threads: &mut Threads,
    view: &mut View,
    memory: &WriteMemory,
    steps: &mut Steps<'_>,
) -> Result<bool, ProcessError> {
    let unfinished = view.contents().journal;
    if view.control.is_some() && unfinished.is_none() {
        return Ok(false);
    }
    let pid = threads.pid();
    let gate = Gate::find(pid, &view.maps, memory)?;
    let tables = view.tables(pid, memory);
    threads.stop_all(STOP)?;
    let done = begin(threads, view, memory, steps, gate, &tables);
    threads.resume_all();
    done?;
    *view = View::read(pid, memory)?;
    Ok(true)
}

fn begin(
    threads: &mut Threads,
    view: &mut View,
    memory: &WriteMemory,
    steps: &mut Steps<'_>,
    gate: Gate,
    tables: &UnwindTables,
) -> Result<(), ProcessError> {
    let tid = threads.helper(memory)?;
    let Some(control) = &mut view.control else {
        let near = view.images.executable();
        let want = Want {
            object: "the control area".into(),
            near: near.map_or(0..0, |image| image.range.clone()),
            size: crate::process::kept::control::SIZE,
            low: false,
        };
        let address = place(&view.maps, &[want])?.first().copied().unwrap_or(0);
        let mut hands = Hands {
            threads,
            tid,
            gate,
            memory,
        };
        hands.create_control(address)?;
        return Ok(());
    };
    let mut afterwards = Afterwards::Unmapped;
    if let Some(journal) = &control.contents().journal {
        let in_the_way = if journal.is_untouched(memory) {
            journal.entered(threads)?
        } else {
            afterwards = Afterwards::Stays;
            let busy = journal.busy(control.contents());
            let mut checker = Checker::new(threads.pid(), &view.maps, memory, tables);
            let in_the_way = checker.in_the_way(threads, &busy);
            in_the_way.map_err(|(tid, errno)| StopError::Wait { tid, errno })?
        };
        if !in_the_way.is_empty() {
            return Err(ProcessError::Busy {
                name: journal.patch.clone(),
                after: Duration::ZERO,
                threads: in_the_way,
            });
        }
    }
    let mut hands = Hands {
        threads,
        tid,
        gate,
        memory,
    };
    Ok(recover(control, &mut hands, steps, afterwards)?)
}

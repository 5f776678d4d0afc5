//! Changing a process so that whoever comes later can finish or undo it: every step is announced in the control area before it is done.
//!
//! A loader may be killed between any two steps ([`Step`]). Then a patch that was on its way in is taken out, and one on its way out
//! is taken out as well: [`recover`] ends with the text as it was, the patch's memory unmapped and no journal. What is not
//! known is whether the step that was announced last was done. Text tells by its bytes, memory by what it is like
//! (`evidence`), and where that is in doubt it stays mapped. The tempting wrong way is to unmap by the address: the program may have
//! mapped something of its own there.

mod entered;
mod evidence;
mod recover;
mod stops;

use thiserror::Error;

use crate::process::kept::area::Area;
use crate::process::kept::control::{
    AreaRecord, Contents, Control, ControlError, Direction, InstalledPatch, Journal, Stays,
    Watching,
};
use crate::process::touch::check::{Busy, BusyRange};
use crate::process::touch::jump::{JumpError, TextChange, change_text};
use crate::process::touch::syscall::{Gate, InjectError};
use crate::process::touch::threads::{Threads, Tid};
use crate::process::touch::write::{WriteError, WriteMemory};

pub use recover::{Afterwards, recover};
pub use stops::Stops;

/// Something that has just been done to a process or to its control area.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    /// The journal says which patch, and which way.
    Begun,
    /// The journal says what will be mapped.
    MapAnnounced,
    /// It is mapped.
    Mapped,
    /// The journal says that it is.
    MapNoted,
    /// An area has its bytes.
    Filled,
    /// The journal says which text will be changed.
    TextAnnounced,
    /// It is changed.
    TextChanged,
    /// The patch is among those installed, and there is no journal.
    Installed,
    /// The patch is no more among those installed; the journal has its memory.
    Removed,
    /// The journal says what will be unmapped.
    UnmapAnnounced,
    /// It is unmapped.
    Unmapped,
    /// There is no journal.
    Ended,
    /// The journal says which cells threads will have.
    CellsAnnounced,
    /// They have them.
    CellsGiven,
    /// Threads switch one by one: the control area says so, and there is no journal.
    Planted,
    /// One more has switched.
    Switched,
    /// The control area says which way they go now, or who was forced.
    Turned,
    /// The control area says that all have switched.
    AllSwitched,
    /// No entry leads to a trampoline.
    Settled,
}

/// Who is told of each step: nobody, or a test that ends the loader there.
#[derive(Default)]
pub struct Steps<'a>(Option<&'a mut (dyn FnMut(Step) + Send)>);

impl<'a> Steps<'a> {
    /// Tells `hook` of each step that was done.
    pub fn told_to(hook: &'a mut (dyn FnMut(Step) + Send)) -> Self {
        Self(Some(hook))
    }

    fn done(&mut self, step: Step) {
        if let Some(hook) = &mut self.0 {
            hook(step);
        }
    }
}

/// Why a process was not changed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TransactionError {
    /// A loader was killed, or is at it.
    #[error(
        "patch {patch} was left half way by another loader: it must be finished or undone first"
    )]
    Unfinished {
        /// The patch.
        patch: String,
    },
    /// The control area.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// A system call.
    #[error(transparent)]
    Inject(#[from] InjectError),
    /// The text.
    #[error(transparent)]
    Jump(#[from] JumpError),
    /// The memory.
    #[error(transparent)]
    Write(#[from] WriteError),
}

/// What is used to change a process: its threads, all stopped, and one of them to do it.
pub struct Hands<'a> {
    /// All threads.
    pub threads: &'a mut Threads,
    /// The one that makes system calls.
    pub tid: Tid,
    /// Where it makes them.
    pub gate: Gate,
    /// The memory.
    pub memory: &'a WriteMemory,
}

/// A patch on its way in or out. Given up without an end, the journal stays for [`recover`].
pub struct Transaction<'a, 's> {
    control: &'a mut Control,
    steps: &'a mut Steps<'s>,
    journal: Journal,
}

impl<'a, 's> Transaction<'a, 's> {
    /// Begins: from now on the next loader knows.
    ///
    /// # Errors
    /// Where something was left half way.
    pub fn begin(
        control: &'a mut Control,
        memory: &WriteMemory,
        steps: &'a mut Steps<'s>,
        patch: &str,
        direction: Direction,
    ) -> Result<Self, TransactionError> {
        if let Some(journal) = &control.contents().journal {
            let patch = journal.patch.clone();
            return Err(TransactionError::Unfinished { patch });
        }
        let mut transaction = Self {
            control,
            steps,
            journal: Journal::new(patch, direction),
        };
        transaction.note(memory)?;
        transaction.steps.done(Step::Begun);
        Ok(transaction)
    }

    /// Maps an area for the patch.
    ///
    /// # Errors
    /// Where it cannot be mapped there.
    pub fn map(&mut self, hands: &mut Hands<'_>, area: AreaRecord) -> Result<(), TransactionError> {
        self.map_all(&mut Stops::standing(hands), &[area])
    }

    /// Maps areas for the patch, all of them announced before; the process runs in between.
    ///
    /// # Errors
    /// Where one cannot be mapped there.
    pub fn map_all(
        &mut self,
        stops: &mut Stops<'_>,
        areas: &[AreaRecord],
    ) -> Result<(), TransactionError> {
        let memory = stops.memory();
        self.journal.mapping = areas.to_vec();
        self.note(memory)?;
        self.steps.done(Step::MapAnnounced);
        let mut mapped = 0;
        let done = stops.each(areas, |hands, area| {
            hands.map(*area)?;
            mapped += 1;
            self.steps.done(Step::Mapped);
            Ok(())
        });
        self.journal.mapping.clear();
        self.journal.areas.extend(areas.iter().take(mapped));
        let noted = self.note(memory);
        done?;
        noted?;
        self.steps.done(Step::MapNoted);
        let name = self.control.name();
        // Kernels without such names refuse. They are for who reads `/proc/PID/maps`.
        let _ = stops.each(areas, |hands, area| hands.name(*area, name));
        Ok(())
    }

    /// Writes an area's bytes.
    ///
    /// # Errors
    /// Where they cannot be written.
    pub fn fill(
        &mut self,
        hands: &mut Hands<'_>,
        area: AreaRecord,
        bytes: &[u8],
    ) -> Result<(), TransactionError> {
        self.write(&mut Stops::standing(hands), area, bytes)
    }

    /// Writes an area's bytes while the process runs.
    ///
    /// # Errors
    /// Where they cannot be written.
    pub fn write(
        &mut self,
        stops: &mut Stops<'_>,
        area: AreaRecord,
        bytes: &[u8],
    ) -> Result<(), TransactionError> {
        stops.write(area, bytes)?;
        self.steps.done(Step::Filled);
        Ok(())
    }

    /// Says which text will be changed, if that was not said yet: best before the threads are stopped for it.
    ///
    /// # Errors
    /// Where that cannot be written.
    pub fn announce_text(
        &mut self,
        memory: &WriteMemory,
        changes: Vec<TextChange>,
    ) -> Result<(), TransactionError> {
        if self.journal.changes != changes {
            self.journal.changes = changes;
            self.note(memory)?;
            self.steps.done(Step::TextAnnounced);
        }
        Ok(())
    }

    /// Changes the program's text, all or nothing. No thread may be inside what changes.
    ///
    /// # Errors
    /// Where something else is there, or it cannot be written; the text is then as it was.
    pub fn change_text(
        &mut self,
        hands: &Hands<'_>,
        changes: Vec<TextChange>,
    ) -> Result<(), TransactionError> {
        self.announce_text(hands.memory, changes)?;
        change_text(hands.memory, hands.tid, &self.journal.changes)?;
        self.steps.done(Step::TextChanged);
        Ok(())
    }

    /// Ends it with the patch among those that are installed, on top of them; `replaced` are in use no more.
    ///
    /// # Errors
    /// Where that cannot be written.
    pub fn install(
        self,
        memory: &WriteMemory,
        patch: InstalledPatch,
        replaced: &[u64],
    ) -> Result<(), TransactionError> {
        let mut contents = self.control.contents().clone();
        for old in &mut contents.patches {
            old.enabled &= !replaced.contains(&old.id);
        }
        contents.next_patch = contents.next_patch.max(patch.id.saturating_add(1));
        contents.patches.push(patch);
        contents.journal = None;
        self.control.commit(memory, contents)?;
        self.steps.done(Step::Installed);
        Ok(())
    }

    /// Ends it with the patch gone from those that are installed, and its memory unmapped. No thread may be inside it, or come
    /// there.
    ///
    /// # Errors
    /// Where it cannot be unmapped, or that cannot be written.
    pub fn remove(self, stops: &mut Stops<'_>, id: u64) -> Result<(), TransactionError> {
        let mut contents = self.control.contents().clone();
        let mut journal = self.journal;
        let gone = contents.patches.iter().position(|it| it.id == id);
        if let Some(patch) = gone.map(|at| contents.patches.remove(at)) {
            journal.areas.extend(patch.areas);
        }
        journal.changes.clear();
        contents.journal = Some(journal);
        self.control.commit(stops.memory(), contents)?;
        self.steps.done(Step::Removed);
        recover::unmap_areas(self.control, stops, self.steps)
    }

    /// Ends it with the patch gone from those that are installed; its memory stays.
    ///
    /// # Errors
    /// Where that cannot be written.
    pub fn leave(
        self,
        memory: &WriteMemory,
        id: u64,
        stays: Stays,
    ) -> Result<(), TransactionError> {
        let mut contents = self.control.contents().clone();
        contents.patches.retain(|it| it.id != id);
        contents.stays.push(stays);
        contents.journal = None;
        self.control.commit(memory, contents)?;
        self.steps.done(Step::Removed);
        Ok(())
    }

    /// Ends it with memory unmapped that had to stay. No thread may be inside it, or come there.
    ///
    /// # Errors
    /// Where it cannot be unmapped, or that cannot be written.
    pub fn reclaim(self, stops: &mut Stops<'_>, stays: &Stays) -> Result<(), TransactionError> {
        let mut contents = self.control.contents().clone();
        contents.stays.retain(|it| it != stays);
        let mut journal = self.journal;
        journal.areas.extend(&stays.areas);
        contents.journal = Some(journal);
        self.control.commit(stops.memory(), contents)?;
        self.steps.done(Step::Removed);
        recover::unmap_areas(self.control, stops, self.steps)
    }

    /// Ends it with these patches as they are now.
    ///
    /// # Errors
    /// Where that cannot be written.
    pub fn update(
        self,
        memory: &WriteMemory,
        patches: Vec<InstalledPatch>,
    ) -> Result<(), TransactionError> {
        let mut contents = self.control.contents().clone();
        put(&mut contents, patches);
        contents.journal = None;
        self.control.commit(memory, contents)?;
        self.steps.done(Step::Installed);
        Ok(())
    }

    /// Ends it with these patches as they are now, and these areas unmapped. No thread may be inside them.
    ///
    /// # Errors
    /// Where they cannot be unmapped, or that cannot be written.
    pub fn release(
        self,
        hands: &mut Hands<'_>,
        patches: Vec<InstalledPatch>,
        areas: Vec<AreaRecord>,
    ) -> Result<(), TransactionError> {
        let mut contents = self.control.contents().clone();
        put(&mut contents, patches);
        let mut journal = self.journal;
        journal.areas.extend(areas);
        contents.journal = Some(journal);
        self.control.commit(hands.memory, contents)?;
        self.steps.done(Step::Removed);
        recover::unmap_areas(self.control, &mut Stops::standing(hands), self.steps)
    }

    /// Ends it with a watcher in the process.
    ///
    /// # Errors
    /// Where that cannot be written.
    pub fn watched(self, memory: &WriteMemory, watching: Watching) -> Result<(), TransactionError> {
        let mut contents = self.control.contents().clone();
        contents.watch = Some(watching);
        contents.journal = None;
        self.control.commit(memory, contents)?;
        self.steps.done(Step::Installed);
        Ok(())
    }

    /// Ends it with what a watcher had in the process unmapped. No thread may be inside it.
    ///
    /// # Errors
    /// Where it cannot be unmapped, or that cannot be written.
    pub fn unwatched(&mut self, hands: &mut Hands<'_>) -> Result<(), TransactionError> {
        let mut contents = self.control.contents().clone();
        contents.journal = Some(self.journal.clone());
        contents.unwatch();
        self.control.commit(hands.memory, contents)?;
        self.steps.done(Step::Removed);
        recover::unmap_areas(self.control, &mut Stops::standing(hands), self.steps)
    }

    /// Goes on with a transition that is in the control area: there is no journal until something is unmapped.
    pub(in crate::process) fn resume(
        control: &'a mut Control,
        steps: &'a mut Steps<'s>,
        patch: &str,
    ) -> Self {
        Self {
            control,
            steps,
            journal: Journal::new(patch, Direction::Transition),
        }
    }

    /// Says which cells threads are about to get.
    pub(in crate::process) fn announce_cells(
        &mut self,
        memory: &WriteMemory,
        cells: u64,
    ) -> Result<(), TransactionError> {
        self.journal.cells = Some(cells);
        self.note(memory)?;
        self.steps.done(Step::CellsAnnounced);
        Ok(())
    }

    /// Changes what the control area says, all in one step; the journal is then the one that is given there.
    pub(in crate::process) fn change(
        &mut self,
        memory: &WriteMemory,
        step: Step,
        change: impl FnOnce(&mut Contents),
    ) -> Result<(), TransactionError> {
        let mut contents = self.control.contents().clone();
        change(&mut contents);
        self.control.commit(memory, contents)?;
        self.steps.done(step);
        Ok(())
    }

    /// Tells that something was done which the control area does not speak of.
    pub(in crate::process) fn tell(&mut self, step: Step) {
        self.steps.done(step);
    }

    /// Unmaps what the journal has, and ends it.
    pub(in crate::process) fn unmap(
        &mut self,
        hands: &mut Hands<'_>,
    ) -> Result<(), TransactionError> {
        recover::unmap_areas(self.control, &mut Stops::standing(hands), self.steps)
    }

    /// Ends it with nothing done.
    ///
    /// # Errors
    /// Where that cannot be written.
    pub fn give_up(&mut self, memory: &WriteMemory) -> Result<(), TransactionError> {
        let mut contents = self.control.contents().clone();
        contents.journal = None;
        self.control.commit(memory, contents)?;
        self.steps.done(Step::Ended);
        Ok(())
    }

    /// The patches and the journal as they are in the control area.
    pub fn contents(&self) -> &Contents {
        self.control.contents()
    }

    fn note(&mut self, memory: &WriteMemory) -> Result<(), ControlError> {
        let mut contents = self.control.contents().clone();
        contents.journal = Some(self.journal.clone());
        self.control.commit(memory, contents)
    }
}

/// Puts what is said of patches in the place of what was said of them.
fn put(contents: &mut Contents, patches: Vec<InstalledPatch>) {
    for patch in patches {
        if let Some(old) = contents.patches.iter_mut().find(|it| it.id == patch.id) {
            *old = patch;
        }
    }
}

impl Journal {
    pub(in crate::process) fn new(patch: &str, direction: Direction) -> Self {
        Self {
            patch: patch.to_owned(),
            direction,
            areas: Vec::new(),
            mapping: Vec::new(),
            changes: Vec::new(),
            cells: None,
        }
    }

    /// Whether it is about a watcher on its way out: of objects that have gone no text is changed.
    fn takes_watch_out(&self) -> bool {
        self.direction == Direction::Going && !self.changes.is_empty()
    }

    /// Where no thread may be when the journal is recovered: the patch's text, or what is in memory for one of its objects.
    pub fn busy(&self, contents: &Contents) -> Busy {
        let whole = matches!(self.direction, Direction::Load | Direction::Unload);
        let patch = contents.patch(&self.patch).filter(|_| whole);
        let installed = patch.into_iter().flat_map(|it| &it.areas);
        let stub = self.takes_watch_out().then_some(contents.watch.as_ref());
        let stub = stub.flatten().map(|watching| &watching.text);
        let text = |it: &&AreaRecord| it.protection == Area::Text;
        let areas = self.areas.iter().chain(&self.mapping).chain(installed);
        let areas = areas.chain(stub);
        Busy::new(areas.filter(text).map(|it| BusyRange {
            range: it.range(),
            function: format!("patch {}", self.patch),
        }))
    }
}

impl Hands<'_> {
    fn map(&mut self, area: AreaRecord) -> Result<(), InjectError> {
        let AreaRecord {
            address,
            size,
            protection,
        } = area;
        self.threads
            .mmap(self.gate, self.tid, address, size, protection)
    }

    fn name(&mut self, area: AreaRecord, name_at: u64) -> Result<(), InjectError> {
        let range = (area.address, area.size);
        self.threads
            .name_mapping(self.gate, self.tid, range, name_at)
    }

    fn unmap(&mut self, area: AreaRecord) -> Result<(), InjectError> {
        self.threads
            .munmap(self.gate, self.tid, area.address, area.size)
    }

    /// Maps and begins a control area at an address where nothing is.
    ///
    /// # Errors
    /// Where it cannot be mapped there.
    pub fn create_control(&mut self, address: u64) -> Result<Control, TransactionError> {
        let area = AreaRecord {
            address,
            size: crate::process::kept::control::SIZE,
            protection: Area::Data,
        };
        self.map(area)?;
        let control = Control::create(address, self.memory)?;
        let _ = self.name(area, control.name());
        Ok(control)
    }
}

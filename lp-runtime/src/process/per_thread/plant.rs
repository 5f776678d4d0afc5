//! The first and the last stop of a transition: trampolines are put over all entries that change, and taken away.
//!
//! The order is what makes it safe to be killed anywhere: threads have cells before any entry asks for them, and lose them when none
//! does any more.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::{Duration, Instant};

use lp_klp::transition::PatchState;

use super::cells;
use super::changes::Change;
use super::moved::MoveRefusal;
use super::target::{Before, PerThread};
use super::trampoline::{SIZE, Trampoline, trampoline};
use crate::process::error::{Immovable, ProcessError};
use crate::process::kept::area::Area;
use crate::process::kept::control::{AreaRecord, Direction, Journal, Transition, TransitionSite};
use crate::process::kept::journal::{Step, TransactionError};
use crate::process::prepare::layout::PAGE;
use crate::process::prepare::place::{Want, place};
use crate::process::read::images::Images;
use crate::process::read::maps::Maps;
use crate::process::read::memory::ReadMemory;
use crate::process::touch::check::{Busy, BusyThread, InTheWay};
use crate::process::touch::jump::{
    JUMP_SIZE, JumpError, TextChange, change_text, destination, jump,
};
use crate::process::touch::registers::Registers;
use crate::process::touch::threads::{StopError, Tid};
use crate::process::touch::unwind::Frame;

/// Bytes before the first trampoline of an area: the cells, in their own cache line.
const HEAD: u64 = 64;
/// Between two looks whether trampolines are empty.
const BETWEEN: Duration = Duration::from_millis(1);

/// An area of trampolines, near an object.
struct Planned {
    record: AreaRecord,
    bytes: Vec<u8>,
    sites: Vec<TransitionSite>,
}

impl PerThread<'_, '_> {
    /// Puts the trampolines in, where nobody is inside the bytes of a jump; all threads stand. Says whether they are in.
    pub(super) fn plant(&mut self) -> Result<bool, ProcessError> {
        let Some(before) = self.before.take() else {
            return Ok(true);
        };
        let tids: Vec<Tid> = self.live.at.threads.tids().collect();
        refuse_gs_in_use(&tids)?;
        let from = if before.began == Direction::Load {
            PatchState::Unpatched
        } else {
            PatchState::Patched
        };
        self.left = self.inside_jumps(&tids, &before, from)?;
        if !self.left.is_empty() {
            self.before = Some(before);
            return Ok(false);
        }
        let maps = Maps::read(self.live.at.threads.pid())?;
        let planned = planned(self.live.at.images, &maps, &before)?;
        let cells = planned.first().map_or(0, |it| it.record.address);
        self.change(before, &tids, cells, from, planned)?;
        Ok(true)
    }

    /// Who is where a jump will be written over the program's own code.
    fn inside_jumps(
        &mut self,
        tids: &[Tid],
        before: &Before,
        from: PatchState,
    ) -> Result<Vec<BusyThread>, ProcessError> {
        let open = before.changes.iter().filter(|it| it.is_original(from));
        let covered: BTreeMap<u64, &str> =
            open.map(|it| (it.address, it.function.as_str())).collect();
        // A thread that goes on at the jump itself takes it.
        let inside = |frame: &Frame| {
            let (at, function) = covered.range(..frame.pc).next_back()?;
            (frame.pc < at + JUMP_SIZE as u64).then_some(*function)
        };
        let found = self.live.at.checker.in_the_way_of(tids, |pc| pc, inside);
        Ok(found.map_err(|(tid, errno)| StopError::Wait { tid, errno })?)
    }

    fn change(
        &mut self,
        before: Before,
        tids: &[Tid],
        cells: u64,
        from: PatchState,
        planned: Vec<Planned>,
    ) -> Result<(), ProcessError> {
        let Before {
            record,
            began,
            changes,
            ..
        } = before;
        let (name, patched, data) = (self.name.clone(), self.patched, self.data.clone());
        let (mut hands, transaction) = self.hands()?;
        for area in &planned {
            transaction.map(&mut hands, area.record)?;
            transaction.fill(&mut hands, area.record, &area.bytes)?;
        }
        transaction.announce_cells(hands.memory, cells)?;
        for tid in tids {
            let put = cells::put(cells, *tid, from);
            put.map_err(|errno| StopError::Wait { tid: *tid, errno })?;
        }
        transaction.tell(Step::CellsGiven);
        let areas = planned.iter().map(|it| it.record).collect();
        let sites: Vec<TransitionSite> = planned.into_iter().flat_map(|it| it.sites).collect();
        let change = |site: &TransitionSite| TextChange {
            address: site.address,
            old: site.text[usize::from(from == PatchState::Patched)],
            new: site.planted,
        };
        debug_assert_eq!(sites.len(), changes.len(), "each change has a site");
        transaction.change_text(&hands, sites.iter().map(change).collect())?;
        let transition = Transition {
            patch: name.clone(),
            began,
            patched,
            cells,
            sites,
            areas,
            ended: false,
            forced: false,
        };
        transaction.change(hands.memory, Step::Planted, |contents| {
            contents.journal = None;
            contents.transition = Some(transition);
            if let Some(record) = record {
                contents.next_patch = contents.next_patch.max(record.id.saturating_add(1));
                contents.patches.push(record);
            }
            let ours = contents.patches.iter_mut().find(|it| it.name == name);
            if let Some(patch) = ours {
                patch.data.extend(data);
            }
        })?;
        Ok(())
    }

    /// Ends it: entries lead straight to where all threads are, cells and trampolines go. That waits until no thread is inside a
    /// trampoline, which is a moment, unless a signal came just there.
    ///
    /// # Errors
    /// Where time is up; the next loader ends it then.
    pub(super) fn settle(&mut self, timeout: Duration) -> Result<(), ProcessError> {
        let start = Instant::now();
        let busy = Busy::new(self.trampolines());
        loop {
            if self.stop() {
                let found = self.live.at.checker.in_the_way(self.live.at.threads, &busy);
                let found = found.map_err(|(tid, errno)| StopError::Wait { tid, errno })?;
                let (inside, unknown) = apart(found);
                let forced = self.transition().is_some_and(|it| it.forced);
                if inside.is_empty() && (unknown.is_empty() || forced) {
                    // Who was forced may have anything on a stack that nobody knows: then the memory stays.
                    let settled = self.settle_now(unknown.is_empty());
                    self.go_on();
                    return settled;
                }
                self.left = [inside, unknown].concat();
            }
            if let Some(fault) = self.live.fault.take() {
                return Err(fault);
            }
            if start.elapsed() >= timeout {
                self.go_on();
                return Err(ProcessError::Stalled {
                    name: self.name.clone(),
                    patched: self.patched,
                    after: start.elapsed(),
                    threads: std::mem::take(&mut self.left),
                });
            }
            self.go_on();
            self.live.wait(BETWEEN)?;
        }
    }

    /// For places in trampolines the same ones of the functions, whose own bytes are there again when it has ended.
    fn places(&self) -> BTreeMap<u64, u64> {
        let Some(transition) = self.transition() else {
            return BTreeMap::new();
        };
        let last = usize::from(transition.patched);
        let whole = |site: &&TransitionSite| destination(site.address, site.text[last]).is_none();
        let sites = transition.sites.iter().filter(whole);
        sites.flat_map(|site| site.places.iter().copied()).collect()
    }

    fn settle_now(&mut self, unmap: bool) -> Result<(), ProcessError> {
        let Some(transition) = self.transition() else {
            return Ok(());
        };
        let places = self.places();
        let images = self.live.at.images;
        let (mut hands, transaction) = self.hands()?;
        let mut changes = Vec::new();
        // An object may have been unloaded since, and with it its entries.
        let here = |it: &&TransitionSite| images.at(it.address).is_some();
        for site in transition.sites.iter().filter(here) {
            changes.push(final_text(hands.memory, site, transition.patched)?);
        }
        change_text(hands.memory, hands.tid, &changes).map_err(TransactionError::from)?;
        transaction.tell(Step::TextChanged);
        for tid in hands.threads.tids() {
            move_thread(tid, |pc| places.get(&pc).copied())?;
        }
        hands.take_cells(transition.cells)?;
        let mut journal = Journal::new(&transition.patch, Direction::Transition);
        if unmap {
            journal.areas.clone_from(&transition.areas);
        }
        transaction.change(hands.memory, Step::Settled, |contents| {
            contents.transition = None;
            contents.journal = Some(journal);
            transition.settle(contents);
        })?;
        transaction.unmap(&mut hands)?;
        Ok(())
    }
}

/// Sends a stopped thread to a place that is the same as the one where it is. In a system call it is at none of them.
pub(super) fn move_thread(tid: Tid, to: impl Fn(u64) -> Option<u64>) -> Result<(), StopError> {
    let failed = |errno| StopError::Wait { tid, errno };
    let registers = Registers::of(tid).map_err(failed)?;
    match to(registers.pc()) {
        Some(pc) if !registers.is_in_syscall() => registers.go(tid, pc).map_err(failed),
        _ => Ok(()),
    }
}

/// From whatever mixture a killed loader left.
fn final_text(
    memory: &dyn ReadMemory,
    site: &TransitionSite,
    patched: bool,
) -> Result<TextChange, TransactionError> {
    let mut found = [0; JUMP_SIZE];
    let read = memory.read(site.address, &mut found);
    read.map_err(JumpError::from)?;
    let new = site.text[usize::from(patched)];
    let expected = |byte: usize| found[byte] == site.planted[byte] || found[byte] == new[byte];
    if !(0..JUMP_SIZE).all(expected) {
        return Err(TransactionError::Jump(JumpError::Unexpected {
            address: site.address,
            expected: site.planted,
            found,
        }));
    }
    Ok(TextChange {
        address: site.address,
        old: found,
        new,
    })
}

/// Those that are inside, and those of whom nobody knows.
fn apart(found: Vec<BusyThread>) -> (Vec<BusyThread>, Vec<BusyThread>) {
    let inside = |it: &BusyThread| matches!(it.why, InTheWay::Inside { .. });
    found.into_iter().partition(inside)
}

fn refuse_gs_in_use(tids: &[Tid]) -> Result<(), ProcessError> {
    for tid in tids {
        let base = Registers::of(*tid).map_or(0, |it| it.gs_base());
        if base != 0 {
            return Err(ProcessError::GsInUse { tid: *tid, base });
        }
    }
    Ok(())
}

/// The trampolines of all changes, an area for each object.
fn planned(images: &Images, maps: &Maps, before: &Before) -> Result<Vec<Planned>, ProcessError> {
    let mut groups: BTreeMap<u64, (String, Range<u64>, Vec<&Change>)> = BTreeMap::new();
    for change in &before.changes {
        let image = images.at(change.address);
        let range = image.map_or(change.address..change.address + 1, |it| it.range.clone());
        let name = image.map_or_else(String::new, |it| it.name.clone());
        let group = groups.entry(range.start);
        group.or_insert((name, range, Vec::new())).2.push(change);
    }
    let size = |count: usize| (HEAD + SIZE * count as u64).next_multiple_of(PAGE);
    let wants: Vec<Want> = groups
        .values()
        .map(|(object, near, changes)| Want {
            object: object.clone(),
            near: near.clone(),
            size: size(changes.len()),
            low: false,
        })
        .collect();
    let places = place(maps, &wants)?;
    let mut all = Vec::new();
    for ((address, want), (_, _, changes)) in
        places.into_iter().zip(wants).zip(groups.into_values())
    {
        all.push(area(address, want.size, &changes)?);
    }
    Ok(all)
}

fn area(address: u64, size: u64, changes: &[&Change]) -> Result<Planned, ProcessError> {
    // `int3` where nothing is.
    let mut bytes = vec![0xcc; usize::try_from(size).unwrap_or_default()];
    bytes[..cells::BYTES.len()].copy_from_slice(&cells::BYTES);
    let mut sites = Vec::new();
    for (change, at) in changes.iter().zip((HEAD..).step_by(SIZE as usize)) {
        let made = one(address + at, change)?;
        let start = at as usize;
        bytes[start..start + made.bytes.len()].copy_from_slice(&made.bytes);
        let text = |side| change.text(side).map_err(TransactionError::from);
        sites.push(TransitionSite {
            address: change.address,
            text: [text(PatchState::Unpatched)?, text(PatchState::Patched)?],
            planted: jump(change.address, address + at).map_err(TransactionError::from)?,
            head: made.head,
            places: made.places,
            code: change.code.clone(),
        });
    }
    let protection = Area::Text;
    Ok(Planned {
        record: AreaRecord {
            address,
            size,
            protection,
        },
        bytes,
        sites,
    })
}

fn one(address: u64, change: &Change) -> Result<Trampoline, ProcessError> {
    let refuse = |error| {
        let function = change.function.clone();
        ProcessError::CannotMove(vec![Immovable { function, error }])
    };
    let ways = (
        change.way(PatchState::Unpatched),
        change.way(PatchState::Patched),
    );
    let (Some(old), Some(new)) = ways else {
        let why = "it was not looked at".into();
        let at = change.address;
        return Err(refuse(MoveRefusal::Instruction { at, why }));
    };
    trampoline(address, old, new).map_err(refuse)
}

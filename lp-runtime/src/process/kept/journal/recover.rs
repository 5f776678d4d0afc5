//! Ends what a loader that was killed has begun.

use super::{Hands, Step, Steps, Stops, TransactionError, evidence};
use crate::process::kept::control::{Control, Direction, Journal, Stays};
use crate::process::read::memory::ReadMemory;
use crate::process::touch::jump::{JUMP_SIZE, JumpError, TextChange};

/// What becomes of a patch's memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Afterwards {
    /// It is unmapped: nobody was ever in its code.
    Unmapped,
    /// It stays for now ([`Stays`]): someone suspended may come back to its code.
    Stays,
}

/// Takes the patch out that the journal is about; without a journal does nothing. All threads must be stopped and none inside
/// [`Journal::busy`].
///
/// # Errors
/// Where the text is neither as it was nor as it would be, and where something cannot be written or unmapped.
pub fn recover(
    control: &mut Control,
    hands: &mut Hands<'_>,
    steps: &mut Steps<'_>,
    afterwards: Afterwards,
) -> Result<(), TransactionError> {
    let mut contents = control.contents().clone();
    let Some(journal) = &mut contents.journal else {
        return Ok(());
    };
    let text = out(journal, hands)?;
    for change in &text {
        hands
            .memory
            .write_text(hands.tid, change.address, &change.new)?;
    }
    steps.done(Step::TextChanged);
    // No code asks for the cells now.
    if let Some(cells) = journal.cells.take() {
        hands.take_cells(cells)?;
    }
    // What is not known to be ours stays.
    let pid = hands.threads.pid();
    journal
        .mapping
        .retain(|area| evidence::is_ours(pid, area, hands.memory));
    let watch = journal.takes_watch_out();
    journal.changes.clear();
    let mut stays = Vec::new();
    if journal.direction == Direction::Unload && !text.is_empty() {
        let name = journal.patch.clone();
        if let Some(at) = contents.patches.iter().position(|it| it.name == name) {
            let patch = contents.patches.remove(at);
            if afterwards == Afterwards::Stays {
                stays.push(Stays::of(&patch));
            } else {
                journal.areas.extend(patch.areas);
            }
        }
    }
    let comes = matches!(journal.direction, Direction::Load | Direction::Coming);
    if comes && afterwards == Afterwards::Stays {
        stays.push(Stays {
            patch: journal.patch.clone(),
            areas: std::mem::take(&mut journal.areas),
            unwind: Vec::new(),
        });
    }
    contents.stays.extend(stays);
    if watch {
        contents.unwatch();
    }
    control.commit(hands.memory, contents)?;
    steps.done(Step::Removed);
    unmap_areas(control, &mut Stops::standing(hands), steps)
}

/// The changes that bring the text to where the patch is out, from whatever mixture of old and new it is. What is not mapped
/// went with its object.
fn out(journal: &Journal, hands: &Hands<'_>) -> Result<Vec<TextChange>, TransactionError> {
    if journal.direction == Direction::Unload && journal.is_untouched(hands.memory) {
        // It was only said: the patch stays.
        return Ok(Vec::new());
    }
    let change = |change: &TextChange| {
        let mut found = [0; JUMP_SIZE];
        if hands.memory.read(change.address, &mut found).is_err() {
            return Ok(None);
        }
        let both = change.old.iter().zip(&change.new);
        if !(found.iter().zip(both)).all(|(it, (old, new))| it == old || it == new) {
            return Err(TransactionError::Jump(JumpError::Unexpected {
                address: change.address,
                expected: change.old,
                found,
            }));
        }
        let new = match journal.direction {
            Direction::Load | Direction::Coming | Direction::Transition => change.old,
            Direction::Unload | Direction::Going => change.new,
        };
        Ok(Some(TextChange {
            address: change.address,
            old: found,
            new,
        }))
    };
    let changes = journal.changes.iter().map(change);
    changes.filter_map(Result::transpose).collect()
}

/// Unmaps what the journal has, all of it marked and announced before, and ends the journal.
pub(super) fn unmap_areas(
    control: &mut Control,
    stops: &mut Stops<'_>,
    steps: &mut Steps<'_>,
) -> Result<(), TransactionError> {
    let memory = stops.memory();
    let mut contents = control.contents().clone();
    let Some(journal) = &mut contents.journal else {
        return Ok(());
    };
    let mut areas = std::mem::take(&mut journal.mapping);
    areas.append(&mut journal.areas);
    if !areas.is_empty() {
        for area in &areas {
            evidence::mark(stops, *area)?;
        }
        journal.mapping.clone_from(&areas);
        control.commit(memory, contents.clone())?;
        steps.done(Step::UnmapAnnounced);
        stops.each(areas, |hands, area| {
            hands.unmap(area)?;
            steps.done(Step::Unmapped);
            Ok(())
        })?;
    }
    contents.journal = None;
    control.commit(memory, contents)?;
    steps.done(Step::Ended);
    Ok(())
}

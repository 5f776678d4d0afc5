//! Which entries change in a transition, what is on both sides of each, and whether the old code can be called under a jump. Found out
//! before anything is touched.

use std::collections::BTreeMap;

use lp_klp::manifest::Manifest;
use lp_klp::name::{ObjName, Sympos};
use lp_klp::transition::PatchState;

use super::moved::{Body, MoveRefusal, Moved};
use super::trampoline::Way;
use crate::process::error::{Immovable, ProcessError};
use crate::process::kept::control::{Contents, InstalledPatch};
use crate::process::prepare::entry;
use crate::process::read::image::Image;
use crate::process::read::memory::{ReadMemory, read_vec};
use crate::process::session::View;
use crate::process::touch::jump::{JUMP_SIZE, JumpError, jump};
use crate::process::touch::threads::task::Status;

/// No function is larger (`entry`).
const LARGEST: u64 = 1 << 26;

/// An entry that changes.
pub(super) struct Change {
    /// Where its jump is.
    pub(super) address: u64,
    /// Its function.
    pub(super) function: String,
    /// What the program came with there.
    pub(super) original: [u8; JUMP_SIZE],
    /// The code on the old and on the new side; none: what the program came with.
    sides: [Option<u64>; 2],
    /// That, moved, where it is one of the sides.
    moved: Option<Moved>,
    /// All of it, where it is.
    pub(super) code: Vec<(u64, u64)>,
}

/// A function as the control area and the manifest have it together.
struct Known {
    object: ObjName,
    name: String,
    sympos: Sympos,
    jump_at: u64,
    original: [u8; JUMP_SIZE],
    old: (u64, u64),
    new: u64,
}

impl Change {
    /// What a side's entry looks like when there is no trampoline any more.
    pub(super) fn text(&self, side: PatchState) -> Result<[u8; JUMP_SIZE], JumpError> {
        match self.sides[index(side)] {
            Some(code) => jump(self.address, code),
            None => Ok(self.original),
        }
    }

    /// Whether a side is what the program came with.
    pub(super) fn is_original(&self, side: PatchState) -> bool {
        self.sides[index(side)].is_none()
    }

    /// Where a side's threads go from the trampoline.
    pub(super) fn way(&self, side: PatchState) -> Option<Way<'_>> {
        match (self.sides[index(side)], &self.moved) {
            (Some(code), _) => Some(Way::Code(code)),
            (None, Some(moved)) => Some(Way::Original(moved)),
            (None, None) => None,
        }
    }
}

fn index(side: PatchState) -> usize {
    usize::from(side == PatchState::Patched)
}

/// What changes when a patch is enabled over those that are, or disabled.
pub(super) fn changes(
    view: &View,
    memory: &dyn ReadMemory,
    patch: &InstalledPatch,
    manifest: &Manifest,
    enabling: bool,
) -> Result<Vec<Change>, ProcessError> {
    let contents = view.contents();
    let mut stacks = stacks(&contents, &patch.name, enabling);
    let mut all = Vec::new();
    for known in functions(patch, manifest) {
        let stack = stacks.remove(&known.jump_at).unwrap_or_default();
        let below = if enabling {
            stack.last()
        } else {
            // What lies over the version that goes is not touched.
            match stack.iter().rposition(|it| it.new == known.new) {
                Some(at) if at + 1 == stack.len() => at.checked_sub(1).and_then(|at| stack.get(at)),
                _ => continue,
            }
        };
        let sides = [below.map(|it| it.new), Some(known.new)];
        all.push((known, sides));
    }
    if enabling && manifest.replace {
        let nops = stacks.into_values().filter_map(|mut stack| stack.pop());
        all.extend(nops.map(|known| {
            let sides = [Some(known.new), None];
            (known, sides)
        }));
    }
    movable(view, memory, &contents, all)
}

/// The versions of each function that is redirected, by its jump, the newest last.
fn stacks(contents: &Contents, name: &str, enabling: bool) -> BTreeMap<u64, Vec<Known>> {
    let mut stacks: BTreeMap<u64, Vec<Known>> = BTreeMap::new();
    for patch in contents.enabled().filter(|it| !enabling || it.name != name) {
        let Some(manifest) = patch.described() else {
            continue;
        };
        for known in functions(patch, &manifest) {
            stacks.entry(known.jump_at).or_default().push(known);
        }
    }
    stacks
}

fn functions(patch: &InstalledPatch, manifest: &Manifest) -> Vec<Known> {
    let objects = manifest.objects.iter();
    let functions: Vec<_> = objects
        .flat_map(|object| object.functions.iter().map(move |it| (&object.name, it)))
        .collect();
    let known = |site: &crate::process::kept::control::SiteRecord| {
        let (object, function) = functions.get(site.number as usize)?;
        Some(Known {
            object: (*object).clone(),
            name: function.name.clone(),
            sympos: function.sympos,
            jump_at: site.address,
            original: site.original,
            old: (site.old_address, site.old_size),
            new: site.new_address,
        })
    };
    patch.sites.iter().filter_map(known).collect()
}

fn movable(
    view: &View,
    memory: &dyn ReadMemory,
    contents: &Contents,
    all: Vec<(Known, [Option<u64>; 2])>,
) -> Result<Vec<Change>, ProcessError> {
    let originals: BTreeMap<u64, [u8; JUMP_SIZE]> = contents
        .patches
        .iter()
        .flat_map(|patch| &patch.sites)
        .map(|site| (site.address, site.original))
        .collect();
    let status = Status::read(view.pid);
    let features = status.as_ref().and_then(|it| it.get("x86_Thread_features"));
    let shadow_stack = features.is_some_and(|it| it.contains("shstk"));
    let (mut changes, mut refusals) = (Vec::new(), Vec::new());
    for (known, sides) in all {
        let mut change = Change {
            address: known.jump_at,
            function: known.name.clone(),
            original: known.original,
            sides,
            moved: None,
            code: Vec::new(),
        };
        if sides.contains(&None) {
            let found = body(view, memory, &originals, &known);
            let moved = found.and_then(|(code, parts)| {
                change.code = code;
                Moved::of(&Body {
                    jump_at: known.jump_at,
                    parts,
                    memory,
                    shadow_stack,
                })
            });
            match moved {
                Ok(moved) => change.moved = Some(moved),
                Err(error) => refusals.push(Immovable {
                    function: known.name.clone(),
                    error,
                }),
            }
        }
        changes.push(change);
    }
    if refusals.is_empty() {
        Ok(changes)
    } else {
        Err(ProcessError::CannotMove(refusals))
    }
}

type Parts = (Vec<(u64, u64)>, Vec<(u64, Vec<u8>)>);

/// A function's ranges, and its code as the program came with it.
fn body(
    view: &View,
    memory: &dyn ReadMemory,
    originals: &BTreeMap<u64, [u8; JUMP_SIZE]>,
    known: &Known,
) -> Result<Parts, MoveRefusal> {
    let (start, size) = known.old;
    let image = view.images.find(&known.object).ok().flatten();
    let image = image.ok_or_else(|| MoveRefusal::Instruction {
        at: known.jump_at,
        why: "its object is not there".into(),
    })?;
    let mut ranges = ranges(image, known)?;
    // A function that is shorter than the jump has padding behind it.
    let end = (known.jump_at + JUMP_SIZE as u64).max(start.saturating_add(size));
    ranges.retain(|(at, _)| *at != start);
    ranges.insert(0, (start, end.saturating_sub(start)));
    let mut parts = Vec::new();
    for (at, size) in &ranges {
        let mut code = read_vec(memory, *at, *size, LARGEST)?;
        for (site, original) in originals.range(at.saturating_sub(16)..at.saturating_add(*size)) {
            splice(&mut code, *at, *site, original);
        }
        splice(&mut code, *at, known.jump_at, &known.original);
        parts.push((*at, code));
    }
    Ok((ranges, parts))
}

fn ranges(image: &Image, known: &Known) -> Result<Vec<(u64, u64)>, MoveRefusal> {
    let found = image.find(&known.name, known.sympos)?;
    let ranges = entry::ranges(image, found, known.old.1, &known.name)?;
    Ok(ranges
        .into_iter()
        .map(|it| (it.start, it.end - it.start))
        .collect())
}

fn splice(code: &mut [u8], start: u64, site: u64, original: &[u8; JUMP_SIZE]) {
    for (byte, at) in original.iter().zip(site..) {
        let place = at
            .checked_sub(start)
            .and_then(|it| usize::try_from(it).ok());
        if let Some(place) = place.and_then(|it| code.get_mut(it)) {
            *place = *byte;
        }
    }
}

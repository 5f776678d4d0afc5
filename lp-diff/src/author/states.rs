//! The system states whose take-over the patch's author leaves to the toolchain (`LP_STATE`).
//!
//! An entry of `.livepatch.states` is the state's id and the address of its `struct lp_state_ops`; what is in that struct
//! is the author's, and goes into the output as any new datum does. The tempting wrong way is to take the functions
//! apart here and give each a symbol: then the struct would have to be rebuilt, by who does not know its types.

use crate::arch::Arch;
use crate::bundle::{BundleId, Kind};
use crate::object::{Section, SectionId};
use crate::reference::{Ref, Target, View};
use crate::refusal::{Refusal, RefusalCode};
use std::collections::BTreeMap;

const STATES: &str = ".livepatch.states";

/// Bytes of a pointer or an `unsigned long` of the target.
const WORD: u64 = 8;
/// Where `upgrade` is in `struct lp_state_ops`, which `size` opens (`templates/livepatch.h`).
const UPGRADE: u64 = 5 * WORD;
/// Bytes of that struct.
const OPS: u64 = 6 * WORD;

/// The code that keeps a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StateOps {
    /// The `struct lp_state_ops`.
    pub ops: BundleId,
    /// Bytes of the data that the state keeps.
    pub size: u64,
    /// Whether it can take over the data of an older version.
    pub upgrades: bool,
}

/// The states that a file declares, by id.
pub(super) fn read(
    view: &View<'_>,
    arch: &dyn Arch,
    refusals: &mut Vec<Refusal>,
) -> BTreeMap<u64, StateOps> {
    let mut found = Vec::new();
    let mut refuse =
        |message: String| refusals.push(Refusal::new(RefusalCode::Callback, STATES, message));
    for (section_id, section) in view
        .object
        .sections()
        .filter(|(_, section)| section.name() == STATES)
    {
        if section.size % (2 * WORD) != 0 {
            refuse(format!(
                "it has {} bytes, which are no whole entries: make it with LP_STATE alone",
                section.size
            ));
            continue;
        }
        for at in (0..section.size).step_by(2 * WORD as usize) {
            match entry(view, arch, (section_id, section), at) {
                None => refuse(format!(
                    "its entry at {at:#x} is not a state's id and operations: make it with LP_STATE, and define what it names in the same file"
                )),
                Some((id, state)) => found.push((id, state)),
            }
        }
    }
    // Compilers put them in one order or the other.
    found.sort_by_key(|(id, state)| (*id, view.name(state.ops)));
    let mut states: BTreeMap<u64, StateOps> = BTreeMap::new();
    for (id, state) in found {
        match states.get(&id) {
            None => drop(states.insert(id, state)),
            Some(first) => refuse(format!(
                "{} and {} are both for state {id}: a state is kept by one LP_STATE",
                view.name(first.ops),
                view.name(state.ops)
            )),
        }
    }
    states
}

fn entry(
    view: &View<'_>,
    arch: &dyn Arch,
    (section_id, section): (SectionId, Section<'_>),
    at: u64,
) -> Option<(u64, StateOps)> {
    let id = word(view, section.bytes(at, at + WORD))?;
    let mut pointers = view.refs_in(section_id, at, at + 2 * WORD);
    let (Some(pointer), None) = (pointers.next(), pointers.next()) else {
        return None;
    };
    let ops = datum_at(view, arch, &pointer).filter(|_| pointer.offset == at + WORD)?;
    let bundle = view.bundles.get(ops);
    if bundle.len < OPS {
        return None;
    }
    let size = word(view, view.bytes_of(ops).get(..WORD as usize)?)?;
    let upgrades = view
        .refs_of(ops)
        .any(|reference| reference.offset.checked_sub(bundle.start) == Some(UPGRADE));
    Some((
        id,
        StateOps {
            ops,
            size,
            upgrades,
        },
    ))
}

/// The datum whose start a pointer refers to.
fn datum_at(view: &View<'_>, arch: &dyn Arch, pointer: &Ref) -> Option<BundleId> {
    let Target::Bundle { id, offset: 0 } = pointer.target else {
        return None;
    };
    let is_pointer = !arch.is_pc_relative(pointer.kind) && arch.width(pointer.kind) == WORD;
    (is_pointer && view.bundles.get(id).kind == Kind::Data).then_some(id)
}

fn word(view: &View<'_>, bytes: &[u8]) -> Option<u64> {
    let bytes = bytes.try_into().ok()?;
    Some(match view.object.endian {
        object::Endianness::Little => u64::from_le_bytes(bytes),
        object::Endianness::Big => u64::from_be_bytes(bytes),
    })
}

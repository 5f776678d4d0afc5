//! How large the parts of a patch are, and what is where in each: sections, slots for addresses, veneers.
//!
//! One part per object, and in each one area per kind of memory, rounded up to pages. Slots are only read by the
//! code, so they go with the read-only data; a veneer is code. There is room for every one that could be needed: which calls
//! are out of reach is known only when addresses are, and those are chosen by size.

use crate::process::kept::area::Area;
use crate::process::prepare::groups::{self, Shared, is_branch, is_unwind};
use crate::process::prepare::patch_file::{PatchFile, Relocation, Section, SectionId, SymbolId};
use crate::process::prepare::relocation::Kind;
use crate::process::read::eh_frame::{self, UnwindError};
use std::collections::BTreeMap;
use thiserror::Error;

/// Bytes of a page.
pub const PAGE: u64 = 4096;
/// Bytes of a veneer: `jmp *0(%rip)` and the address, rounded up.
pub const VENEER: u64 = 16;
const SLOT: u64 = 8;

/// Why a patch cannot be laid out.
#[derive(Debug, Error)]
pub enum LayoutError {
    /// A part belongs to two objects.
    #[error(transparent)]
    Shared(#[from] Shared),
    /// The unwind table is damaged.
    #[error(transparent)]
    Unwind(#[from] UnwindError),
}

/// What a slot is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SlotKind {
    /// The symbol's address.
    Address,
    /// The variable's distance from the thread pointer.
    TpOff,
    /// The number of the variable's object and the offset in its block.
    Module,
    /// The number of the variable's object and zero.
    Block,
}

impl SlotKind {
    /// The kind of slot that a relocation needs.
    pub fn of(kind: Kind) -> Option<Self> {
        match kind {
            Kind::GotPcRel | Kind::GotPcRelX | Kind::RexGotPcRelX => Some(Self::Address),
            Kind::GotTpOff => Some(Self::TpOff),
            Kind::TlsGd => Some(Self::Module),
            Kind::TlsLd => Some(Self::Block),
            _ => None,
        }
    }

    fn size(self) -> u64 {
        match self {
            Self::Address | Self::TpOff => SLOT,
            Self::Module | Self::Block => 2 * SLOT,
        }
    }
}

/// A section in its area.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// The patch's section; none for a part of the unwind table.
    pub id: Option<SectionId>,
    /// What it holds.
    pub section: Section,
    /// What is to be written into it.
    pub relocations: Vec<Relocation>,
    /// Bytes from the start of its area.
    pub offset: u64,
}

/// The part of a patch that goes near one object.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Part {
    /// Sections, in the order of the file.
    pub pieces: Vec<Piece>,
    /// Slots, and how far each is from the start of the read-only area.
    pub slots: BTreeMap<(SlotKind, SymbolId), u64>,
    /// Veneers, and how far each is from the start of the text area.
    pub veneers: BTreeMap<SymbolId, u64>,
    /// Bytes of each area that is not empty, a multiple of pages.
    pub sizes: BTreeMap<Area, u64>,
    /// Whether it holds addresses of itself in 32 bits: it must be below 2 GiB.
    pub low: bool,
}

impl Part {
    /// How far each area is from the start of the part. Between two there is a page that is not mapped.
    pub fn areas(&self) -> BTreeMap<Area, u64> {
        let mut next = 0;
        let mut place = |size: &u64| {
            let offset = next;
            next += size + PAGE;
            offset
        };
        self.sizes
            .iter()
            .map(|(area, size)| (*area, place(size)))
            .collect()
    }

    /// Bytes from the first area's start to the last one's end.
    pub fn size(&self) -> u64 {
        let last = self.areas().into_iter().next_back();
        last.map_or(0, |(area, offset)| offset + self.sizes[&area])
    }
}

/// Lays a patch out: a part for each object of its manifest, in that order. `present` says which of them are loaded.
///
/// # Errors
/// Where a part belongs near two objects, or the unwind table is damaged.
pub fn lay_out(patch: &PatchFile, present: &[bool]) -> Result<Vec<Part>, LayoutError> {
    let groups = groups::groups(patch, present)?;
    let mut parts = vec![Part::default(); patch.manifest.objects.len()];
    let mut relocations = patch.relocations.iter().copied().peekable();
    for (index, section) in patch.sections.iter().enumerate() {
        let id = SectionId(index);
        let own: Vec<_> =
            std::iter::from_fn(|| relocations.next_if(|it| it.section == id)).collect();
        if let (Some(part), false) = (parts.get_mut(groups[index]), is_unwind(patch, id)) {
            part.low |= own
                .iter()
                .any(|it| matches!(it.kind, Kind::Abs32 | Kind::Abs32S));
            part.add_slots(patch, &own);
            part.pieces.push(Piece {
                id: Some(id),
                section: section.clone(),
                relocations: own,
                offset: 0,
            });
        }
    }
    for unwind in eh_frame::split(patch, &groups)? {
        if let Some(part) = parts.get_mut(unwind.group) {
            part.add_slots(patch, &unwind.relocations);
            let (section, relocations) = (unwind.section, unwind.relocations);
            part.pieces.push(Piece {
                id: None,
                section,
                relocations,
                offset: 0,
            });
        }
    }
    for part in &mut parts {
        part.place();
    }
    Ok(parts)
}

impl Part {
    /// Notes the slots and veneers that relocations may need; where they are comes later.
    fn add_slots(&mut self, patch: &PatchFile, relocations: &[Relocation]) {
        for relocation in relocations {
            if let Some(kind) = SlotKind::of(relocation.kind) {
                self.slots.insert((kind, relocation.symbol), 0);
            }
            if may_need_veneer(patch, relocation) {
                self.veneers.insert(relocation.symbol, 0);
            }
        }
    }

    fn place(&mut self) {
        let mut ends = BTreeMap::new();
        for piece in &mut self.pieces {
            let end: &mut u64 = ends.entry(piece.section.area).or_default();
            piece.offset = end.next_multiple_of(piece.section.align);
            *end = piece.offset + piece.section.size;
        }
        let end: &mut u64 = ends.entry(Area::ReadOnly).or_default();
        for ((kind, _), offset) in &mut self.slots {
            *offset = end.next_multiple_of(SLOT);
            *end = *offset + kind.size();
        }
        let end: &mut u64 = ends.entry(Area::Text).or_default();
        for offset in self.veneers.values_mut() {
            *offset = end.next_multiple_of(VENEER);
            *end = *offset + VENEER;
        }
        let pages = |(area, size): (Area, u64)| (area, size.next_multiple_of(PAGE));
        self.sizes = ends
            .into_iter()
            .filter(|(_, size)| *size > 0)
            .map(pages)
            .collect();
    }
}

/// Whether a relocation is of a call or jump that could lead out of reach.
pub fn may_need_veneer(patch: &PatchFile, relocation: &Relocation) -> bool {
    matches!(relocation.kind, Kind::Plt32 | Kind::Pc32) && is_branch(patch, relocation)
}

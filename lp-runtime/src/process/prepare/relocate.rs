//! Writes a part of a patch as it will be at its addresses.
//!
//! All of it happens on our side: the process is only given finished bytes. A value that does not fit is an error
//! that names the place, never cut. An instruction that loads an address from a slot is turned into one that has the address in
//! it where that is in reach, as linkers do; a call that is out of reach goes by a veneer.

mod instruction;
mod tls;

use crate::process::kept::area::Area;
use crate::process::prepare::layout::{Part, Piece, SlotKind, VENEER};
use crate::process::prepare::patch_file::{Meaning, PatchFile, Relocation, SectionId, SymbolId};
use crate::process::prepare::relocation::Kind;
use crate::process::prepare::resolve::Value;
use lp_klp::name::ObjName;
use std::collections::BTreeMap;
use thiserror::Error;

/// Why a relocation cannot be applied.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{} at {section}+{offset:#x} of the patch, against '{symbol}', {reason}", kind.name())]
pub struct RelocateError {
    /// The section that is relocated.
    pub section: String,
    /// Where in it.
    pub offset: u64,
    /// The kind of relocation.
    pub kind: Kind,
    /// What it refers to.
    pub symbol: String,
    /// What is wrong.
    pub reason: Reason,
}

/// What is wrong with a relocation.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Reason {
    /// The value has more bits than there are.
    #[error(
        "does not fit: {0:#x} is too far away or too large; compile the patch with -fPIC, so that it goes by a slot"
    )]
    Overflow(u64),
    /// The symbol's object is not loaded.
    #[error("needs {0}, which is not loaded now, though the code can run before it is")]
    Late(ObjName),
    /// What it refers to goes in with an object that is not loaded.
    #[error("refers to a part of the patch that is not loaded yet: its object is not there")]
    NotPlaced,
    /// A thread's variable where there is none, or the other way round.
    #[error("is of the wrong kind: only one of both is a variable of threads")]
    Mismatch,
    /// The number of the object is in no slot.
    #[error(
        "needs the number by which the dynamic linker knows {0}, and no slot in the process has it"
    )]
    NoModule(String),
    /// The block's distance is in no slot.
    #[error(
        "needs the distance of {0}'s variables from the thread pointer, which is not fixed or is in no slot of the process"
    )]
    NoBlock(String),
}

/// An area of a part, as it goes into the process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlacedArea {
    /// What may be done with it.
    pub area: Area,
    /// Where it goes, at a page's start.
    pub address: u64,
    /// Whole pages.
    pub bytes: Vec<u8>,
}

/// The sections that have an address.
pub type Sections = BTreeMap<SectionId, u64>;

/// Where the sections of a part are when the part is at `base`.
pub fn sections_of(part: &Part, base: u64) -> Sections {
    let areas = part.areas();
    let address = |piece: &Piece| base + areas[&piece.section.area] + piece.offset;
    // An empty section may stand alone in an area that is not there.
    let there = part
        .pieces
        .iter()
        .filter(|piece| areas.contains_key(&piece.section.area));
    there
        .filter_map(|piece| Some((piece.id?, address(piece))))
        .collect()
}

/// The address of the unwind table of a part at `base`, and its bytes.
pub fn unwind_of(part: &Part, base: u64) -> Option<(u64, u64)> {
    let piece = part.pieces.iter().find(|piece| piece.id.is_none())?;
    let area = part.areas().get(&piece.section.area).copied()?;
    Some((base + area + piece.offset, piece.section.size))
}

/// The address of a symbol that is in the patch, when its section has one.
pub fn inside(patch: &PatchFile, symbol: SymbolId, sections: &Sections) -> Option<u64> {
    match patch.symbol(symbol).meaning {
        Meaning::Inside { section, offset } => sections.get(&section)?.checked_add(offset),
        _ => None,
    }
}

/// Writes a part that is at `base`. `values` are of the symbols outside of the patch, `sections` are the addresses of all
/// that is placed, in this part and in others.
///
/// # Errors
/// All relocations that cannot be applied.
pub fn relocate(
    patch: &PatchFile,
    part: &Part,
    base: u64,
    values: &BTreeMap<SymbolId, Value>,
    sections: &Sections,
) -> Result<Vec<PlacedArea>, Vec<RelocateError>> {
    let offsets = part.areas();
    let area = |(area, offset): (&Area, &u64)| PlacedArea {
        area: *area,
        address: base + offset,
        // What pads code traps.
        bytes: vec![if *area == Area::Text { 0xcc } else { 0 }; part.sizes[area] as usize],
    };
    let mut writer = Writer {
        patch,
        part,
        values,
        sections,
        areas: offsets.iter().map(area).collect(),
        errors: Vec::new(),
    };
    for piece in part.pieces.iter().filter(|piece| piece.section.size > 0) {
        writer.copy(piece);
    }
    for piece in part.pieces.iter().filter(|piece| piece.section.size > 0) {
        for relocation in &piece.relocations {
            writer.relocation(piece, relocation);
        }
    }
    if writer.errors.is_empty() {
        Ok(writer.areas)
    } else {
        Err(writer.errors)
    }
}

struct Writer<'a> {
    patch: &'a PatchFile,
    part: &'a Part,
    values: &'a BTreeMap<SymbolId, Value>,
    sections: &'a Sections,
    areas: Vec<PlacedArea>,
    errors: Vec<RelocateError>,
}

impl Writer<'_> {
    fn copy(&mut self, piece: &Piece) {
        let (start, size) = (piece.offset as usize, piece.section.size as usize);
        let to = &mut self.area(piece.section.area).bytes[start..start + size];
        if piece.section.bytes.is_empty() {
            to.fill(0);
        } else {
            to.copy_from_slice(&piece.section.bytes);
        }
    }

    fn relocation(&mut self, piece: &Piece, relocation: &Relocation) {
        if let Err(reason) = self.apply(piece, relocation) {
            self.errors.push(RelocateError {
                section: piece.section.name.clone(),
                offset: relocation.offset,
                kind: relocation.kind,
                symbol: name_of(self.patch, relocation.symbol),
                reason,
            });
        }
    }

    fn apply(&mut self, piece: &Piece, relocation: &Relocation) -> Result<(), Reason> {
        let value = self.value(relocation.symbol)?;
        let kind = relocation.kind;
        if matches!(value, Value::Tls(_)) != kind.is_tls() {
            return Err(Reason::Mismatch);
        }
        let at = piece.offset + relocation.offset;
        let area = piece.section.area;
        let here = self.address_of(area) + at;
        let addend = relocation.addend as u64;
        match value {
            Value::Tls(variable) => {
                let number = match SlotKind::of(kind) {
                    Some(slot) => {
                        let slot = self.fill(slot, relocation.symbol, &tls::slot(slot, &variable)?);
                        signed(slot.wrapping_add(addend).wrapping_sub(here))?
                    }
                    None => tls::number(kind, &variable, relocation.addend)?,
                };
                self.write(area, at, number, kind.width());
            }
            Value::Late(object) => return Err(Reason::Late(object)),
            Value::Address(address) => {
                let target = address.wrapping_add(addend);
                let distance = target.wrapping_sub(here);
                match kind {
                    Kind::Abs64 => self.write(area, at, target, 8),
                    Kind::Pc64 => self.write(area, at, distance, 8),
                    Kind::Abs32 => {
                        let fits = u32::try_from(target).map_err(|_| Reason::Overflow(target))?;
                        self.write(area, at, fits.into(), 4);
                    }
                    Kind::Abs32S => self.write(area, at, signed(target)?, 4),
                    Kind::Pc32 | Kind::Plt32 => self.branch(area, at, here, relocation, address)?,
                    _ => self.by_slot(area, at, here, relocation, address)?,
                }
            }
        }
        Ok(())
    }

    /// A distance; of a call that is too far away, to a veneer.
    fn branch(
        &mut self,
        area: Area,
        at: u64,
        here: u64,
        relocation: &Relocation,
        address: u64,
    ) -> Result<(), Reason> {
        let addend = relocation.addend as u64;
        let mut distance = signed(address.wrapping_add(addend).wrapping_sub(here));
        if let (Err(_), Some(offset)) = (&distance, self.part.veneers.get(&relocation.symbol)) {
            let is_branch =
                crate::process::prepare::layout::may_need_veneer(self.patch, relocation);
            if area == Area::Text && is_branch {
                self.write_veneer(*offset, address);
                let veneer = self.address_of(Area::Text) + offset;
                distance = signed(veneer.wrapping_add(addend).wrapping_sub(here));
            }
        }
        self.write(area, at, distance?, 4);
        Ok(())
    }

    fn write_veneer(&mut self, offset: u64, address: u64) {
        // jmp *0(%rip), and behind it the address.
        let start = offset as usize;
        let veneer = &mut self.area(Area::Text).bytes[start..start + VENEER as usize];
        veneer[..6].copy_from_slice(&[0xff, 0x25, 0, 0, 0, 0]);
        veneer[6..14].copy_from_slice(&address.to_le_bytes());
    }

    /// A reference to a slot, or to what would be in it where the instruction can do without.
    fn by_slot(
        &mut self,
        area: Area,
        at: u64,
        here: u64,
        relocation: &Relocation,
        address: u64,
    ) -> Result<(), Reason> {
        let direct = signed(address.wrapping_sub(4).wrapping_sub(here));
        if let (Ok(distance), true) = (direct, area == Area::Text && self.may_relax(relocation)) {
            let at = at as usize;
            if instruction::relax(&mut self.area(area).bytes[at - 2..at + 4], distance as u32) {
                return Ok(());
            }
        }
        let slot = self.fill(SlotKind::Address, relocation.symbol, &[address]);
        let addend = relocation.addend as u64;
        let distance = signed(slot.wrapping_add(addend).wrapping_sub(here))?;
        self.write(area, at, distance, 4);
        Ok(())
    }

    /// Whether an instruction may be changed. The call of `__tls_get_addr` has prefixes that mean nothing there (psABI, "General
    /// Dynamic"), but would make a direct call one of 16 bits.
    fn may_relax(&self, relocation: &Relocation) -> bool {
        let relaxed = matches!(relocation.kind, Kind::GotPcRelX | Kind::RexGotPcRelX);
        let resolver = self.patch.symbol(relocation.symbol).name == "__tls_get_addr";
        relaxed && !resolver && relocation.addend == -4 && relocation.offset >= 2
    }

    /// Fills a slot; its address.
    fn fill(&mut self, kind: SlotKind, symbol: SymbolId, words: &[u64]) -> u64 {
        let offset = self.part.slots[&(kind, symbol)];
        for (index, word) in words.iter().enumerate() {
            self.write(Area::ReadOnly, offset + 8 * index as u64, *word, 8);
        }
        self.address_of(Area::ReadOnly) + offset
    }

    fn value(&self, symbol: SymbolId) -> Result<Value, Reason> {
        match self.patch.symbol(symbol).meaning {
            Meaning::Inside { .. } => {
                let address = inside(self.patch, symbol, self.sections);
                address.map(Value::Address).ok_or(Reason::NotPlaced)
            }
            _ => self.values.get(&symbol).cloned().ok_or(Reason::NotPlaced),
        }
    }

    fn write(&mut self, area: Area, at: u64, number: u64, width: u64) {
        let (start, width) = (at as usize, width as usize);
        let to = &mut self.area(area).bytes[start..start + width];
        to.copy_from_slice(&number.to_le_bytes()[..width]);
    }

    fn area(&mut self, area: Area) -> &mut PlacedArea {
        let index = self.areas.iter().position(|it| it.area == area);
        &mut self.areas[index.expect("a section's area has been laid out")]
    }

    fn address_of(&self, area: Area) -> u64 {
        let found = self.areas.iter().find(|it| it.area == area);
        found.map_or(0, |it| it.address)
    }
}

/// A number that 32 bits hold with its sign.
fn signed(number: u64) -> Result<u64, Reason> {
    let fits = i32::try_from(number as i64).map_err(|_| Reason::Overflow(number))?;
    Ok(i64::from(fits) as u64)
}

/// A symbol's name; of a section's, the section's.
fn name_of(patch: &PatchFile, symbol: SymbolId) -> String {
    let symbol = patch.symbol(symbol);
    match (&symbol.meaning, symbol.name.as_str()) {
        (Meaning::Inside { section, .. }, "") => patch.section(*section).name.clone(),
        (_, name) => name.to_owned(),
    }
}
